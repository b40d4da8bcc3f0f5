package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/runtime"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/snapshot"
)

// unnamedFile makes a file on the disk of dir that has no name and is gone when it is closed, or the process is.
func unnamedFile(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), filepath.Join(dir, "layer")), nil
	}
	f, err := os.CreateTemp(dir, ".layer-*") // a file system without O_TMPFILE, as NFS
	if err == nil {
		err = os.Remove(f.Name())
	}
	return f, err
}

// changedContainer shows what a container has as its root file system: its layers with what it wrote laid
// over them, or its own copy. A container that runs is refused: what it writes meanwhile would be in the
// image by halves, and the kernel does not say what a second mount of it shows.
func (a *app) changedContainer(ctx context.Context, s *store.Store, f *repackFlags) (root changedRoot, err error) {
	if f.base != "" {
		return root, usageErrorf(nil, "--base is known of a container")
	}
	if len(f.maps.uids)+len(f.maps.gids) > 0 {
		return root, usageErrorf(nil, "--uid-map and --gid-map are known of a container")
	}
	id, err := a.fullID(f.container)
	if err != nil {
		return root, err
	}
	dir, made := a.madeFromImage(id)
	if !made {
		return root, fmt.Errorf("container %s: %w among the containers made from images", id, runtime.ErrNotExist)
	}
	if _, err := a.load(id); err == nil {
		return root, fmt.Errorf("container %s: it has not ended; `oci stop` stops it", id)
	} else if !errors.Is(err, runtime.ErrNotExist) {
		return root, err
	}
	var rec record
	if err := dir.load(recordFile, &rec); err != nil {
		return root, err
	}
	if root.base, err = imageByDigest(ctx, s, digest.Digest(rec.Digest)); err != nil {
		return root, err
	}
	root.baseName = rec.Image
	root.how.SingleID = singleID()
	if rootless() {
		root.how.LeftOut = usersLack()
	}
	if b, err := bundle.Load(dir.path); err == nil {
		root.ranAs(b.Spec)
	}
	return root, a.containerRoot(ctx, s, dir, &root)
}

// ranAs takes from the config of a container what the image need not know: mount points may have been made for it, and
// with id maps its files belong to ids of the host.
func (r *changedRoot) ranAs(spec *specs.Spec) {
	for _, m := range spec.Mounts {
		r.masks = append(r.masks, filepath.Clean("/"+m.Destination))
	}
	if spec.Linux == nil || rootless() {
		return // the maps of a user who is not root are those of this process
	}
	idMaps := func(list []specs.LinuxIDMapping) (maps []unpack.IDMap) {
		for _, m := range list {
			maps = append(maps, unpack.IDMap(m))
		}
		return maps
	}
	r.how.UIDMap, r.how.GIDMap = idMaps(spec.Linux.UIDMappings), idMaps(spec.Linux.GIDMappings)
}

// containerRoot opens the root file system of a container that has ended: with id maps, as the container had it.
func (a *app) containerRoot(ctx context.Context, s *store.Store, dir containerDir, root *changedRoot) error {
	upper := dir.join(upperDir)
	if _, err := os.Lstat(upper); err != nil {
		root.dir, err = os.Open(dir.join(rootfsDir)) // a copy
		return err
	}
	l, err := a.openLayers(s, nil)
	if err != nil {
		return err
	}
	layers, err := l.Ensure(ctx, root.base.Layers(), s)
	if err != nil {
		return err
	}
	root.mapped = root.how.UIDMap != nil
	root.dir, err = snapshot.Mount(ctx, snapshot.MountOptions{
		Layers: layers, Top: upper, ReadOnly: true, UserXattr: rootless(), Scratch: dir.join(rootfsDir),
		UIDMap: root.how.UIDMap, GIDMap: root.how.GIDMap,
	})
	return err
}

// imageByDigest gives the image whose manifest the store has, under whatever name.
func imageByDigest(ctx context.Context, s *store.Store, d digest.Digest) (image.Image, error) {
	if err := image.ValidateDigest(d); err != nil {
		return image.Image{}, err
	}
	info, err := os.Stat(filepath.Join(s.Root(), ispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded()))
	if err != nil {
		return image.Image{}, fmt.Errorf("%s: %w: the image that it was made from; pull it again", d, store.ErrNotFound)
	}
	manifest := ispec.Descriptor{Digest: d, Size: info.Size()}
	raw, err := s.ReadBlob(ctx, manifest, image.MaxManifestSize)
	if err != nil {
		return image.Image{}, err
	}
	if manifest.MediaType, err = image.DetectMediaType(raw); err != nil {
		return image.Image{}, err
	}
	return s.Image(ctx, manifest, ispec.Platform{})
}
