package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/transport"
)

// maxReferrers bounds what is looked at: things may refer to each other without end.
const maxReferrers = 10_000

// maxReferrerDepth bounds how far signatures of signatures of signatures are followed.
const maxReferrerDepth = 8

// referrer is one manifest that refers to another, with what refers to it.
type referrer struct {
	ispec.Descriptor
	Referrers []referrer `json:"referrers,omitempty"`
}

// referrerList is the JSON of `oci referrers`.
type referrerList struct {
	Name      string     `json:"name"`
	Digest    string     `json:"digest"`
	Referrers []referrer `json:"referrers"`
}

func referrersCommand(a *app) *cobra.Command {
	var t transferFlags
	var format formatFlag
	var kind string
	var tree, quiet bool
	cmd := &cobra.Command{
		Use:   "referrers REF",
		Short: "List what refers to an image: signatures, SBOMs, attestations",
		Long: "List the manifests whose subject is what a name means: signatures, SBOMs, attestations. Registries without\n" +
			"the referrers API are asked for the tag that stands in for it.\n\n" + placeHelp,
		Args: exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, d, err := a.resolve(cmd, args[0], t)
			if err != nil {
				return err
			}
			list := referrerList{Name: name.Name, Digest: name.Digest}
			err = a.withPlace(cmd, args[0], t, func(ctx context.Context, src transport.Source) error {
				find, err := referrersOf(ctx, src)
				if err != nil {
					return err
				}
				depth := 1
				if tree {
					depth = maxReferrerDepth
				}
				list.Referrers, err = (&referrerWalk{find: find, kind: kind}).below(ctx, d.Digest, depth)
				return err
			})
			switch {
			case err != nil:
				return err
			case format.json():
				return format.write(a.out, list)
			case tree:
				fmt.Fprintf(a.out, "%s %s\n", name.Name, name.Digest)
			}
			return a.printReferrers(list.Referrers, tree, quiet, 1)
		},
	}
	t.registerPlatform(cmd.Flags(), "of the manifest for this `os/arch[/variant]` instead of the index")
	t.registerAccess(cmd.Flags())
	cmd.Flags().StringVar(&kind, "type", "", "only those of this artifact `type`")
	cmd.Flags().BoolVar(&tree, "tree", false, "show what refers to the referrers too")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print the digests only")
	format.registerOutput(cmd.Flags())
	return cmd
}

func (a *app) printReferrers(list []referrer, tree, quiet bool, depth int) error {
	for _, r := range list {
		text := descriptorText(r.Descriptor)
		if quiet {
			text = r.Digest.String()
		}
		if tree {
			text = strings.Repeat("  ", depth) + text
		}
		if _, err := fmt.Fprintln(a.out, text); err != nil {
			return err
		}
		if err := a.printReferrers(r.Referrers, tree, quiet, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// referrerWalk follows referrers of referrers; each is shown once.
type referrerWalk struct {
	find func(context.Context, digest.Digest) ([]ispec.Descriptor, error)
	kind string // of the first level; "" is any
	seen map[digest.Digest]bool
}

func (w *referrerWalk) below(ctx context.Context, d digest.Digest, depth int) ([]referrer, error) {
	if w.seen == nil {
		w.seen = map[digest.Digest]bool{d: true}
	}
	list := []referrer{}
	if depth == 0 {
		return nil, nil
	}
	found, err := w.find(ctx, d)
	if err != nil {
		return nil, err
	}
	kind := w.kind
	w.kind = ""
	for _, m := range found {
		if w.seen[m.Digest] || kind != "" && m.ArtifactType != kind {
			continue
		}
		if w.seen[m.Digest] = true; len(w.seen) > maxReferrers {
			return nil, fmt.Errorf("referrers of %s: %w: more than %d", d, image.ErrTooLarge, maxReferrers)
		}
		below, err := w.below(ctx, m.Digest, depth-1)
		if err != nil {
			return nil, err
		}
		list = append(list, referrer{m, below})
	}
	return list, nil
}

// referrersOf gives how to find what refers to a digest at a place. A registry knows; elsewhere the
// subjects of all entries are looked at, and the tags that stand in for the API.
func referrersOf(ctx context.Context, src transport.Source) (func(context.Context, digest.Digest) ([]ispec.Descriptor, error), error) {
	if r, ok := src.(registrySource); ok {
		return func(ctx context.Context, d digest.Digest) ([]ispec.Descriptor, error) {
			return r.c.Referrers(ctx, r.ref, d, "")
		}, nil
	}
	list, err := src.List(ctx)
	if err != nil {
		return nil, err
	}
	found := map[digest.Digest][]ispec.Descriptor{}
	tagged := map[string][]ispec.Descriptor{}
	for _, n := range list {
		if !image.IsManifest(n.Descriptor.MediaType) && !image.IsIndex(n.Descriptor.MediaType) {
			continue
		}
		raw, err := readProved(ctx, src, n.Descriptor, image.MaxManifestSize)
		if errors.Is(err, transport.ErrNotFound) {
			continue // a layout need not have all that it lists
		}
		if err != nil {
			return nil, err
		}
		subject, self, err := describeReferrer(n.Descriptor, raw)
		if err != nil {
			return nil, err
		}
		if subject != nil {
			found[subject.Digest] = append(found[subject.Digest], self)
		}
		if image.IsIndex(n.Descriptor.MediaType) {
			idx, err := image.DecodeIndex(raw, n.Descriptor.MediaType)
			if err != nil {
				return nil, err
			}
			tagged[n.Name[strings.LastIndexByte(n.Name, ':')+1:]] = idx.Manifests
		}
	}
	return func(_ context.Context, d digest.Digest) ([]ispec.Descriptor, error) {
		return append(found[d], tagged[distribution.ReferrersTag(d)]...), nil
	}, nil
}

// describeReferrer gives the subject of a manifest, nil if it has none, and its descriptor as a
// list of referrers shows it.
func describeReferrer(d ispec.Descriptor, raw []byte) (*ispec.Descriptor, ispec.Descriptor, error) {
	self := ispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
	if image.IsIndex(d.MediaType) {
		idx, err := image.DecodeIndex(raw, d.MediaType)
		self.ArtifactType, self.Annotations = idx.ArtifactType, idx.Annotations
		return idx.Subject, self, err
	}
	m, err := image.DecodeManifest(raw, d.MediaType)
	self.ArtifactType, self.Annotations = m.ArtifactType, m.Annotations
	if self.ArtifactType == "" {
		self.ArtifactType = m.Config.MediaType
	}
	return m.Subject, self, err
}
