package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/distribution/mirrorconfig"
	"github.com/oci-pipeline/oci/image/reference"
)

// refer gives the reference that a person means, for a verb that reads. A name without a registry means
// what registries.conf says (mirrorconfig.Config.Expand), the same with every verb. Where that says to
// try several registries, the first that has the image is the one. A registry that cannot tell ends the
// search, so that no failure makes a name mean another image: also one that refuses a login. To who
// has none, registries say 401 of what they do not have. What flags give for one registry is sent to none.
func (a *app) refer(ctx context.Context, arg string, t transferFlags) (reference.Ref, error) {
	x, err := expand(arg, t.network)
	if err != nil {
		return reference.Ref{}, err
	}
	if len(x.Names) == 1 {
		return reference.Parse(x.Names[0])
	}
	if t.secret() != "" {
		return reference.Ref{}, usageErrorf(nil, "%s would go to each registry that %s may be in (%s): give the full name",
			t.secret(), quote(arg), strings.Join(x.Names, ", "))
	}
	c, err := a.client(t)
	if err != nil {
		return reference.Ref{}, err
	}
	var missing error
	for _, name := range x.Names {
		ref, err := reference.Parse(name)
		if err == nil {
			_, err = c.Resolve(ctx, ref)
		}
		switch {
		case err == nil:
			fmt.Fprintf(a.err, "%s is %s (%s)\n", quote(arg), ref, x.Source)
			return ref, nil
		case errors.Is(err, distribution.ErrNotFound):
		case errors.Is(err, distribution.ErrUnauthorized) && anonymous(ctx, ref, t):
		default:
			return reference.Ref{}, err
		}
		missing = err
	}
	return reference.Ref{}, fmt.Errorf("%s: none of the registries to search has it (%s): %s; the last said: %w",
		quote(arg), x.Source, strings.Join(x.Names, ", "), missing)
}

// anonymous tells whether there is no credential for the registry of ref; the flags give none.
func anonymous(ctx context.Context, ref reference.Ref, t transferFlags) bool {
	k, err := keychain(t.authFile, t.network)
	if err != nil {
		return false
	}
	c, err := k.Lookup(ctx, ref.Registry, ref.Repository)
	return err == nil && c.Anonymous()
}

// referTo gives the reference that a person means, for a verb that writes or gives a name: nothing is
// looked for, and so there must be no choice.
func referTo(arg string, n networkFlags) (reference.Ref, error) {
	x, err := expand(arg, n)
	if err != nil {
		return reference.Ref{}, err
	}
	if len(x.Names) > 1 {
		return reference.Ref{}, fmt.Errorf("%s: %w: %s has it mean %s; give the full name",
			quote(arg), mirrorconfig.ErrAmbiguous, x.Source, strings.Join(x.Names, " or "))
	}
	return reference.Parse(x.Names[0])
}

// expand reads registries.conf for names that need it only.
func expand(arg string, n networkFlags) (mirrorconfig.Expansion, error) {
	if !mirrorconfig.Short(arg) {
		return mirrorconfig.Expansion{Names: []string{arg}}, nil
	}
	conf, err := n.mirrors()
	if err != nil {
		return mirrorconfig.Expansion{}, err
	}
	return conf.Expand(arg)
}

// storedNames gives the names under which the store may have what a person means. Of several, those
// come first that would be asked for first.
func storedNames(arg string, n networkFlags) ([]string, error) {
	x, err := expand(arg, n)
	if err != nil && !errors.Is(err, mirrorconfig.ErrAmbiguous) {
		return nil, err
	}
	var names []string
	for _, name := range x.Names {
		if ref, err := reference.Parse(name); err == nil {
			names = append(names, ref.String())
		}
	}
	return append(names, arg), nil
}
