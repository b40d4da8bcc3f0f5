package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/conformance/spec"
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
func (r *imageRun) unpackLayers(ctx context.Context, w *layerWork) ([]string, error) {
	l, err := w.open()
	if err != nil {
		return nil, err
	}
	t := r.f.t
	t.quiet = t.quiet || !isTerminal(r.a.err)
	p := r.a.showProgress(t)
	defer p.close()
	w.showIn(p)
	w.wait()
	stack, err := l.EnsureStack(ctx, r.image.Layers(), r.s)
	if r.f.storage != storageOverlay && noWhiteouts(err) {
		r.merged = true
		return nil, nil
	}
	r.devices = stack.Devices
	return stack.Dirs, err
}

// noWhiteouts tells whether layers cannot be unpacked each by itself: overlayfs, where the store of a
// container in a container often is, lets nobody make the marks that overlayfs understands.
func noWhiteouts(err error) bool {
	var e *unpack.Error
	return errors.As(err, &e) && e.Clause == spec.LayerWhiteout && errors.Is(err, unpack.ErrDevice)
}

// Ways to make a root file system of layers.
const (
	storageAuto    = "auto"    // the first of the others that is to be had
	storageOverlay = "overlay" // mount the layers, and a directory for what is changed
	storageCopy    = "copy"    // copy the layers, sharing blocks where the file system can
)

// checkStorage settles which way is wanted: the flag, else the environment.
func (f *runFlags) checkStorage() error {
	from := "--storage"
	if f.storage == "" {
		f.storage, from = os.Getenv(envStorage), "$"+envStorage
	}
	switch f.storage {
	case "":
		f.storage = storageAuto
	case storageAuto, storageOverlay, storageCopy:
	default:
		return usageErrorf(nil, "%s: %q is none of overlay, copy, auto", from, f.storage)
	}
	_, _, err := f.ids.maps()
	return err
}

// makeRoot makes the root file system: an overlay mount if it may and can be one, else a copy.
func (r *imageRun) makeRoot(ctx context.Context) error {
	if r.merged {
		r.a.log.Warn("this file system holds no layers, only what they make together: the image is unpacked for this container alone")
	} else if r.f.storage != storageCopy {
		err := r.mount(ctx)
		switch {
		case err == nil:
			r.storage = storageOverlay
			return nil
		case r.f.storage == storageOverlay || !errors.Is(err, snapshot.ErrOverlay):
			return err
		}
		r.a.log.Warn("the layers cannot be mounted and are copied for this container; --storage copy does not try", "error", err)
		if err := errors.Join(os.Remove(r.dir.join(upperDir)), os.RemoveAll(r.dir.join(workDir))); err != nil {
			return fmt.Errorf("run: %w", err)
		}
	}
	r.storage = storageCopy
	return keepStatus(r.copy(ctx))
}

// mount stacks the layers and the container's own writable directory to a root file system that
// is attached nowhere: it goes when the container and this process have.
func (r *imageRun) mount(ctx context.Context) (err error) {
	o := snapshot.MountOptions{
		Layers: r.layers, Upper: r.dir.join(upperDir), Work: r.dir.join(workDir), UserXattr: rootless(),
		UIDMap: r.uids, GIDMap: r.gids,
	}
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

// copy makes the container's directory a whole bundle: its rootfs is a copy of the layers. That takes
// its time on a file system that cannot share blocks, and can be broken off.
func (r *imageRun) copy(ctx context.Context) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	dir := r.dir.join(rootfsDir)
	if err := r.fill(ctx, dir); err != nil {
		return err
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("run: open_tree %s: %w", dir, err)
	}
	r.root = os.NewFile(uintptr(fd), dir)
	return nil
}

// fill makes dir what the layers show.
func (r *imageRun) fill(ctx context.Context, dir string) error {
	if r.merged {
		o := r.a.unpackOptions()
		r.f.devices.apply(r.a, &o)
		o.UIDMap, o.GIDMap = r.uids, r.gids
		defer summarise(o.Logger)
		rootfs, err := unpack.Unpack(ctx, r.image.Layers(), r.s, dir, o)
		r.devices = rootfs.Devices()
		return err
	}
	done, err := snapshot.Copy(ctx, dir, snapshot.CopyOptions{Layers: r.layers, UIDMap: r.uids, GIDMap: r.gids})
	if err != nil {
		return err
	}
	r.a.log.Debug("copied the layers", "files", done.Entries, "bytes shared", done.Shared, "bytes copied", done.Copied)
	if done.LostXattrs > 0 {
		r.a.log.Warn("the copy lacks extended attributes that its file system or this user cannot have", slog.Int64("number", done.LostXattrs))
	}
	return nil
}

// rootIDs are the ids on the host of the container's root; ok is false where they are those of this process.
func (r *imageRun) rootIDs() (uid, gid int, ok bool) {
	find := func(maps []unpack.IDMap) int {
		for _, m := range maps {
			if m.ContainerID == 0 {
				return int(m.HostID)
			}
		}
		return -1 // chown(2): leave it
	}
	return find(r.uids), find(r.gids), r.uids != nil
}
