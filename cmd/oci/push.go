package main

import (
	"context"
	"errors"
	"maps"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/image/transport"
)

func pushCommand(a *app) *cobra.Command {
	var t transferFlags
	var m moveFlags
	var out outputFlags
	cmd := &cobra.Command{
		Use:   "push REF [DESTINATION]",
		Short: "Send an image of the store to a registry",
		Long: "Send an image of the store to the registry that REF names, or to DESTINATION. Of an index that is not\n" +
			"here with all its images, the image for --platform (default: this machine's) is sent; with several\n" +
			"--platform, a new index with those images, or with --sparse the index itself, if the registry takes it.\n\n" +
			"Blobs that another repository of the registry is known to have are mounted from there. An upload that\n" +
			"was broken off goes on where it stopped, in a later push too, if the registry has kept it.",
		Args: between(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			if err := t.settle(cmd); err != nil {
				return err
			}
			s, err := a.openStore(ctx)
			if err != nil {
				return err
			}
			defer s.Close()
			entry, err := findBy(ctx, s, args[0], t.network)
			if err != nil {
				return err
			}
			to, err := referTo(args[len(args)-1], t.network)
			if err != nil {
				return err
			}
			if to.Transport != reference.Registry {
				return usageErrorf(cmd, "%s is not in a registry; `oci export` writes layouts and archives", to)
			}
			if err := m.check(cmd, place{ref: to}); err != nil {
				return err
			}
			done, err := a.sendOut(ctx, s, []sending{{entry.Descriptor, ""}}, to, m, t)
			if err != nil {
				return err
			}
			return a.printResult(done[0], out)
		},
	}
	t.registerMoves(cmd.Flags())
	m.registerPush(cmd.Flags())
	out.register(cmd.Flags())
	return cmd
}

// sending is an image of the store that goes to another place, under a name there; "" is that of the
// place, or none.
type sending struct {
	ispec.Descriptor
	name string
}

// sendOut writes images of the store to another place, and gives what was written.
func (a *app) sendOut(ctx context.Context, s *store.Store, list []sending, to reference.Ref, m moveFlags, t transferFlags) ([]pulled, error) {
	var results []pulled
	var outs []outgoing
	var also []ispec.Descriptor
	hold, err := s.Hold(ctx)
	if err != nil {
		return nil, err
	}
	defer hold.Release()
	for _, one := range list {
		out, err := a.chooseOut(ctx, s, one.Descriptor, place{ref: to}, m, t)
		if err != nil {
			return nil, err
		}
		out.name = one.name
		found, err := a.carried(ctx, s, storeSource{s, ""}, out.Descriptor, place{ref: to}, m, t)
		if err != nil {
			return nil, err
		}
		var done pulled
		done.named(to.String(), out.Descriptor)
		if one.name != "" && len(list) > 1 {
			done.Name = to.Place() + ":" + one.name
		}
		if img, err := s.Image(ctx, out.Descriptor, out.want); err == nil && !image.IsIndex(out.MediaType) {
			done.describe(img)
		}
		done.refer(found)
		results, outs, also = append(results, done), append(outs, out), append(also, found...)
	}
	sent, err := a.deliver(ctx, s, outs, to, m, t, also)
	if len(results) > 0 {
		results[0].Sent = sent
	}
	return results, err
}

// refer notes what went along.
func (p *pulled) refer(list []ispec.Descriptor) {
	for _, r := range list {
		p.Referrers = append(p.Referrers, r.Digest.String())
	}
}

// carried brings into the store what refers at src to an image and is to go along.
func (a *app) carried(ctx context.Context, s *store.Store, src transport.Source, d ispec.Descriptor, to place, m moveFlags, t transferFlags) ([]ispec.Descriptor, error) {
	carry, must := m.carries(to)
	if !carry {
		return nil, nil
	}
	list, err := a.fetchReferrers(ctx, s, src, d, t)
	if err != nil && !must && unasked(err) {
		a.notes.warnf("what refers to the image stays behind: %w", err)
		return nil, nil
	}
	return list, err
}

// outgoing is what goes to another place.
type outgoing struct {
	ispec.Descriptor
	name string
	want ispec.Platform
	all  bool // an index goes as it is, with all its images that are in the store
	// chosen are the only manifests below it that go; nil is all.
	chosen map[digest.Digest]bool
	// mountFrom is a repository of the destination's registry that has the blobs; "" if none is known.
	mountFrom string
}

