package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/snapshot/internal/merge"
)

// builder makes the directory that settles what a layer leaves to the layers below it.
type builder struct {
	lower    *merge.View // what is below the layer
	whole    *merge.View // with the layer
	dst      int
	implicit map[string]bool
	links    [][2][]byte
	replaced [][2][]byte
	marked   [][]byte
	dirs     []string               // made in dst, parents first
	source   map[string]*merge.View // what shows the attributes that they get

	work      *stackWork
	made      int64            // names in dst
	dirsBelow []string         // the layer directories below
	copies    map[inode]string // files of the layers below that are in dst, by their name there
	linkNames map[string]bool  // the names in links
}

func newBuilder(dst string, lower []string, own string, m *marker, w *stackWork) (*builder, error) {
	fd, err := unix.Open(dst, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	b := &builder{dst: fd, implicit: map[string]bool{}, links: m.Links, replaced: m.Replaced, marked: m.Whiteouts, source: map[string]*merge.View{}}
	b.work, b.dirsBelow, b.copies, b.linkNames = w, lower, map[inode]string{}, map[string]bool{}
	for _, l := range m.Links {
		b.linkNames[string(l[0])] = true
	}
	for _, p := range m.Implicit {
		b.implicit[string(p)] = true
	}
	whole := append(slices.Clone(lower), own)
	if m.OpaqueRoot {
		whole = []string{own}
	}
	if b.lower, err = merge.Open(lower); err == nil {
		b.whole, err = merge.Open(whole)
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *builder) close() {
	b.lower.Close()
	b.whole.Close()
	unix.Close(b.dst)
}

// build makes everything; it tells whether that was nothing. Its time is that of the layer's entries and of the files
// below, not of their product: an image is not trusted.
func (b *builder) build(ctx context.Context) (empty bool, err error) {
	if err := b.buildDirs(ctx); err != nil {
		return false, err
	}
	for _, l := range b.replaced {
		if err := ctx.Err(); err != nil {
			return false, context.Cause(ctx)
		}
		low, err := b.linked(string(l[0]), string(l[1]))
		if err != nil {
			return false, err
		}
		low.Close()
	}
	for _, l := range b.links {
		if err := b.link(ctx, string(l[0]), string(l[1])); err != nil {
			return false, fmt.Errorf("%q: %w", l[0], err)
		}
	}
	for _, p := range slices.Backward(b.dirs) {
		if err := ctx.Err(); err != nil {
			return false, context.Cause(ctx)
		}
		if err := b.attributes(p); err != nil {
			return false, fmt.Errorf("%q: %w", p, err)
		}
	}
	return len(b.dirs) == 0, nil
}

// buildDirs makes the directories that the layer only passes through, and those that hold whiteouts.
func (b *builder) buildDirs(ctx context.Context) error {
	paths := make([]string, 0, len(b.implicit))
	for p := range b.implicit {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	for _, p := range paths {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		same, err := b.sameAttributes(p)
		if err != nil {
			return err
		}
		if !same {
			if err := b.dir(p); err != nil {
				return err
			}
		}
	}
	for _, p := range b.marked {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := b.merge(string(p)); err != nil {
			return fmt.Errorf("%q: %w", p, err)
		}
	}
	return nil
}

// sameAttributes tells whether a directory without an entry has the attributes of the one below
// already, or there is none below.
func (b *builder) sameAttributes(path string) (bool, error) {
	low, err := b.lower.Find(path)
	if err == unix.ENOENT {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer low.Close()
	if low.Stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		return true, nil
	}
	top, err := b.whole.Find(path)
	if err != nil {
		return false, err
	}
	defer top.Close()
	if low.Stat.Mode != top.Stat.Mode || low.Stat.Uid != top.Stat.Uid || low.Stat.Gid != top.Stat.Gid || low.Stat.Mtim != top.Stat.Mtim {
		return false, nil
	}
	lx, err := low.Xattrs()
	if err != nil {
		return false, err
	}
	tx, err := top.Xattrs()
	return slices.Equal(lx, tx), err
}

// merge makes a directory that holds whiteouts a merged one, if it is not: overlayfs lists them else.
func (b *builder) merge(path string) error {
	n, err := b.whole.Count(path)
	if err != nil || n != 1 || path == "" {
		return err
	}
	return b.dir(path)
}

// dir makes the directory path in dst, and those above it, and notes whose attributes each gets.
func (b *builder) dir(path string) error {
	if b.source[path] != nil {
		return nil
	}
	if path != "" {
		up, _ := cut(path)
		if err := b.dir(up); err != nil {
			return err
		}
	}
	view := b.whole
	if b.implicit[path] {
		if f, err := b.lower.Find(path); err == nil {
			isDir := f.Stat.Mode&unix.S_IFMT == unix.S_IFDIR
			f.Close()
			if isDir {
				view = b.lower
			}
		}
	}
	if err := b.count(); err != nil {
		return err
	}
	b.source[path] = view
	b.dirs = append(b.dirs, path)
	if path == "" {
		return nil
	}
	parent, base, err := b.parent(path)
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	return unix.Mkdirat(parent, base, 0o700)
}

// linked finds the file below that a hardlink means.
func (b *builder) linked(name, target string) (*merge.File, error) {
	low, err := b.lower.Find(target)
	if err == unix.ENOENT || err == nil && low.IsDir() {
		if err == nil {
			low.Close()
		}
		return nil, &unpack.Error{
			Op: "apply", Subject: name, Clause: spec.LayerHardlink,
			Err: fmt.Errorf("%w: hardlink to %q, which does not exist", unpack.ErrLink, target),
		}
	}
	return low, err
}

// link copies the file that a hardlink means, and gives it all its names that are still there.
func (b *builder) link(ctx context.Context, name, target string) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	low, err := b.linked(name, target)
	if err != nil {
		return err
	}
	defer low.Close()
	inode := inode{low.Stat.Dev, low.Stat.Ino}
	if first, ok := b.copies[inode]; ok {
		return b.linkTo(first, name)
	}
	up, _ := cut(name)
	if err := b.dir(up); err != nil {
		return err
	}
	parent, base, err := b.parent(name)
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	if err := errors.Join(b.count(), b.work.copies(low)); err != nil {
		return err
	}
	if err := low.CopyTo(ctx, parent, base); err != nil {
		return err
	}
	b.copies[inode] = name
	names, err := b.work.names(ctx, b.dirsBelow, low, target)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if n != name && b.visible(n, low) {
			if err := b.linkTo(name, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// linkTo gives the file from, which is in dst, the name to as well.
func (b *builder) linkTo(from, to string) error {
	up, _ := cut(to)
	if err := errors.Join(b.count(), b.dir(up)); err != nil {
		return err
	}
	fparent, fbase, err := b.parent(from)
	if err != nil {
		return err
	}
	defer unix.Close(fparent)
	tparent, tbase, err := b.parent(to)
	if err != nil {
		return err
	}
	defer unix.Close(tparent)
	if err := unix.Linkat(fparent, fbase, tparent, tbase, 0); err != unix.EEXIST {
		return err
	}
	return nil
}

// parent opens the directory of path in dst.
func (b *builder) parent(path string) (int, string, error) {
	fd, err := unix.Openat(b.dst, ".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	up, base := cut(path)
	for comp := range strings.SplitSeq(up, "/") {
		if err != nil || comp == "" {
			continue
		}
		var next int
		next, err = unix.Openat(fd, comp, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		unix.Close(fd)
		fd = next
	}
	return fd, base, err
}

// attributes gives a directory of dst the attributes of its source.
func (b *builder) attributes(path string) error {
	fd := b.dst
	if path != "" {
		parent, base, err := b.parent(path)
		if err != nil {
			return err
		}
		defer unix.Close(parent)
		if fd, err = unix.Openat(parent, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		defer unix.Close(fd)
	}
	source, err := b.source[path].Find(path)
	if err != nil {
		return err
	}
	defer source.Close()
	return source.AttributesTo(fd, merge.IDs{})
}

// cut cuts a path at its last slash; dir is "" at the root.
func cut(path string) (dir, base string) {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}
