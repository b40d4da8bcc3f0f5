package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/bundle/convert"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/volume"
)

// bundleFiles makes the volumes and images of a bundle, in the bundle: config.json names them relative to it (runtime-spec
// config.md, mounts), so that it can be moved.
type bundleFiles struct {
	a      *app
	s      *store.Store
	dir    string // of the bundle
	rootfs *os.File
	t      transferFlags
	policy string
	unpack unpack.Options

	named  map[string]bool
	count  int // of volumes without a name
	images int
}

// bundleVolumes is the directory of the volumes of a bundle; one without a name is called _N there, which is no name.
const bundleVolumes = "volumes"

// supplyBundle lets a conversion ask for the volumes and images of a bundle.
func (a *app) supplyBundle(ctx context.Context, s *store.Store, dir, rootfs string, t transferFlags, l bundleLayout, o *convert.Options) (done func(), err error) {
	b := &bundleFiles{a: a, s: s, dir: dir, t: t, policy: cmp.Or(l.policy, pullMissing), unpack: l.unpack, named: map[string]bool{}}
	b.unpack.Logs, b.unpack.LeftOut = nil, nil // what is recorded is the root file system
	if b.rootfs, err = os.Open(rootfs); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	o.VolumeDir = func(v convert.Volume) (string, error) { return b.volume(ctx, v) }
	o.ImageDir = func(m convert.ImageMount) (string, error) { return b.image(ctx, m) }
	o.Chown = func(path string, uid, gid uint32) error {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		return chownTree(path, uid, gid)
	}
	return func() { b.rootfs.Close() }, nil
}

func (b *bundleFiles) volume(ctx context.Context, v convert.Volume) (string, error) {
	if v.Subpath != "" {
		return "", fmt.Errorf("subpath: a bundle names its files by their paths, and what has the volume could put a link at this one; mount the whole")
	}
	name := filepath.Join(bundleVolumes, v.Name)
	if v.Name == "" {
		name = filepath.Join(bundleVolumes, "_"+strconv.Itoa(b.count))
		b.count++
	}
	if b.named[name] {
		return name, nil
	}
	if err := os.MkdirAll(filepath.Join(b.dir, bundleVolumes), 0o755); err != nil {
		return "", err
	}
	b.named[name] = true
	return name, volume.Fill(ctx, filepath.Join(b.dir, name), seedOf(b.rootfs, v, rootOf(b.unpack.UIDMap), rootOf(b.unpack.GIDMap)))
}

// rootOf is the id of the host for 0 of the container.
func rootOf(maps []unpack.IDMap) int {
	for _, m := range maps {
		if m.ContainerID == 0 {
			return int(m.HostID)
		}
	}
	return 0
}

// image unpacks an image into the bundle. What a part of it is cannot change: it is mounted read-only.
func (b *bundleFiles) image(ctx context.Context, m convert.ImageMount) (string, error) {
	if m.Subpath != "" && m.Writable {
		return "", fmt.Errorf("subpath: not of an image that is written to, in a bundle")
	}
	_, img, err := b.a.ensure(ctx, b.s, m.Image, b.policy, b.t)
	if err != nil {
		return "", err
	}
	name := filepath.Join(imagesDir, strconv.Itoa(b.images))
	b.images++
	if err := os.MkdirAll(filepath.Join(b.dir, imagesDir), 0o755); err != nil {
		return "", err
	}
	rootfs, err := b.a.unpack(ctx, b.s, img, filepath.Join(b.dir, name), b.t, b.unpack)
	if err != nil || m.Subpath == "" {
		return name, err
	}
	dir, err := os.Open(rootfs.Dir())
	if err != nil {
		return "", err
	}
	defer dir.Close()
	return pathBelow(dir, name, m.Subpath)
}

// pathBelow gives the path of what is at a subpath of a directory, links followed inside it, with name in place of the directory.
func pathBelow(dir *os.File, name, sub string) (string, error) {
	f, err := volume.OpenIn(dir, sub, unix.O_PATH)
	if err != nil {
		return "", fmt.Errorf("subpath: %w", err)
	}
	defer f.Close()
	base, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(dir.Fd())))
	if err != nil {
		return "", err
	}
	found, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(base, found)
	if err != nil || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("subpath %s: it leads out of the image", sub)
	}
	return filepath.Join(name, rel), nil
}
