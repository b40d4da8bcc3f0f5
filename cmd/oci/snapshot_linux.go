package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/snapshot"
)

// openLayers opens the unpacked layers of a store. The options are always the same for one user:
// layers are shared by all containers.
func (a *app) openLayers(s *store.Store, events image.EventFunc) (*snapshot.Store, error) {
	return openLayers(s, a.unpackOptions(), events)
}

func openLayers(s *store.Store, o unpack.Options, events image.EventFunc) (*snapshot.Store, error) {
	o.UserXattr = rootless() // what a user namespace may mount (overlayfs.rst, userxattr)
	o.Events = events
	return snapshot.Open(s.LayersDir(), snapshot.Options{Unpack: o})
}

// unpackLayers unpacks the layers of the image that are not there yet and gives the directories to
// stack.
func (r *imageRun) unpackLayers(ctx context.Context) ([]string, error) {
	t := r.f.t
	t.quiet = t.quiet || !isTerminal(r.a.err)
	p := r.a.showProgress(t)
	defer p.close()
	o := r.a.unpackOptions()
	defer summarise(o.Logger)
	l, err := openLayers(r.s, o, func(e image.Event) {
		if e.Kind != image.EventReused { // nothing is done for what is there
			p.event(e)
		}
	})
	if err != nil {
		return nil, err
	}
	return l.Ensure(ctx, r.image.Layers(), r.s)
}

// mount stacks the layers and the container's own writable directory to a root file system that
// is attached nowhere: it goes when the container and this process have.
func (r *imageRun) mount(ctx context.Context) (err error) {
	o := snapshot.MountOptions{Layers: r.layers, Upper: r.dir.join(upperDir), Work: r.dir.join(workDir), UserXattr: rootless()}
	if r.f.remove {
		// Nobody will read the changes again: the kernel need not write them out when the mount ends,
		// which would take longer than a short program runs (overlayfs.rst, volatile mount).
		o.Options = []string{"volatile"}
	}
	// The root of the container has the mode of its upper directory; 0755 is what layers say when
	// they say nothing.
	if err := errors.Join(os.Mkdir(o.Upper, 0o755), os.Mkdir(o.Work, 0o700)); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	r.root, err = snapshot.Mount(ctx, o)
	return err
}
