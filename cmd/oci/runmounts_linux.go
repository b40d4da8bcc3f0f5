package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/bundle/convert"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/runtime"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/snapshot"
	"github.com/oci-pipeline/oci/unpack/volume"
)

// imagesDir is where the images and overlays are that a container has mounted: below the directory of the container.
const imagesDir = "images"

// runMounts are the mounts of one run of an image that need the store.
type runMounts struct {
	volumes []string                // that the container has, by name
	paths   []string                // of volumes, and of what --volumes-from shared
	images  map[string]mountedImage // by what the user calls them
	given   map[string]*os.File     // detached mounts, by destination
	shm     specs.Mount             // shared memory of another container; zero without
	count   int                     // of images that are mounted
}

// mountedImage is an image of --mount type=image, with its layers unpacked.
type mountedImage struct {
	image  image.Image
	layers []string // directories to stack, base first; nil: the store cannot hold them
}

// openVolumes gives the volumes of the store.
func (a *app) openVolumes() (*volume.Store, error) {
	root, err := a.storeRoot()
	if err == nil {
		root, err = filepath.Abs(root)
	}
	if err != nil {
		return nil, err
	}
	return volume.Open(filepath.Join(root, "volumes"), volume.Options{Alive: func(id string) bool {
		_, made := a.madeFromImage(id)
		return made
	}}), nil
}

// checkSources looks for what is to be bound from the host, before anything is made: a source that is missing is not made, as
// a slip of the hand would be a directory of root's.
func checkSources(o convert.Options) error {
	sources, err := convert.BindSources(o)
	if err != nil {
		return err
	}
	for _, s := range sources {
		if _, err := os.Stat(s.Path); err != nil {
			return fmt.Errorf("%s %q: %w (it is not made)", s.Flag, s.Value, err)
		}
	}
	return nil
}

// prepareImages gets the images that are to be mounted, pulled if need be, and unpacks their layers.
func (r *imageRun) prepareImages(ctx context.Context) error {
	names, err := convert.MountedImages(r.f.c.o)
	if err != nil || len(names) == 0 {
		return err
	}
	r.mounts.images = map[string]mountedImage{}
	for _, name := range names {
		other := &imageRun{a: r.a, s: r.s, f: r.f}
		if err := other.get(ctx, name); err != nil {
			return fmt.Errorf("--mount type=image, source %s: %w", name, err)
		}
		r.mounts.images[name] = mountedImage{other.image, other.layers}
	}
	return nil
}

// supply lets a conversion ask for the volumes and images of this run.
func (r *imageRun) supply(ctx context.Context, o *convert.Options) {
	r.mounts.given = map[string]*os.File{}
	o.VolumeDir = func(v convert.Volume) (string, error) { return r.volumeDir(ctx, v) }
	o.ImageDir = func(m convert.ImageMount) (string, error) { return r.imageDir(ctx, m) }
	o.OverlayDir = func(m convert.OverlayMount) (string, error) { return r.overlayDir(ctx, m) }
	o.Chown = chownTree
	o.NamespaceOf = r.a.namespaceOf
	o.InitFile = func(program []byte) (string, error) {
		name, err := initIn(r.dir.path)(program)
		return r.dir.join(name), err
	}
	o.MountsOf = func(id string) ([]specs.Mount, error) { return r.mountsOf(ctx, id) }
}

// sharedMounts are those that --volumes-from takes from this container: not parts of volumes, which are no paths.
func (r *imageRun) sharedMounts(o convert.Options) []specs.Mount {
	paths := map[string]bool{}
	sources, _ := convert.BindSources(o) // what it refuses was refused before
	for _, s := range sources {
		paths[s.Path] = true
	}
	for _, p := range r.mounts.paths {
		paths[p] = true
	}
	var shared []specs.Mount
	for _, m := range r.spec.Mounts {
		if m.Type == "bind" && paths[m.Source] && r.mounts.given[path.Clean(m.Destination)] == nil {
			shared = append(shared, m)
		}
	}
	return shared
}

// mountsOf gives what a container of an image has mounted, and takes its volumes for this one too.
func (r *imageRun) mountsOf(ctx context.Context, arg string) ([]specs.Mount, error) {
	id, err := r.a.fullID(arg)
	if err != nil {
		return nil, err
	}
	dir, made := r.a.madeFromImage(id)
	if !made {
		return nil, fmt.Errorf("container %s: %w", arg, runtime.ErrNotExist)
	}
	var rec record
	if err := dir.load(recordFile, &rec); err != nil {
		return nil, err
	}
	for _, name := range rec.Volumes {
		if _, err := r.takeVolume(ctx, volume.Request{Name: name, User: r.id}); err != nil {
			return nil, err
		}
	}
	for _, m := range rec.Shared {
		r.mounts.paths = append(r.mounts.paths, m.Source)
	}
	return rec.Shared, nil
}

