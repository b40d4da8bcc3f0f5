package verify_test

import (
	"encoding/json"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
)

// imageOf gives the image of layers.
func imageOf(tb testing.TB, layers ...image.Layer) image.Image {
	tb.Helper()
	c := ispec.Image{Platform: ispec.Platform{Architecture: "amd64", OS: "linux"}, RootFS: ispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{}}}
	m := ispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ispec.MediaTypeImageManifest, Layers: []ispec.Descriptor{}}
	for _, l := range layers {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, l.DiffID)
		m.Layers = append(m.Layers, l.Descriptor)
	}
	config := encode(tb, c)
	m.Config = describe(ispec.MediaTypeImageConfig, config)
	manifest := encode(tb, m)
	img, err := image.New(describe(ispec.MediaTypeImageManifest, manifest), manifest, config)
	if err != nil {
		tb.Fatal(err)
	}
	return img
}

func encode(tb testing.TB, v any) []byte {
	tb.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

func describe(mediaType string, raw []byte) ispec.Descriptor {
	return ispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
}
