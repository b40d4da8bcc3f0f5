package main

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	goruntime "runtime"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// layoutLayer is a layer whose blob is in a layout.
type layoutLayer struct {
	desc   ispec.Descriptor
	diffID digest.Digest
}

// writeLayout makes an OCI layout of one image, tag latest, whose layers hold one file of random bytes.
func writeLayout(dir string, layers int, size int64) error {
	if err := makeLayout(dir); err != nil {
		return err
	}
	made := make([]layoutLayer, layers)
	for i := range made {
		var err error
		if made[i].desc, made[i].diffID, err = writeLayer(dir, i, size); err != nil {
			return err
		}
	}
	return finishLayout(dir, made)
}

// makeLayout makes the directories of a layout.
func makeLayout(dir string) error {
	return os.MkdirAll(filepath.Join(dir, ispec.ImageBlobsDir, "sha256"), 0o755)
}

// finishLayout writes all that a layout with one image has besides layers.
func finishLayout(dir string, layers []layoutLayer) error {
	m := ispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ispec.MediaTypeImageManifest}
	c := ispec.Image{Platform: ispec.Platform{OS: "linux", Architecture: goruntime.GOARCH}, RootFS: ispec.RootFS{Type: "layers"}}
	for _, l := range layers {
		m.Layers = append(m.Layers, l.desc)
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, l.diffID)
	}
	var err error
	if m.Config, err = writeJSON(dir, ispec.MediaTypeImageConfig, c); err != nil {
		return err
	}
	d, err := writeJSON(dir, ispec.MediaTypeImageManifest, m)
	if err != nil {
		return err
	}
	d.Annotations = map[string]string{ispec.AnnotationRefName: "latest"}
	raw, err := json.Marshal(ispec.Index{Versioned: m.Versioned, MediaType: ispec.MediaTypeImageIndex, Manifests: []ispec.Descriptor{d}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, ispec.ImageIndexFile), raw, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, ispec.ImageLayoutFile), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644)
}

func writeLayer(dir string, n int, size int64) (d ispec.Descriptor, diffID digest.Digest, err error) {
	f, err := os.CreateTemp(dir, "layer-")
	if err != nil {
		return d, "", err
	}
	defer f.Close()
	blob, plain := digest.Canonical.Digester(), digest.Canonical.Digester()
	z, err := gzip.NewWriterLevel(io.MultiWriter(f, blob.Hash()), gzip.NoCompression)
	if err != nil {
		return d, "", err
	}
	t := tar.NewWriter(io.MultiWriter(z, plain.Hash()))
	if err := t.WriteHeader(&tar.Header{Name: fmt.Sprintf("file-%d", n), Typeflag: tar.TypeReg, Mode: 0o644, Size: size}); err != nil {
		return d, "", err
	}
	if _, err := io.CopyN(t, rand.NewChaCha8([32]byte{byte(n)}), size); err != nil {
		return d, "", err
	}
	if err := t.Close(); err != nil {
		return d, "", err
	}
	if err := z.Close(); err != nil {
		return d, "", err
	}
	info, err := f.Stat()
	if err != nil {
		return d, "", err
	}
	d = ispec.Descriptor{MediaType: ispec.MediaTypeImageLayerGzip, Digest: blob.Digest(), Size: info.Size()}
	return d, plain.Digest(), os.Rename(f.Name(), blobPath(dir, d.Digest))
}

func writeJSON(dir, mediaType string, v any) (ispec.Descriptor, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return ispec.Descriptor{}, err
	}
	d := ispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	return d, os.WriteFile(blobPath(dir, d.Digest), raw, 0o644)
}

func blobPath(dir string, d digest.Digest) string {
	return filepath.Join(dir, ispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}