// takeVolume takes a volume of the store for this container.
func (r *imageRun) takeVolume(ctx context.Context, request volume.Request) (volume.Info, error) {
	s, err := r.a.openVolumes()
	if err != nil {
		return volume.Info{}, err
	}
	ctx, stop := interruptible(ctx) // much may be copied
	defer stop()
	info, err := s.Use(ctx, request)
	if err == nil && !slices.Contains(r.mounts.volumes, info.Name) {
		r.mounts.volumes = append(r.mounts.volumes, info.Name)
		r.mounts.paths = append(r.mounts.paths, info.Path)
	}
	return info, err
}

func (r *imageRun) volumeDir(ctx context.Context, v convert.Volume) (string, error) {
	uid, gid, mapped := r.rootIDs()
	if !mapped {
		uid, gid = 0, 0
	}
	info, err := r.takeVolume(ctx, volume.Request{Name: v.Name, User: r.id, Seed: seedOf(r.root, v, uid, gid)})
	if err != nil {
		return "", err
	}
	if v.Subpath == "" {
		return info.Path, nil
	}
	data, err := os.Open(info.Path)
	if err != nil {
		return "", err
	}
	defer data.Close()
	// By a descriptor: a container that has the volume may put a link there meanwhile (CVE-2021-25741).
	return filepath.Join(info.Path, v.Subpath), r.giveBelow(data, v.Subpath, v.Destination)
}

// seedOf is what a volume of a container begins with: what the root file system has there, or an empty directory of the owner.
func seedOf(root *os.File, v convert.Volume, uid, gid int) volume.Seed {
	if v.NoCopy {
		root = nil
	}
	return volume.Seed{
		Root: root, Destination: v.Destination, UID: uid, GID: gid, UIDMap: reversed(v.UIDMappings), GIDMap: reversed(v.GIDMappings),
	}
}

// reversed are maps from ids of the host to those of a source that is mounted with maps.
func reversed(maps []specs.LinuxIDMapping) []unpack.IDMap {
	var list []unpack.IDMap
	for _, m := range maps {
		list = append(list, unpack.IDMap{ContainerID: m.HostID, HostID: m.ContainerID, Size: m.Size})
	}
	return list
}

// giveBelow gives the container what is at a path below a directory, links followed inside it.
func (r *imageRun) giveBelow(dir *os.File, sub, destination string) error {
	f, err := volume.OpenIn(dir, sub, unix.O_PATH)
	if err != nil {
		return fmt.Errorf("subpath: %w", err)
	}
	defer f.Close()
	fd, err := unix.OpenTree(int(f.Fd()), "", unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("subpath %s: open_tree: %w", sub, err)
	}
	r.mounts.given[path.Clean(destination)] = os.NewFile(uintptr(fd), sub)
	return nil
}

// nextMountDir is where the next image or overlay of the container has its files.
func (r *imageRun) nextMountDir() string {
	r.mounts.count++
	return r.dir.join(filepath.Join(imagesDir, strconv.Itoa(r.mounts.count-1)))
}

// imageDir mounts an image as the root file system of a container is made: an overlay of its layers, else a copy of them.
func (r *imageRun) imageDir(ctx context.Context, m convert.ImageMount) (string, error) {
	img := r.mounts.images[m.Image]
	dir := r.nextMountDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	mount, err := r.mountImage(ctx, img, dir, m.Writable)
	if err == nil && m.Subpath == "" {
		r.mounts.given[path.Clean(m.Destination)] = mount
		return dir, nil
	}
	if err == nil {
		defer mount.Close()
		if err := r.giveBelow(mount, m.Subpath, m.Destination); !errors.Is(err, unix.EINVAL) {
			return filepath.Join(dir, m.Subpath), err
		}
		err = snapshot.ErrOverlay // before Linux 6.15 a part of a detached mount cannot be cloned
	}
	if !errors.Is(err, snapshot.ErrOverlay) {
		return "", err
	}
	return r.copyImage(ctx, img, filepath.Join(dir, rootfsDir), m)
}

// overlayDir mounts a directory of the host so that changes are kept elsewhere: beside the container, or where the user wants them.
func (r *imageRun) overlayDir(ctx context.Context, m convert.OverlayMount) (string, error) {
	if info, err := os.Stat(m.Source); err != nil || !info.IsDir() {
		return "", errors.Join(err, fmt.Errorf("overlay: %s is no directory", m.Source))
	}
	dir := r.nextMountDir()
	o := snapshot.MountOptions{Layers: []string{m.Source}, Upper: m.Upper, Work: m.Work, UserXattr: rootless()}
	if o.Upper == "" {
		o.Upper, o.Work = filepath.Join(dir, upperDir), filepath.Join(dir, workDir)
	}
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.MkdirAll(o.Upper, 0o755), os.MkdirAll(o.Work, 0o700)); err != nil {
		return "", err
	}
	mount, err := snapshot.Mount(ctx, o)
	if err == nil {
		r.mounts.given[path.Clean(m.Destination)] = mount
	}
	return dir, err
}

