package repack_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack/repack"
)

// baseImage makes an image of a config, with one layer.
func baseImage(tb testing.TB, manifestType, config string) image.Image {
	tb.Helper()
	configType, layerType := ispec.MediaTypeImageConfig, ispec.MediaTypeImageLayerGzip
	if manifestType == image.DockerManifest {
		configType, layerType = image.DockerConfig, image.DockerLayerGzip
	}
	m := ispec.Manifest{
		MediaType: manifestType,
		Config:    ispec.Descriptor{MediaType: configType, Digest: digest.FromString(config), Size: int64(len(config))},
		Layers:    []ispec.Descriptor{{MediaType: layerType, Digest: digest.FromString("blob"), Size: 4}},
	}
	m.SchemaVersion = 2
	raw, err := json.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	img, err := image.New(ispec.Descriptor{MediaType: manifestType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}, raw, []byte(config))
	if err != nil {
		tb.Fatal(err)
	}
	return img
}

const baseConfig = `{"architecture":"arm64","os":"linux","variant":"v8","container":"kept","created":"2020-01-01T00:00:00Z",
"config":{"Env":["PATH=/bin","A=1"],"Cmd":["sh"],"Healthcheck":{"Test":["CMD","true"]},"Labels":null},
"rootfs":{"type":"layers","diff_ids":["sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]},
"history":[{"created_by":"base","x":1},{"created_by":"env","empty_layer":true}]}`

func newLayer() *repack.Layer {
	return &repack.Layer{Layer: image.Layer{
		Descriptor: ispec.Descriptor{MediaType: ispec.MediaTypeImageLayerGzip, Digest: digest.FromString("new"), Size: 3},
		DiffID:     digest.FromString("new tar"),
	}}
}

