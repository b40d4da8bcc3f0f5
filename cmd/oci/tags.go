package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/image/transport"
)

// tagList is the JSON of `oci tags`.
type tagList struct {
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}

// listFlags choose from a list of names.
type listFlags struct {
	match, semver, order string
	limit                int

	keep     *regexp.Regexp
	versions semverRange
}

func (l *listFlags) register(f *pflag.FlagSet) {
	f.StringVar(&l.match, "match", "", "only what this regular `expression` is found in")
	f.StringVar(&l.match, "filter", "", "the same as --match")
	_ = f.MarkHidden("filter")
	f.IntVar(&l.limit, "limit", 0, "the first `number` of them only")
}

func (l *listFlags) registerVersions(f *pflag.FlagSet) {
	f.StringVar(&l.semver, "semver", "", "only versions in this `range`, as '>=1.2 <2 || ~1.1.4'")
	f.StringVar(&l.order, "sort", sortName, "`order`: name, or semver for the newest version first and what is none last")
}

// Orders of names.
const (
	sortName   = "name"
	sortSemver = "semver"
)

// compile checks the flags.
func (l *listFlags) compile(cmd *cobra.Command) (err error) {
	if l.keep, err = regexp.Compile(l.match); err != nil {
		return usageErrorf(cmd, "--match: %w", err)
	}
	if l.semver != "" {
		if l.versions, err = parseSemverRange(l.semver); err != nil {
			return usageErrorf(cmd, "--semver: %w", err)
		}
	}
	if l.order != "" && l.order != sortName && l.order != sortSemver {
		return usageErrorf(cmd, "--sort: %q is neither name nor semver", l.order)
	}
	if l.limit < 0 {
		return usageErrorf(cmd, "--limit is not negative")
	}
	return nil
}

// choose gives what is wanted of a list, in order; not every registry sorts.
func (l *listFlags) choose(list []string) []string {
	list = slices.DeleteFunc(list, func(s string) bool {
		v, ok := parseSemver(s)
		return !l.keep.MatchString(s) || l.versions != nil && (!ok || !l.versions.match(v))
	})
	slices.Sort(list)
	if l.order == sortSemver {
		sortVersions(list)
	}
	if l.limit > 0 {
		list = list[:min(l.limit, len(list))]
	}
	return list
}

// sortVersions puts the newest version first, and what is no version after all that are, by name.
func sortVersions(list []string) {
	slices.SortStableFunc(list, func(a, b string) int {
		v, okV := parseSemver(a)
		w, okW := parseSemver(b)
		switch {
		case okV && okW:
			return w.compare(v)
		case okV:
			return -1
		case okW:
			return 1
		}
		return 0
	})
}

func tagsCommand(a *app) *cobra.Command {
	var t transferFlags
	var format formatFlag
	var l listFlags
	cmd := &cobra.Command{
		Use:   "tags REPOSITORY",
		Short: "List the tags of a repository, or the names in a layout or an archive",
		Args:  exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			if err := l.compile(cmd); err != nil {
				return err
			}
			ref, err := a.refer(ctx, args[0], t)
			if err != nil {
				return err
			}
			list, err := a.listTags(ctx, ref, t)
			if err != nil {
				return err
			}
			list.Tags = l.choose(list.Tags)
			return a.printNames(format, list, list.Tags)
		},
	}
	t.registerAccess(cmd.Flags())
	l.register(cmd.Flags())
	l.registerVersions(cmd.Flags())
	format.registerOutput(cmd.Flags())
	return cmd
}

// listTags gives the tags of a repository, or the names that a place has.
func (a *app) listTags(ctx context.Context, ref reference.Ref, t transferFlags) (tagList, error) {
	list := tagList{Name: ref.Name()}
	if ref.Transport == reference.Registry {
		c, err := a.client(t)
		if err == nil {
			list.Tags, err = c.Tags(ctx, ref)
		}
		return list, err
	}
	src, err := a.openPlace(ctx, place{ref: ref}, t)
	if err != nil {
		return list, err
	}
	defer src.Close()
	named, err := src.List(ctx)
	list.Name, list.Tags = ref.Path, namesOf(named)
	if ref.Static() {
		list.Name = ref.Place()
	}
	return list, err
}

// namesOf gives the names of a local place; what has none is not listed.
func namesOf(list []transport.Named) []string {
	names := []string{}
	for _, n := range list {
		if n.Name != "" {
			names = append(names, n.Name)
		}
	}
	return names
}

// printNames prints v as JSON, or the names one a line.
func (a *app) printNames(format formatFlag, v any, names []string) error {
	if format.json() {
		return format.write(a.out, v)
	}
	for _, n := range names {
		if _, err := fmt.Fprintln(a.out, oneLine(n)); err != nil {
			return err
		}
	}
	return nil
}

// catalog is the JSON of `oci catalog`.
type catalog struct {
	Registry     string   `json:"registry"`
	Repositories []string `json:"repositories"`
}

func catalogCommand(a *app) *cobra.Command {
	var t transferFlags
	var format formatFlag
	var l listFlags
	cmd := &cobra.Command{
		Use:   "catalog REGISTRY",
		Short: "List the repositories of a registry, where it allows that",
		Args:  exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			if err := l.compile(cmd); err != nil {
				return err
			}
			c, err := a.client(t)
			if err != nil {
				return err
			}
			list, err := c.Catalog(ctx, strings.TrimPrefix(args[0], "docker://"))
			if err != nil {
				return err
			}
			list = l.choose(list)
			return a.printNames(format, catalog{args[0], list}, list)
		},
	}
	l.register(cmd.Flags())
	t.registerAccess(cmd.Flags())
	format.registerOutput(cmd.Flags())
	return cmd
}
