package tree_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack/tartest"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// gnuTar applies layers with GNU tar, and whiteouts as layer.md has them: what a layer hides is taken from the
// layers below before the layer is extracted.
func gnuTar(tb testing.TB, dir string, layers []image.Layer, blobs tartest.Blobs) (*tree.Tree, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.Chtimes(dir, time.Unix(0, 0), time.Unix(0, 0)); err != nil {
		tb.Fatal(err)
	}
	for _, layer := range layers {
		raw := blobs[layer.Descriptor.Digest]
		if err := removeHidden(dir, raw); err != nil {
			return nil, err
		}
		cmd := exec.Command("tar", "-x", "-p", "--xattrs", "--xattrs-include=*", "--same-owner", "--numeric-owner",
			"--exclude=.wh.*", "-C", dir, "-f", "-")
		cmd.Stdin = bytes.NewReader(raw)
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("tar: %w: %s", err, out)
		}
	}
	return ofDir(tb, dir), nil
}

// removeHidden applies the whiteouts of a layer to what is there.
func removeHidden(dir string, layer []byte) error {
	for r := tar.NewReader(bytes.NewReader(layer)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		in, base := filepath.Split(filepath.Join("/", h.Name))
		switch hidden, ok := strings.CutPrefix(base, ".wh."); {
		case base == ".wh..wh..opq":
			names, err := os.ReadDir(filepath.Join(dir, in))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			for _, n := range names {
				if err := os.RemoveAll(filepath.Join(dir, in, n.Name())); err != nil {
					return err
				}
			}
		case ok && !strings.HasPrefix(base, ".wh..wh."):
			if err := os.RemoveAll(filepath.Join(dir, in, hidden)); err != nil {
				return err
			}
		case h.Typeflag != tar.TypeDir:
			// Over a directory tar extracts nothing else: "unlinked and replaced" (Changeset over existing files).
			if st, err := os.Lstat(filepath.Join(dir, in, base)); err == nil && st.IsDir() {
				if err := os.RemoveAll(filepath.Join(dir, in, base)); err != nil {
					return err
				}
			}
		}
	}
}

// umoci has umoci unpack the layers.
func umoci(tb testing.TB, dir string, layers []image.Layer, blobs tartest.Blobs) (*tree.Tree, error) {
	l := dir + ".layout"
	if err := writeLayout(l, layers, blobs); err != nil {
		tb.Fatal(err)
	}
	defer os.RemoveAll(l)
	if out, err := exec.Command("umoci", "raw", "unpack", "--image", l+":t", dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("umoci: %w: %s", err, out)
	}
	return ofDir(tb, dir), nil
}

// writeLayout writes an image of the layers, tagged t.
func writeLayout(dir string, layers []image.Layer, blobs tartest.Blobs) error {
	store := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(store, 0o755); err != nil {
		return err
	}
	var errs []error
	put := func(v any, mediaType string) ispec.Descriptor {
		raw, err := json.Marshal(v)
		d := ispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
		errs = append(errs, err, os.WriteFile(filepath.Join(store, d.Digest.Encoded()), raw, 0o600))
		return d
	}
	config := ispec.Image{RootFS: ispec.RootFS{Type: "layers"}, Platform: ispec.Platform{OS: "linux", Architecture: "amd64"}}
	m := ispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ispec.MediaTypeImageManifest}
	for _, layer := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, layer.DiffID)
		m.Layers = append(m.Layers, layer.Descriptor)
		errs = append(errs, os.WriteFile(filepath.Join(store, layer.Descriptor.Digest.Encoded()), blobs[layer.Descriptor.Digest], 0o600))
	}
	m.Config = put(config, ispec.MediaTypeImageConfig)
	top := put(m, ispec.MediaTypeImageManifest)
	top.Annotations = map[string]string{ispec.AnnotationRefName: "t"}
	index, err := json.Marshal(ispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []ispec.Descriptor{top}})
	errs = append(errs, err, os.WriteFile(filepath.Join(dir, "index.json"), index, 0o600),
		os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o600))
	return errors.Join(errs...)
}
