package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	goruntime "runtime"

	"github.com/opencontainers/go-digest"
	ispecs "github.com/opencontainers/image-spec/specs-go"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image/store"
)

// demoImage is the image that `oci demo` follows: this program and what a user of it needs, in two
// layers, the second of which deletes a file of the first.
type demoImage struct {
	manifest ispec.Descriptor
	blobs    map[digest.Digest][]byte
}

// demoFile is one entry of a layer.
type demoFile struct {
	name string
	kind byte // of archive/tar
	mode int64
	uid  int
	body []byte
}

const demoUser = 1000

func newDemoImage() (*demoImage, error) {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	base := []demoFile{
		{"bin/", tar.TypeDir, 0o755, 0, nil},
		{"bin/oci", tar.TypeReg, 0o755, 0, self},
		{"etc/", tar.TypeDir, 0o755, 0, nil},
		{"etc/passwd", tar.TypeReg, 0o644, 0, []byte("root:x:0:0:root:/:/bin/oci\nguest:x:1000:1000:guest:/home/guest:/bin/oci\n")},
		{"etc/group", tar.TypeReg, 0o644, 0, []byte("root:x:0:\nguest:x:1000:\nvisitors:x:1001:guest\n")},
		{"etc/motd", tar.TypeReg, 0o644, 0, []byte("the next layer deletes this file\n")},
		{"tmp/", tar.TypeDir, 0o1777, 0, nil},
	}
	top := []demoFile{
		{"etc/.wh.motd", tar.TypeReg, 0o644, 0, nil},
		{"home/", tar.TypeDir, 0o755, 0, nil},
		{"home/guest/", tar.TypeDir, 0o700, demoUser, nil},
	}
	m := &demoImage{blobs: map[digest.Digest][]byte{}}
	config := ispec.Image{
		Platform: ispec.Platform{OS: "linux", Architecture: goruntime.GOARCH},
		Config: ispec.ImageConfig{
			User: "guest", WorkingDir: "/home/guest", Env: []string{"PATH=/bin", "GREETING=hello"},
			Entrypoint: []string{"/bin/oci"}, Cmd: []string{"probe"},
		},
		RootFS: ispec.RootFS{Type: "layers"},
	}
	var layers []ispec.Descriptor
	for _, files := range [][]demoFile{base, top} {
		desc, diffID, err := m.addLayer(files)
		if err != nil {
			return nil, fmt.Errorf("make image: %w", err)
		}
		layers = append(layers, desc)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, diffID)
	}
	configDesc, err := m.addJSON(ispec.MediaTypeImageConfig, config)
	if err == nil {
		m.manifest, err = m.addJSON(ispec.MediaTypeImageManifest, ispec.Manifest{
			Versioned: ispecs.Versioned{SchemaVersion: 2}, MediaType: ispec.MediaTypeImageManifest,
			Config: configDesc, Layers: layers,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	return m, nil
}

func (m *demoImage) add(mediaType string, b []byte) ispec.Descriptor {
	d := digest.FromBytes(b)
	m.blobs[d] = b
	return ispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(b))}
}

func (m *demoImage) addJSON(mediaType string, v any) (ispec.Descriptor, error) {
	b, err := json.Marshal(v)
	return m.add(mediaType, b), err
}

// addLayer writes files as a tar and its gzip; it gives the descriptor of the one and the digest
// of the other.
func (m *demoImage) addLayer(files []demoFile) (ispec.Descriptor, digest.Digest, error) {
	var packed bytes.Buffer
	zw, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		return ispec.Descriptor{}, "", err
	}
	diff := digest.SHA256.Digester()
	tw := tar.NewWriter(io.MultiWriter(zw, diff.Hash()))
	for _, f := range files {
		h := &tar.Header{Name: f.name, Typeflag: f.kind, Mode: f.mode, Uid: f.uid, Gid: f.uid, Size: int64(len(f.body))}
		if err := tw.WriteHeader(h); err != nil {
			return ispec.Descriptor{}, "", err
		}
		if _, err := tw.Write(f.body); err != nil {
			return ispec.Descriptor{}, "", err
		}
	}
	if err := tw.Close(); err != nil {
		return ispec.Descriptor{}, "", err
	}
	if err := zw.Close(); err != nil {
		return ispec.Descriptor{}, "", err
	}
	return m.add(ispec.MediaTypeImageLayerGzip, packed.Bytes()), diff.Digest(), nil
}

// Open makes the image a source of package distribution.
func (m *demoImage) Open(_ context.Context, d ispec.Descriptor) (io.ReadCloser, error) {
	b, ok := m.blobs[d.Digest]
	if !ok {
		return nil, fmt.Errorf("%s: %w", d.Digest, store.ErrNotFound)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}
