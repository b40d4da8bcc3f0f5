package unpack_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// TestSpace: what is known not to fit is refused before anything is written, and says what is needed,
// what there is and where; what is not known, or not asked, ends as the kernel says.
func TestSpace(t *testing.T) {
	needRoot(t)
	blobs := tartest.Blobs{}
	tar := tartest.Archive(file("f", strings.Repeat("x", 2<<20)))
	lies := tartest.Gzip(tar[:2048])
	copy(lies[len(lies)-4:], "\xff\xff\xff\xff")
	for name, c := range map[string]struct {
		layer image.Layer
		known bool
	}{
		"plain":                    {blobs.Tar(tar), true},
		"gzip":                     {blobs.GzipTar(tar), true},
		"gzip, padded":             {blobs.Add(ispec.MediaTypeImageLayerGzip, append(tartest.Gzip(tar), make([]byte, 10)...), tar), false},
		"gzip that is cut":         {blobs.Add(ispec.MediaTypeImageLayerGzip, []byte{0x1f, 0x8b}, tar), false},
		"gzip of more than can be": {blobs.Add(ispec.MediaTypeImageLayerGzip, lies, tar[:2048]), false},
		"zstd":                     {blobs.ZstdTar(tar), true},
		"zstd without a size":      {windowed(t, blobs, 1<<20), false},
	} {
		dir := smallFS(t, "size=1m")
		target := filepath.Join(dir, "r")
		_, err := unpack.Unpack(t.Context(), []image.Layer{c.layer}, blobs, target, unpack.Options{})
		var space *unpack.SpaceError
		if known := errors.Is(err, unpack.ErrSpace) && errors.As(err, &space); known != c.known {
			t.Errorf("%s: %v", name, err)
		}
		if c.known && (space.Need != uint64(len(tar)) || space.Have > 1<<20 || space.Have < 1<<19 || space.Dir != target) {
			t.Errorf("%s: %+v", name, space)
		}
		if _, err := os.Lstat(target); err == nil {
			t.Errorf("%s: the target is there", name)
		}
		_, err = unpack.Unpack(t.Context(), []image.Layer{c.layer}, blobs, target, unpack.Options{Limits: unpack.Limits{FreeBytes: -1}})
		if c.known && !errors.Is(err, unix.ENOSPC) {
			t.Errorf("%s, not asked: %v", name, err)
		}
		stream := onlyReader{blobs}
		if _, err = unpack.Unpack(t.Context(), []image.Layer{c.layer}, stream, target, unpack.Options{}); c.known && name != "plain" && !errors.Is(err, unix.ENOSPC) {
			t.Errorf("%s, as a stream: %v", name, err)
		}
	}
}

// onlyReader gives blobs that are still on their way.
type onlyReader struct{ tartest.Blobs }

func (o onlyReader) Open(ctx context.Context, d ispec.Descriptor) (io.ReadCloser, error) {
	rc, err := o.Blobs.Open(ctx, d)
	return struct{ io.ReadCloser }{rc}, err
}

// TestSpace_keep: so much as must stay free is asked for to the byte, and of all layers together.
func TestSpace_keep(t *testing.T) {
	needRoot(t)
	blobs := tartest.Blobs{}
	layers := []image.Layer{blobs.Layer(file("a", strings.Repeat("x", 100<<10))), blobs.GzipTar(tartest.Archive(file("b", strings.Repeat("x", 100<<10))))}
	need := 2 * int64(len(tartest.Archive(file("a", strings.Repeat("x", 100<<10)))))
	dir := smallFS(t, "size=1m")
	target := filepath.Join(dir, "r")
	if err := os.Mkdir(target, 0o755); err != nil {
		t.Fatal(err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(target, &st); err != nil {
		t.Fatal(err)
	}
	free := int64(st.Bavail)*st.Frsize - need
	for keep, want := range map[int64]error{free - 1: nil, free: nil, free + 1: unpack.ErrSpace} {
		root, err := unpack.OpenRoot(target)
		if err != nil {
			t.Fatal(err)
		}
		var l unpack.Limits
		if err := l.Set("free=" + strconv.FormatInt(keep, 10)); err != nil {
			t.Fatal(err)
		}
		if err := root.CheckSpace(t.Context(), layers, blobs, l); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%d to stay free: %v", keep-free, err)
		}
		root.Close()
	}
}

// TestSpace_inodes: a file system without a free inode takes no layer.
func TestSpace_inodes(t *testing.T) {
	needRoot(t)
	blobs := tartest.Blobs{}
	_, err := unpack.Unpack(t.Context(), []image.Layer{blobs.Layer(file("f", ""))}, blobs, smallFS(t, "nr_inodes=1"), unpack.Options{})
	if !errors.Is(err, unpack.ErrSpace) || !strings.Contains(err.Error(), "no inode is free") {
		t.Errorf("%v", err)
	}
}
