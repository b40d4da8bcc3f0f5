package unpack_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// TestIS_C5_log_without_files: reading a layer writes the same kind of log as unpacking it, whatever
// the callee reads of the content, and its positions are those that RebuildTar asks for.
func TestIS_C5_log_without_files(t *testing.T) {
	sparse := tartest.Entry{Name: "sparse", Type: '0', PAX: map[string]string{"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "8192", "GNU.sparse.name": "holes"}}
	sparse.Body = "1\n0\n512\n" + string(make([]byte, 512-8)) + string(bytes.Repeat([]byte{'s'}, 512))
	tar := tartest.Archive(
		tartest.Dir("etc"), tartest.File("etc/empty", ""), tartest.File("etc/one", "first"), tartest.Link("etc/two", "etc/one"),
		tartest.File("etc/one", "again"), sparse, tartest.Whiteout("gone"), tartest.File("last", string(make([]byte, 2000))))
	for _, read := range []bool{true, false} {
		t.Run(fmt.Sprintf("read=%v", read), func(t *testing.T) {
			blobs := tartest.Blobs{}
			layer := blobs.GzipTar(tar)
			var log bytes.Buffer
			content := map[int]string{}
			keep := map[string]string{"etc/one": "first", "last": string(make([]byte, 2000))}
			_, err := unpack.ReadLayer(t.Context(), layer, blobs, unpack.Options{Log: &log}, func(e *unpack.Entry, r io.Reader) error {
				if e.Kind != unpack.Regular {
					return nil
				}
				if read {
					b, err := io.ReadAll(r)
					content[e.Position] = string(b)
					return err
				}
				content[e.Position] = keep[e.Path]
				if e.Path == "etc/one" {
					keep[e.Path] = "again"
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			asked := 0
			open := func(position int, _ string) (io.ReadCloser, error) {
				asked++
				return io.NopCloser(bytes.NewReader([]byte(content[position]))), nil
			}
			sum := digest.SHA256.Digester()
			if err := unpack.RebuildTar(bytes.NewReader(log.Bytes()), open, sum.Hash()); err != nil {
				t.Fatal(err)
			}
			if sum.Digest() != layer.DiffID || asked != 3 {
				t.Errorf("rebuilt %s of %d files, want %s of 3", sum.Digest(), asked, layer.DiffID)
			}
		})
	}
}
