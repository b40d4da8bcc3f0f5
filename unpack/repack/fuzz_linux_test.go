package repack_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/repack"
	"github.com/oci-pipeline/oci/unpack/tartest"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// FuzzLayer: whatever a tree has for names, targets, numbers and xattrs, a layer of it is refused or gives the same
// tree again. Content is none: there is no disk under it.
func FuzzLayer(f *testing.F) {
	f.Add("a", "b", uint32(0o644), uint32(0), uint32(0), int64(0), int32(0), "user.x", "v", uint8(0))
	f.Add("d\xff/"+strings.Repeat("n", 200), "t\n", uint32(0o6777), uint32(3_000_000), uint32(1<<31), int64(-5), int32(999_999_999), "user.a=b", "\x00\n", uint8(3))
	f.Add("é", "", uint32(1), uint32(1<<21), uint32(7), int64(1)<<33, int32(1), "security.capability", "", uint8(5))
	f.Fuzz(func(t *testing.T, path, link string, mode, uid, gid uint32, sec int64, nsec int32, xattr, value string, kind uint8) {
		before := tree.New()
		l := before.Layer(1, tree.Options{})
		e := &unpack.Entry{Kind: unpack.Directory, Path: "d", Mode: 0o755, Mtime: created, Position: -1}
		if err := l.Add(e); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		n := &tree.Node{
			Kind: unpack.Regular + unpack.Kind(kind%7), Mode: mode & 0o7777, UID: uid, GID: gid, Sec: sec, Nsec: nsec, Link: link,
			Major: uid & 0xfff, Minor: gid & 0xfffff, Names: 1, Position: -1,
		}
		if xattr != "" && !unpack.HostXattr(xattr) {
			n.Xattrs = []unpack.Xattr{{Name: xattr, Value: value}}
		}
		if !sound(path, n) {
			return
		}
		changes := []tree.Change{{Path: path, Kind: tree.Added, New: n}}
		plan, err := repack.NewPlan(before, before, changes, repack.PlanOptions{})
		if err != nil {
			if !errors.Is(err, repack.ErrName) {
				t.Fatal(err)
			}
			return
		}
		var b bytes.Buffer
		layer, err := plan.Write(context.Background(), open(t, "testdata"), &b, repack.Options{Compression: image.Uncompressed})
		if err != nil {
			if !errors.Is(err, repack.ErrEntry) && !errors.Is(err, repack.ErrChanged) {
				t.Fatal(err)
			}
			return
		}
		if _, err := io.Copy(io.Discard, tar.NewReader(bytes.NewReader(b.Bytes()))); err != nil {
			t.Fatal(err)
		}
		blobs := tartest.Blobs{layer.Descriptor.Digest: b.Bytes()}
		after, err := tree.OfLayers(context.Background(), []image.Layer{layer.Layer}, blobs, tree.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := after.Lookup(path)
		if got == nil {
			t.Fatalf("%q is not in the layer", path)
		}
		one, other := tree.New(), tree.New()
		*one.Root, *other.Root = *got, *n
		if d := diff(one, other); len(d) > 0 && n.Kind != unpack.Directory {
			t.Fatalf("%q is another file:\n%s", path, lines(d))
		}
	})
}

// sound leaves out what no file on a disk is: its kernel would not have let it be made.
func sound(path string, n *tree.Node) bool {
	if n.Kind == unpack.Hardlink || n.Nsec < 0 || n.Nsec > 999_999_999 || n.UID == 1<<32-1 || n.GID == 1<<32-1 {
		return false
	}
	if n.Kind != unpack.Symlink {
		n.Link = ""
	} else if n.Link == "" || strings.ContainsRune(n.Link, 0) || len(n.Link) > 4095 {
		return false
	}
	if n.Kind == unpack.Symlink {
		n.Mode = 0o777
	}
	if n.Kind != unpack.CharDevice && n.Kind != unpack.BlockDevice {
		n.Major, n.Minor = 0, 0
	} else if n.Major == 0 && n.Minor == 0 {
		return false // a whiteout of overlayfs
	}
	for _, x := range n.Xattrs {
		if strings.HasPrefix(x.Name, "user.") && n.Kind != unpack.Regular && n.Kind != unpack.Directory {
			return false // xattr(7)
		}
		// Of the namespaces that the kernel has, system holds ACLs, whose values are no raw bytes.
		space, rest, _ := strings.Cut(x.Name, ".")
		if space != "user" && space != "trusted" && space != "security" || rest == "" || len(x.Name) > 255 || strings.ContainsRune(x.Name, 0) || len(x.Value) > 64<<10 {
			return false
		}
	}
	dir, name := "", path
	if rest, ok := strings.CutPrefix(path, "d/"); ok {
		dir, name = "d", rest
	}
	return name != "" && name != "." && name != ".." && len(name) <= 255 && !strings.ContainsAny(name, "/\x00") && (dir != "" || name != "d")
}
