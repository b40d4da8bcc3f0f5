package unpack_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// TestH43_sparse has the four forms of sparse files; content and holes must be right, and the log
// must rebuild the tar.
func TestH43_sparse(t *testing.T) {
	needRoot(t)
	block := strings.Repeat("D", 512)
	old := tartest.Header(tartest.Entry{Name: "old", Type: 'S', Magic: "ustar  \x00"}, 512)
	tartest.Number(old[386:398], 1024)
	tartest.Number(old[398:410], 512)
	tartest.Number(old[483:495], 100000)
	tartest.Checksum(old)
	numbers := func(e tartest.Entry, kv map[string]string) tartest.Entry { e.PAX = kv; return e }
	list := entries{
		{Raw: append(old, block...)},
		{Raw: append(paxRaw(tartest.Record("GNU.sparse.size", "100000")+tartest.Record("GNU.sparse.numblocks", "1")+
			tartest.Record("GNU.sparse.offset", "1024")+tartest.Record("GNU.sparse.numbytes", "512")), tartest.Entries(file("p00", block))...)},
		numbers(file("x", block), map[string]string{"GNU.sparse.name": "p01", "GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.size": "100000", "GNU.sparse.numblocks": "1", "GNU.sparse.map": "1024,512"}),
		numbers(file("x", "1\n1024\n512\n"+strings.Repeat("\x00", 501)+block), map[string]string{"GNU.sparse.name": "p10", "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "100000"}),
	}
	blobs := tartest.Blobs{}
	layer := blobs.Layer(list...)
	target := filepath.Join(t.TempDir(), "r")
	if _, err := unpack.Unpack(t.Context(), []image.Layer{layer}, blobs, target, unpack.Options{}); err != nil {
		t.Fatal(err)
	}
	want := append(append(make([]byte, 1024), block...), make([]byte, 100000-1536)...)
	for _, name := range []string{"old", "p00", "p01", "p10"} {
		got, err := os.ReadFile(filepath.Join(target, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v, %d bytes, content right: %v", name, err, len(got), bytes.Equal(got, want))
		}
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(target, name), &st); err != nil || st.Blocks*512 >= 100000 {
			t.Errorf("%s is not sparse: %d blocks, %v", name, st.Blocks, err)
		}
	}
	rebuilds(t, blobs, layer)
	bomb := blobs.Layer(numbers(file("x", block), map[string]string{"GNU.sparse.name": "bomb", "GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.size": "9000000000000000000", "GNU.sparse.numblocks": "1", "GNU.sparse.map": "0,512"}))
	if _, err := unpack.Unpack(t.Context(), []image.Layer{bomb}, blobs, filepath.Join(t.TempDir(), "r"), unpack.Options{}); !errors.Is(err, unpack.ErrLimit) {
		t.Errorf("sparse bomb: %v", err)
	}
}

func paxRaw(records string) []byte {
	h := tartest.Header(tartest.Entry{Name: "pax", Type: 'x'}, int64(len(records)))
	h = append(h, records...)
	return append(h, make([]byte, -len(records)&511)...)
}
