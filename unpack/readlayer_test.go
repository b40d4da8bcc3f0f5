package unpack_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/vbatts/tar-split/tar/asm"
	"github.com/vbatts/tar-split/tar/storage"

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

// TestIS_C5_replay puts a tar together from its log by other means than tar-split's, from logs as this package
// writes them, and as tar-split does.
func TestIS_C5_replay(t *testing.T) {
	big := string(bytes.Repeat([]byte("payload "), 40<<10))
	tar := tartest.Archive(
		tartest.Dir("a"), tartest.File("a/\xff,\"size\":7,\"payload\":\"", "raw name"), tartest.File("a/empty", ""),
		tartest.File("a/big", big), tartest.Symlink("a/link", "big"))
	blobs := tartest.Blobs{}
	layer := blobs.Tar(tar)
	var own bytes.Buffer
	w, err := unpack.NewLogWriter(&own)
	if err != nil {
		t.Fatal(err)
	}
	ignore := func(*unpack.Entry, io.Reader) error { return nil }
	if _, err := unpack.ReadLayer(t.Context(), layer, blobs, unpack.Options{Log: w}, ignore); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var foreign bytes.Buffer
	in, done, err := asm.NewInputTarStreamWithDone(bytes.NewReader(tar), storage.NewJSONPacker(&foreign), nil)
	if err == nil {
		_, err = io.Copy(io.Discard, in)
		err = errors.Join(err, <-done)
	}
	if err != nil {
		t.Fatal(err)
	}
	contents := []string{"raw name", big}
	for name, log := range map[string][]byte{"own": own.Bytes(), "tar-split": foreign.Bytes()} {
		sum := digest.SHA256.Digester()
		files := 0
		segment := func(raw []byte) error {
			_, err := sum.Hash().Write(raw)
			return err
		}
		err := unpack.ReplayLog(t.Context(), bytes.NewReader(log), unpack.Options{}, segment, func(f unpack.LogFile) error {
			body := contents[files]
			files++
			if f.Size != int64(len(body)) || f.Sum != crc64.Checksum([]byte(body), storage.CRCTable) {
				t.Errorf("%s: file %d has %d bytes and the sum %x", name, files, f.Size, f.Sum)
			}
			return segment([]byte(body))
		})
		if err != nil || sum.Digest() != layer.DiffID {
			t.Errorf("%s: %s, want %s: %v", name, sum.Digest(), layer.DiffID, err)
		}
		// A log that is cut anywhere is no shorter tar: the digest would not be found, or it is an error.
		sum = digest.SHA256.Digester()
		err = unpack.ReplayLog(t.Context(), bytes.NewReader(log[:len(log)-9]), unpack.Options{}, segment, func(unpack.LogFile) error { return nil })
		if err == nil {
			t.Errorf("%s: a log that is cut gives no error", name)
		}
	}
}
