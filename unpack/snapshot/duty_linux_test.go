package snapshot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// FuzzMarker: whatever layer.json says, it is an error or the marker of the directory that it lies in; a
// damaged one never ends the program.
func FuzzMarker(f *testing.F) {
	d := digest.FromString("layer")
	f.Add([]byte(`{"version":2,"form":"kernel","diffID":"` + d.String() + `","blob":"` + d.String() + `","blobSize":1}`))
	f.Add([]byte(`{"version":2,"diffID":""}`))
	f.Add([]byte(`{"version":2,"diffID":"sha256"}`))
	f.Add([]byte(`{"version":2,"diffID":"md5:` + d.Encoded() + `","implicit":["Li4vLi4="],"links":[["YQ==","Li4v"]]}`))
	f.Add([]byte(`{"version":9}`))
	f.Add([]byte(`{`))
	f.Add([]byte(``))
	dir := filepath.Join(f.TempDir(), d.Encoded())
	if err := os.Mkdir(dir, 0o700); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := os.WriteFile(filepath.Join(dir, markerFile), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := readMarker(dir)
		if err != nil {
			return
		}
		if m.DiffID != d || m.Version != markerVersion {
			t.Fatalf("%q: %+v", raw, m)
		}
	})
}

// TestH72_damaged_marker: a marker without a digest is no marker.
func TestH72_damaged_marker(t *testing.T) {
	d := digest.FromString("layer")
	dir := filepath.Join(t.TempDir(), d.Encoded())
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", "sha256", ":", "md5:" + d.Encoded(), strings.ToUpper(d.String()), "sha512:" + d.Encoded()} {
		if err := os.WriteFile(filepath.Join(dir, markerFile), []byte(`{"version":2,"diffID":"`+id+`"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if m, err := readMarker(dir); err == nil {
			t.Errorf("%q: %+v", id, m)
		}
	}
}