var created = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// TestBuild: config and manifest of an image with one more layer. What the base's config has beyond
// the specification stays.
func TestBuild(t *testing.T) {
	base := baseImage(t, ispec.MediaTypeImageManifest, baseConfig)
	img, err := repack.Image{
		Base: base, BaseName: "example.org/base:1", Layer: newLayer(), Created: created, Author: "A", Comment: "C <x>", CreatedBy: "make",
		Changes: []string{"ENV A=2 B='x y'", `ENTRYPOINT ["/e"]`, "LABEL k=v", "expose 80 53/UDP", `VOLUME ["/v"]`, "WORKDIR w", "USER u:g", "STOPSIGNAL SIGINT"},
	}.Build()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"architecture":"arm64","author":"A","config":{"Entrypoint":["/e"],"Env":["PATH=/bin","A=2","B=x y"],` +
		`"ExposedPorts":{"53/udp":{},"80/tcp":{}},"Healthcheck":{"Test":["CMD","true"]},"Labels":{"k":"v"},"StopSignal":"SIGINT",` +
		`"User":"u:g","Volumes":{"/v":{}},"WorkingDir":"/w"},"container":"kept","created":"2026-01-02T03:04:05Z",` +
		`"history":[{"created_by":"base","x":1},{"created_by":"env","empty_layer":true},` +
		`{"author":"A","comment":"C \u003cx\u003e","created":"2026-01-02T03:04:05Z","created_by":"make"}],"os":"linux",` +
		`"rootfs":{"diff_ids":["sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","` + digest.FromString("new tar").String() + `"],"type":"layers"},"variant":"v8"}`
	if got := string(img.ConfigRaw()); got != want {
		t.Errorf("config differs:\n%s", cmp.Diff(want, got))
	}
	m := img.Manifest()
	if m.MediaType != ispec.MediaTypeImageManifest || len(m.Layers) != 2 || m.Layers[1].Digest != digest.FromString("new") {
		t.Errorf("manifest: %s", img.ManifestRaw())
	}
	if m.Annotations["org.opencontainers.image.base.digest"] != base.Descriptor().Digest.String() || m.Annotations["org.opencontainers.image.base.name"] != "example.org/base:1" {
		t.Errorf("annotations: %v", m.Annotations)
	}
}

// TestBuild_kinds: nothing to change is the same image; Docker's stay Docker's; without a layer the step is one
// that changed no files; squashed, the step is the only one that did.
func TestBuild_kinds(t *testing.T) {
	base := baseImage(t, image.DockerManifest, baseConfig)
	same, err := repack.Image{Base: base, Created: created}.Build()
	if err != nil || same.Descriptor().Digest != base.Descriptor().Digest {
		t.Errorf("nothing: %v %v", same.Descriptor(), err)
	}
	img, err := repack.Image{Base: base, Created: created, Comment: "C"}.Build()
	if err != nil {
		t.Fatal(err)
	}
	if m := img.Manifest(); m.MediaType != image.DockerManifest || m.Config.MediaType != image.DockerConfig || len(m.Layers) != 1 || m.Annotations != nil {
		t.Errorf("docker: %s", img.ManifestRaw())
	}
	if h := img.Config().History; len(h) != 3 || !h[2].EmptyLayer || h[2].CreatedBy != "oci repack" {
		t.Errorf("history: %+v", h)
	}
	base = baseImage(t, ispec.MediaTypeImageManifest, baseConfig)
	img, err = repack.Image{Base: base, Created: created, Layer: newLayer(), Squash: true}.Build()
	if err != nil {
		t.Fatal(err)
	}
	h := img.Config().History
	if len(img.Layers()) != 1 || len(h) != 3 || !h[0].EmptyLayer || !h[1].EmptyLayer || h[2].EmptyLayer || img.Manifest().Annotations["org.opencontainers.image.base.digest"] != "" {
		t.Errorf("squash: %s %s", img.ManifestRaw(), img.ConfigRaw())
	}
}

// TestBuild_history: a base that says nothing of its layers gets steps for them, so that the new one stands with its own.
func TestBuild_history(t *testing.T) {
	base := baseImage(t, ispec.MediaTypeImageManifest, `{"architecture":"amd64","os":"linux","config":null,"rootfs":{"type":"layers","diff_ids":["sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]}}`)
	img, err := repack.Image{Base: base, Created: created, Layer: newLayer(), Changes: []string{"CMD a b"}}.Build()
	if err != nil {
		t.Fatal(err)
	}
	if h := img.Config().History; len(h) != 2 || h[0].EmptyLayer || h[1].CreatedBy != "oci repack" {
		t.Errorf("history: %+v", h)
	}
	if cmd := img.Config().Config.Cmd; !cmp.Equal(cmd, []string{"/bin/sh", "-c", "a b"}) {
		t.Errorf("cmd: %q", cmd)
	}
}

// TestChanges: what Docker takes and what it refuses.
func TestChanges(t *testing.T) {
	base := baseImage(t, ispec.MediaTypeImageManifest, baseConfig)
	build := func(changes ...string) (ispec.ImageConfig, error) {
		img, err := repack.Image{Base: base, Created: created, Changes: changes}.Build()
		if err != nil {
			return ispec.ImageConfig{}, err
		}
		return img.Config().Config, nil
	}
	for _, bad := range []string{"", "RUN x", "ENV", "ENV A", "LABEL =x", `ENV A="x`, "EXPOSE x/tcp", "EXPOSE 80/icmp", "USER", "ENV A=1 B"} {
		if _, err := build(bad); !errors.Is(err, repack.ErrChange) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	c, err := build("env A b c", `LABEL "a b"="c \"d\"" e=f\ g 'h'=`, "ENTRYPOINT", "CMD [\"x\", \"y\"]", "EXPOSE 8000-8010", "VOLUME /a /b")
	if err != nil {
		t.Fatal(err)
	}
	want := ispec.ImageConfig{
		Env: []string{"PATH=/bin", "A=b c"}, Cmd: []string{"x", "y"}, Labels: map[string]string{"a b": `c "d"`, "e": "f g", "h": ""},
		ExposedPorts: map[string]struct{}{"8000-8010/tcp": {}}, Volumes: map[string]struct{}{"/a": {}, "/b": {}},
	}
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
	if c, _ := build("ENTRYPOINT e"); c.Cmd != nil {
		t.Errorf("an ENTRYPOINT alone leaves the CMD %q", c.Cmd)
	}
	odd := baseImage(t, ispec.MediaTypeImageManifest, `{"architecture":"a","os":"linux","config":{"Env":["A=1"],"Xattr":{}},"rootfs":{"type":"layers","diff_ids":["sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]}}`)
	if _, err := (repack.Image{Base: odd, Created: created, Author: "x"}).Build(); err != nil {
		t.Error(err)
	}
}
