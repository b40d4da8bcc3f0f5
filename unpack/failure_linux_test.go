package unpack_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// failingBlobs fails, or calls what, in the middle of one blob.
type failingBlobs struct {
	tartest.Blobs
	at   ispec.Descriptor
	what func() error
}

func (b failingBlobs) Open(ctx context.Context, d ispec.Descriptor) (io.ReadCloser, error) {
	rc, err := b.Blobs.Open(ctx, d)
	if err == nil && d.Digest == b.at.Digest {
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(rc, d.Size/2), readerFunc(b.what)), rc}, nil
	}
	return rc, err
}

type readerFunc func() error

func (f readerFunc) Read([]byte) (int, error) { return 0, f() }

// TestFailure_third_of_five: whatever is wrong with the third layer of five, the target is gone if it was
// new, and an empty directory with the attributes it had if it was there; the error names the layer.
func TestFailure_third_of_five(t *testing.T) {
	needRoot(t)
	good := tartest.Archive(dir("d"), file("d/third", strings.Repeat("content ", 10000)), sym("l", "/etc"))
	unreadable := errors.New("unreadable")
	for name, c := range map[string]struct {
		layer func(b tartest.Blobs) image.Layer
		what  func(cancel func()) error
		want  error
	}{
		"unsafe":       {layer: func(b tartest.Blobs) image.Layer { return b.Layer(file("d/x", "y"), file("d/../../out/x", "y")) }, want: unpack.ErrUnsafePath},
		"other DiffID": {layer: func(b tartest.Blobs) image.Layer { return b.Add(ispec.MediaTypeImageLayer, good, []byte("other")) }, want: unpack.ErrDiffID},
		"cut":          {layer: func(b tartest.Blobs) image.Layer { return b.Tar(good[:3000]) }, want: unpack.ErrTar},
		"other blob": {layer: func(b tartest.Blobs) image.Layer {
			l := b.Tar(good)
			b[l.Descriptor.Digest] = xor(good, len(good)/2)
			return l
		}, want: image.ErrDigestMismatch},
		"too much":   {layer: func(b tartest.Blobs) image.Layer { return b.Layer(file("big", strings.Repeat("x", 1<<20))) }, want: unpack.ErrLimit},
		"unreadable": {what: func(func()) error { return unreadable }, want: unreadable},
		"broken off": {what: func(cancel func()) error { cancel(); return unix.EIO }, want: context.Canceled},
		"no blob":    {layer: func(b tartest.Blobs) image.Layer { l := b.GzipTar(good); delete(b, l.Descriptor.Digest); return l }},
	} {
		for _, there := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, target there %v", name, there), func(t *testing.T) {
				blobs := tartest.Blobs{}
				third := blobs.Tar(good)
				if c.layer != nil {
					third = c.layer(blobs)
				}
				root := tartest.Entry{Name: "./", Type: '5', Mode: 0o1755, UID: 9, PAX: map[string]string{"SCHILY.xattr.user.image": "x"}}
				layers := []image.Layer{blobs.Layer(root, dir("d"), file("d/first", "1")), blobs.Layer(file("second", "2")), third, blobs.Layer(file("fourth", "4")), blobs.Layer(file("fifth", "5"))}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var source unpack.Blobs = blobs
				if c.what != nil {
					source = failingBlobs{blobs, third.Descriptor, func() error { return c.what(cancel) }}
				}
				fails(ctx, t, layers, source, there, c.want)
			})
		}
	}
}

func fails(ctx context.Context, t *testing.T, layers []image.Layer, blobs unpack.Blobs, there bool, want error) {
	t.Helper()
	c := tartest.NewCanary(t)
	leaks := tartest.Leaks(t)
	var before map[string]tartest.Node
	if there {
		before = emptyTarget(t, c.Target)
	}
	o := unpack.Options{Limits: unpack.Limits{LayerBytes: 1 << 19}}
	_, err := unpack.Unpack(ctx, layers, blobs, c.Target, o)
	var typed *unpack.Error
	if err == nil || want != nil && !errors.Is(err, want) || !errors.As(err, &typed) || typed.Layer != 3 {
		t.Errorf("error %v, want %v of layer 3", err, want)
	}
	if there {
		for _, line := range tartest.Diff(tree(t, c.Target), before) {
			t.Error(line)
		}
	} else if _, err := os.Lstat(c.Target); err == nil {
		t.Error("the target is there")
	}
	c.Check(t)
	leaks()
}

// emptyTarget makes a directory with attributes of its own, an ACL among them.
func emptyTarget(t *testing.T, path string) map[string]tartest.Node {
	t.Helper()
	acl := "\x02\x00\x00\x00\x01\x00\x07\x00\xff\xff\xff\xff\x04\x00\x05\x00\xff\xff\xff\xff\x20\x00\x05\x00\xff\xff\xff\xff"
	err := errors.Join(
		os.Mkdir(path, 0o700), os.Chown(path, 5, 6), os.Chmod(path, 0o2710),
		unix.Setxattr(path, "user.mine", []byte("kept"), 0), unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{{Sec: 7, Nsec: 8}, {Sec: 9, Nsec: 10}}, 0),
	)
	if aerr := unix.Setxattr(path, "system.posix_acl_default", []byte(acl), 0); aerr != nil && aerr != unix.ENOTSUP {
		err = errors.Join(err, aerr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return tree(t, filepath.Clean(path))
}
