package main

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
)

// oneBlob is a store of one blob.
type oneBlob []byte

func (b oneBlob) Open(context.Context, ispec.Descriptor) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(b)), nil
}

// A layer with devices gives one line in the log, however many there are.
func TestDeviceLog(t *testing.T) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for i := range 60 {
		// 0/0 is left out for root too.
		if err := w.WriteHeader(&tar.Header{Name: "dev" + strings.Repeat("x", i), Typeflag: tar.TypeChar, Mode: 0o600}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	d := digest.FromBytes(layer.Bytes())
	layers := []image.Layer{{Descriptor: ispec.Descriptor{MediaType: ispec.MediaTypeImageLayer, Digest: d, Size: int64(layer.Len())}, DiffID: d}}
	var out bytes.Buffer
	log := slog.New(&deviceLog{Handler: slog.NewTextHandler(&out, nil)})
	o := unpack.Options{Logger: log, Devices: unpack.DeviceSkip, SingleID: true}
	if _, err := unpack.Unpack(t.Context(), layers, oneBlob(layer.Bytes()), filepath.Join(t.TempDir(), "root"), o); err != nil {
		t.Fatal(err)
	}
	summarise(log)
	summarise(log)
	log.Warn("something else")
	if got := strings.Count(out.String(), "\n"); got != 2 || !strings.Contains(out.String(), "count=50") || !strings.Contains(out.String(), "something else") {
		t.Errorf("the log has %d lines:\n%s", got, out.String())
	}
}
