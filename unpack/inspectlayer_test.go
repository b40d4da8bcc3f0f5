package unpack_test

import (
	"errors"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// TestInspectLayer: what ApplyLayer refuses is told of each entry and ends nothing, names are as the tar has them, and the
// DiffID is found whatever was asked for.
func TestInspectLayer(t *testing.T) {
	tar := tartest.Archive(
		tartest.File("/abs", ""), tartest.File("a/../b", "x"), tartest.Entry{Name: "V", Type: 'V'},
		tartest.Entry{Name: "big", UID: 1 << 40, PAX: map[string]string{"uid": "9999999999"}},
		tartest.File("dir/.wh...", ""), tartest.Link("h", "../out"),
		tartest.Entry{Name: "x", PAX: map[string]string{"SCHILY.xattr.trusted.overlay.opaque": "y", "SCHILY.xattr.user.a": "b"}},
		tartest.File("last", "body"))
	want := []struct {
		name string
		err  error
		made bool
	}{
		{"/abs", nil, true},
		{"a/../b", unpack.ErrUnsafePath, false},
		{"V", nil, false},
		{"big", unpack.ErrTar, false},
		{"dir/.wh...", unpack.ErrWhiteout, false},
		{"h", unpack.ErrUnsafePath, false},
		{"x", nil, true},
		{"last", nil, true},
	}
	blobs := tartest.Blobs{}
	layer := blobs.GzipTar(tar)
	diffID := layer.DiffID
	for _, asked := range []digest.Digest{diffID, digest.FromString("another"), "none", ""} {
		layer.DiffID = asked
		i := 0
		got, err := unpack.InspectLayer(t.Context(), layer, blobs, unpack.Options{}, func(m *unpack.Member) error {
			w := want[i]
			i++
			if m.Name != w.name || !errors.Is(m.Err, w.err) || (m.Entry != nil) != w.made {
				t.Errorf("got %+v, want %+v", m, w)
			}
			if m.Name == "x" && (len(m.HostXattrs) != 1 || len(m.Entry.Xattrs) != 1) {
				t.Errorf("xattrs: %+v", m)
			}
			if m.Name == "V" && m.Skipped == "" {
				t.Error("nothing is told of an entry that makes no file")
			}
			return nil
		})
		if err != nil || got.DiffID != diffID || got.Compression != image.Gzip || got.Mislabelled || got.Entries != int64(len(want)) || got.Bytes != int64(len(tar)) {
			t.Errorf("%q: %+v, %v", asked, got, err)
		}
	}
}

// TestInspectLayerBroken: what cannot be read is an error, with what was found until then.
func TestInspectLayerBroken(t *testing.T) {
	good := tartest.Archive(tartest.File("a", string(make([]byte, 2000))))
	for name, tt := range map[string]struct {
		change func(tartest.Blobs, *image.Layer)
		want   error
	}{
		"another blob": {func(b tartest.Blobs, l *image.Layer) { b[l.Descriptor.Digest] = tartest.Gzip(tartest.Archive()) }, image.ErrSizeMismatch},
		"no tar": {func(b tartest.Blobs, l *image.Layer) {
			*l = b.GzipTar([]byte("this is no archive, and longer than nothing at all" + string(make([]byte, 600))))
		}, unpack.ErrTar},
		"cut short":  {func(b tartest.Blobs, l *image.Layer) { *l = b.GzipTar(good[:700]) }, unpack.ErrTar},
		"the callee": {nil, io.ErrClosedPipe},
	} {
		blobs := tartest.Blobs{}
		layer := blobs.GzipTar(good)
		if tt.change != nil {
			tt.change(blobs, &layer)
		}
		_, err := unpack.InspectLayer(t.Context(), layer, blobs, unpack.Options{}, func(*unpack.Member) error {
			if tt.change == nil {
				return io.ErrClosedPipe
			}
			return nil
		})
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
