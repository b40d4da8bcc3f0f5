package main

import (
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	specsgo "github.com/opencontainers/image-spec/specs-go"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
)

// imageWith makes an image without layers that has this config.
func imageWith(t *testing.T, c ispec.ImageConfig) image.Image {
	t.Helper()
	config, err := json.Marshal(ispec.Image{
		Platform: ispec.Platform{OS: "linux", Architecture: "amd64"}, Config: c,
		RootFS: ispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	describe := func(mediaType string, b []byte) ispec.Descriptor {
		return ispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
	}
	manifest, err := json.Marshal(ispec.Manifest{
		Versioned: specsgo.Versioned{SchemaVersion: 2}, MediaType: ispec.MediaTypeImageManifest,
		Config: describe(ispec.MediaTypeImageConfig, config), Layers: []ispec.Descriptor{},
	})
	if err != nil {
		t.Fatal(err)
	}
	img, err := image.New(describe(ispec.MediaTypeImageManifest, manifest), manifest, config)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// What is recorded is the flag's signal, else the image's if there is such a signal.
func TestStopSignal(t *testing.T) {
	for _, c := range []struct{ flag, image, want string }{
		{"", "", ""}, {"", "SIGQUIT", "SIGQUIT"}, {"INT", "SIGQUIT", "INT"}, {"", "SIGRTMIN+3", "SIGRTMIN+3"}, {"", "SIGNONSENSE", ""},
	} {
		r := &imageRun{a: &app{log: slog.New(slog.DiscardHandler)}, f: &runFlags{}, image: imageWith(t, ispec.ImageConfig{StopSignal: c.image})}
		r.f.c.o.StopSignal = c.flag
		if got := r.stopSignal(); got != c.want {
			t.Errorf("flag %q, image %q: got %q, want %q", c.flag, c.image, got, c.want)
		}
	}
}

func TestSeconds(t *testing.T) {
	for text, want := range map[string]time.Duration{"5": 5 * time.Second, "0": 0, "-1": -time.Second, "200ms": 200 * time.Millisecond, "1m30s": 90 * time.Second} {
		var s seconds
		if err := s.Set(text); err != nil || time.Duration(s) != want {
			t.Errorf("%q: got %v, %v", text, time.Duration(s), err)
		}
	}
	if err := new(seconds).Set("soon"); err == nil {
		t.Error("soon is no time")
	}
}