// mountImage gives a detached mount of the layers of an image; what is written to it is below dir.
func (r *imageRun) mountImage(ctx context.Context, img mountedImage, dir string, writable bool) (*os.File, error) {
	if img.layers == nil || r.f.storage == storageCopy {
		return nil, snapshot.ErrOverlay
	}
	o := snapshot.MountOptions{Layers: img.layers, UserXattr: rootless(), UIDMap: r.uids, GIDMap: r.gids}
	if writable {
		o.Upper, o.Work = filepath.Join(dir, upperDir), filepath.Join(dir, workDir)
		if err := errors.Join(os.Mkdir(o.Upper, 0o755), os.Mkdir(o.Work, 0o700)); err != nil {
			return nil, err
		}
	}
	return snapshot.Mount(ctx, o)
}

func (r *imageRun) copyImage(ctx context.Context, img mountedImage, dir string, m convert.ImageMount) (string, error) {
	var err error
	if img.layers == nil {
		o := r.a.unpackOptions()
		o.Devices, o.UIDMap, o.GIDMap = unpack.DeviceSkip, r.uids, r.gids
		_, err = unpack.Unpack(ctx, img.image.Layers(), r.s, dir, o)
	} else {
		_, err = snapshot.Copy(ctx, dir, snapshot.CopyOptions{Layers: img.layers, UIDMap: r.uids, GIDMap: r.gids})
	}
	if err != nil || m.Subpath == "" {
		return dir, err
	}
	f, err := os.Open(dir)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return filepath.Join(dir, m.Subpath), r.giveBelow(f, m.Subpath, m.Destination)
}

// givenMounts are the detached mounts by their place in the config.
func (r *imageRun) givenMounts() map[int]*os.File {
	given := map[int]*os.File{}
	for i, m := range r.spec.Mounts {
		if f := r.mounts.given[path.Clean(m.Destination)]; f != nil {
			given[i] = f
		}
	}
	return given
}

// close closes what was given to the container.
func (m *runMounts) close() {
	for _, f := range m.given {
		f.Close() // a mount that is attached, or goes
	}
}

// discard removes the directory of the container, and the volumes that were made for it alone.
func (r *imageRun) discard() error { return r.a.discardContainer(r.dir, r.mounts.volumes, true) }

// discardContainer removes the directory of a container and lets go of its volumes; anonymous ones are removed if wanted.
func (a *app) discardContainer(dir containerDir, volumes []string, anonymous bool) error {
	return errors.Join(dir.remove(), a.releaseVolumes(filepath.Base(dir.path), volumes, anonymous))
}

func (a *app) releaseVolumes(id string, volumes []string, anonymous bool) error {
	if len(volumes) == 0 {
		return nil
	}
	s, err := a.openVolumes()
	if err != nil {
		return err
	}
	return s.Release(id, volumes, anonymous)
}

// systemDirs are directories that the machine lives on. podman refuses to give them away too: one U too many would.
func systemDirs() []string {
	return []string{
		"/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib32", "/lib64", "/libx32", "/media", "/mnt", "/opt", "/proc", "/root",
		"/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/lib64", "/usr/local", "/usr/sbin", "/usr/share",
		"/var", "/var/cache", "/var/lib", "/var/log", "/var/run", "/var/spool", "/var/tmp",
	}
}

// chownTree gives a file or a directory with all that is in it to an owner. No link is followed, and no other file system entered.
func chownTree(name string, uid, gid uint32) error {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	if slices.Contains(systemDirs(), real) {
		return fmt.Errorf("%s is a directory of the system: its owner is not changed", real)
	}
	info, err := os.Lstat(real)
	if err != nil || !info.IsDir() {
		return errors.Join(err, os.Lchown(real, int(uid), int(gid)))
	}
	root, err := os.OpenRoot(real)
	if err != nil {
		return err
	}
	defer root.Close()
	device := deviceOf(info)
	return fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if info, err := d.Info(); err == nil && deviceOf(info) != device {
				return fs.SkipDir
			}
		}
		return root.Lchown(p, int(uid), int(gid))
	})
}

func deviceOf(info fs.FileInfo) uint64 {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return uint64(st.Dev) //nolint:unconvert // it is narrower on other machines
}

// copyTree copies what a directory has into another one that is empty: for the runtime, which knows no layers.
func copyTree(ctx context.Context, from, to *os.File) error {
	here := func(f *os.File) string { return "/proc/self/fd/" + strconv.Itoa(int(f.Fd())) + "/." }
	_, err := snapshot.Copy(ctx, here(to), snapshot.CopyOptions{Layers: []string{here(from)}})
	return err
}