// chooseOut says what of d goes to a place: the image for a platform or, if it is here whole or all was
// asked for, the index; for several platforms an index that has those alone.
func (a *app) chooseOut(ctx context.Context, s *store.Store, d ispec.Descriptor, to place, m moveFlags, t transferFlags) (outgoing, error) {
	out := outgoing{Descriptor: d}
	var err error
	if out.want, err = parsePlatform(t.platform); err != nil {
		return out, err
	}
	several := (t.all || len(t.platforms) > 0) && image.IsIndex(d.MediaType)
	if several && to.ref.Transport == reference.DockerArchive {
		return out, usageErrorf(nil, "%s holds one image of a name: give one --platform", to)
	}
	if several && len(t.platforms) > 0 {
		return a.chooseSeveral(ctx, s, out, m, t)
	}
	whole, err := complete(ctx, s, d)
	switch {
	case err != nil:
		return out, err
	case several && !whole && to.inRegistry() && !m.sparse:
		return out, usageErrorf(nil, "a registry takes an index with all its images only, and not all are here: give --platform for those that are, or --sparse to let the registry decide")
	case several, whole && t.platform == "":
		out.all = to.ref.Transport != reference.DockerArchive
		return out, nil
	}
	img, err := s.Image(ctx, d, out.want)
	if err == nil {
		out.Descriptor = img.Descriptor()
	}
	return out, err
}

// chooseSeveral makes the index of several platforms, or with --sparse leaves it and hides the rest.
func (a *app) chooseSeveral(ctx context.Context, s *store.Store, out outgoing, m moveFlags, t transferFlags) (outgoing, error) {
	chosen, err := chosenBelow(ctx, s, out.Descriptor, t.platforms)
	if err != nil {
		return out, err
	}
	out.all, out.chosen = true, chosen
	if m.sparse {
		return out, nil
	}
	made, err := subset(ctx, s, out.Descriptor, chosen, 0)
	if err == nil {
		err = m.changed(out.Descriptor, made)
	}
	if err == nil && made.Digest != out.Digest {
		a.notes.warnf("the index of these platforms alone is %s; that of all is %s, which --sparse keeps", made.Digest, out.Digest)
	}
	out.Descriptor = made
	return out, err
}

// deliver writes to another place what was chosen for it, and beside it what refers to it.
func (a *app) deliver(ctx context.Context, s *store.Store, outs []outgoing, to reference.Ref, m moveFlags, t transferFlags, also []ispec.Descriptor) (sent int64, err error) {
	p := a.showProgress(t)
	defer p.close()
	var n counter
	from := visible(s, outs, also)
	if to.Transport == reference.Registry {
		events := n.events(p.pushed)
		for _, out := range outs {
			o := m.toRegistry(distribution.PushOptions{Events: events, Jobs: t.jobs, MountFrom: out.mountFrom})
			if err := a.pushOut(ctx, s, from, out, to, o, t, also); err != nil {
				return n.n.Load(), err
			}
		}
		return n.n.Load(), nil
	}
	o := transport.ExportOptions{Platform: outs[0].want, Events: n.events(p.written), All: outs[0].all, Also: also, Output: a.out}
	var items []transport.Item
	for _, out := range outs {
		o.All = o.All || out.all // what is not all has been chosen already
		items = append(items, transport.Item{Name: out.name, Descriptor: out.Descriptor})
	}
	err = transport.ExportAll(ctx, from, items, to, o)
	return n.n.Load(), err
}

// visible is the store, with what --sparse leaves behind hidden.
func visible(s *store.Store, outs []outgoing, also []ispec.Descriptor) distribution.Source {
	if len(outs) != 1 || outs[0].chosen == nil {
		return s
	}
	chosen := maps.Clone(outs[0].chosen)
	for _, d := range also {
		chosen[d.Digest] = true
	}
	return sparseStore{s, outs[0].Digest, chosen}
}

// pushOut pushes one image and what refers to it, and remembers where its blobs are now.
func (a *app) pushOut(ctx context.Context, s *store.Store, from distribution.Source, out outgoing, to reference.Ref, o distribution.PushOptions, t transferFlags, also []ispec.Descriptor) error {
	c, err := a.client(t)
	if err != nil {
		return err
	}
	o.Mounts, o.Sessions = mounts(ctx, s, out.Descriptor, to), storeSessions{s}
	if err := c.Push(ctx, to, from, out.Descriptor, o); err != nil {
		return err
	}
	addOrigin(ctx, s, to, out.Descriptor)
	o.Tags, o.Sparse = nil, false
	for _, r := range also {
		if err := c.Push(ctx, to.WithDigest(r.Digest), from, r, o); err != nil {
			return err
		}
	}
	return nil
}

// complete tells whether every manifest of an index is in the store; a manifest is complete.
func complete(ctx context.Context, s *store.Store, d ispec.Descriptor) (bool, error) {
	if !image.IsIndex(d.MediaType) {
		return true, nil
	}
	raw, err := s.ReadBlob(ctx, d, image.MaxManifestSize)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	idx, err := image.DecodeIndex(raw, d.MediaType)
	if err != nil {
		return false, err
	}
	for _, m := range idx.Manifests {
		ok, err := s.Has(ctx, m)
		if ok && err == nil {
			ok, err = complete(ctx, s, m)
		}
		if !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}
