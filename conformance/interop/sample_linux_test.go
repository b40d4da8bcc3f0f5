package interop_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	dockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	tag            = "v1"
)

// sample is a layout, written here without the code under test, whose one name is tag.
type sample struct {
	name, dir string
	top       ispec.Descriptor
	platform  bool // it is an image that an engine can run
	artifacts int  // how many manifests refer to top
}

// writer makes a layout.
type writer struct {
	t    *testing.T
	dir  string
	algo digest.Algorithm
}

func (w writer) blob(mediaType string, raw []byte) ispec.Descriptor {
	w.t.Helper()
	d := w.algo.FromBytes(raw)
	p := filepath.Join(w.dir, "blobs", d.Algorithm().String(), d.Encoded())
	check(w.t, os.MkdirAll(filepath.Dir(p), 0o755))
	check(w.t, os.WriteFile(p, raw, 0o644))
	return ispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(raw))}
}

func (w writer) json(mediaType string, v any) ispec.Descriptor {
	w.t.Helper()
	raw, err := json.Marshal(v)
	check(w.t, err)
	return w.blob(mediaType, raw)
}

// layer is a tar with one file, and its form under mediaType.
func (w writer) layer(mediaType, text string) (d ispec.Descriptor, diffID digest.Digest) {
	w.t.Helper()
	var plain, packed bytes.Buffer
	tw := tar.NewWriter(&plain)
	body := bytes.Repeat([]byte(text+"\n"), 5000)
	check(w.t, tw.WriteHeader(&tar.Header{Name: "file-" + text, Mode: 0o644, Size: int64(len(body)), Typeflag: tar.TypeReg}))
	_, err := tw.Write(body)
	check(w.t, err)
	check(w.t, tw.Close())
	switch mediaType {
	case ispec.MediaTypeImageLayerZstd:
		zw, err := zstd.NewWriter(&packed)
		check(w.t, err)
		_, _ = zw.Write(plain.Bytes())
		check(w.t, zw.Close())
	case ispec.MediaTypeImageLayer:
		packed.Write(plain.Bytes())
	default:
		zw := gzip.NewWriter(&packed)
		_, _ = zw.Write(plain.Bytes())
		check(w.t, zw.Close())
	}
	return w.blob(mediaType, packed.Bytes()), digest.FromBytes(plain.Bytes())
}

// image is a manifest of two layers.
func (w writer) image(manifestType, configType, layerType, arch string) ispec.Descriptor {
	w.t.Helper()
	one, id1 := w.layer(layerType, "one "+arch)
	two, id2 := w.layer(layerType, "two "+arch)
	c := ispec.Image{
		Platform: ispec.Platform{OS: "linux", Architecture: arch},
		RootFS:   ispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{id1, id2}},
		Config:   ispec.ImageConfig{Cmd: []string{"/bin/true"}, Labels: map[string]string{"org.example": arch}},
		History:  []ispec.History{{CreatedBy: "one"}, {CreatedBy: "two"}},
	}
	m := ispec.Manifest{MediaType: manifestType, Config: w.json(configType, c), Layers: []ispec.Descriptor{one, two}}
	m.SchemaVersion = 2
	return w.json(m.MediaType, m)
}

func (w writer) artifact(kind, text string, subject *ispec.Descriptor) ispec.Descriptor {
	w.t.Helper()
	m := ispec.Manifest{
		MediaType: ispec.MediaTypeImageManifest, ArtifactType: kind, Config: w.blob(ispec.MediaTypeEmptyJSON, []byte("{}")),
		Layers: []ispec.Descriptor{w.blob("text/plain", []byte(text))}, Subject: subject, Annotations: map[string]string{"org.example": text},
	}
	m.SchemaVersion = 2
	return w.json(m.MediaType, m)
}

// finish writes index.json and oci-layout.
func (w writer) finish(top ispec.Descriptor, more ...ispec.Descriptor) {
	w.t.Helper()
	top.Annotations = maps.Clone(top.Annotations)
	if top.Annotations == nil {
		top.Annotations = map[string]string{}
	}
	top.Annotations[ispec.AnnotationRefName] = tag
	x := ispec.Index{MediaType: ispec.MediaTypeImageIndex, Manifests: append([]ispec.Descriptor{top}, more...)}
	x.SchemaVersion = 2
	raw, err := json.Marshal(x)
	check(w.t, err)
	check(w.t, os.WriteFile(filepath.Join(w.dir, "index.json"), raw, 0o644))
	check(w.t, os.WriteFile(filepath.Join(w.dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644))
}

// samples makes one layout of each kind.
func samples(t *testing.T) []sample {
	t.Helper()
	var all []sample
	make := func(name string, algo digest.Algorithm, build func(w writer) (ispec.Descriptor, []ispec.Descriptor)) *sample {
		w := writer{t, filepath.Join(t.TempDir(), name), algo}
		top, more := build(w)
		w.finish(top, more...)
		all = append(all, sample{name: name, dir: w.dir, top: top, artifacts: len(more)})
		return &all[len(all)-1]
	}
	one := func(manifest, config, layer string) func(writer) (ispec.Descriptor, []ispec.Descriptor) {
		return func(w writer) (ispec.Descriptor, []ispec.Descriptor) {
			return w.image(manifest, config, layer, "amd64"), nil
		}
	}
	for name, layer := range map[string]string{"gzip": ispec.MediaTypeImageLayerGzip, "zstd": ispec.MediaTypeImageLayerZstd, "plain": ispec.MediaTypeImageLayer} {
		make(name, digest.SHA256, one(ispec.MediaTypeImageManifest, ispec.MediaTypeImageConfig, layer)).platform = true
	}
	make("docker", digest.SHA256, one(dockerManifest, dockerConfig, dockerLayer)).platform = true
	make("sha512", digest.SHA512, one(ispec.MediaTypeImageManifest, ispec.MediaTypeImageConfig, ispec.MediaTypeImageLayerGzip))
	make("index", digest.SHA256, func(w writer) (ispec.Descriptor, []ispec.Descriptor) {
		x := ispec.Index{MediaType: ispec.MediaTypeImageIndex}
		x.SchemaVersion = 2
		for _, arch := range []string{"amd64", "arm64"} {
			d := w.image(ispec.MediaTypeImageManifest, ispec.MediaTypeImageConfig, ispec.MediaTypeImageLayerGzip, arch)
			d.Platform = &ispec.Platform{OS: "linux", Architecture: arch}
			x.Manifests = append(x.Manifests, d)
		}
		return w.json(x.MediaType, x), nil
	}).platform = true
	make("artifact", digest.SHA256, func(w writer) (ispec.Descriptor, []ispec.Descriptor) {
		return w.artifact("application/vnd.example.thing", "thing", nil), nil
	})
	make("signed", digest.SHA256, func(w writer) (ispec.Descriptor, []ispec.Descriptor) {
		top := w.image(ispec.MediaTypeImageManifest, ispec.MediaTypeImageConfig, ispec.MediaTypeImageLayerGzip, "amd64")
		return top, []ispec.Descriptor{w.artifact("application/vnd.example.sbom", "sbom", &top), w.artifact("application/vnd.example.signature", "signature", &top)}
	})
	return all
}

// ours is the sample in a layout that the program under test wrote.
func (s sample) ours(t *testing.T) sample {
	t.Helper()
	to := filepath.Join(t.TempDir(), s.name)
	run(t, home(t), "oci", "copy", "-q", "--all-platforms", "--referrers", "oci:"+s.dir+":"+tag, "oci:"+to+":"+tag)
	check(t, holds(to, s.top))
	s.dir = to
	return s
}

// config gives the descriptor of the config of the first image of d in the layout dir.
func config(t *testing.T, dir string, d ispec.Descriptor) ispec.Descriptor {
	t.Helper()
	var m struct {
		Config    ispec.Descriptor
		Manifests []ispec.Descriptor
	}
	readJSON(t, filepath.Join(dir, "blobs", d.Digest.Algorithm().String(), d.Digest.Encoded()), &m)
	if len(m.Manifests) > 0 {
		return config(t, dir, m.Manifests[0])
	}
	return m.Config
}

// only gives the entry of a layout that is named tag, or its only one.
func only(t *testing.T, dir string) ispec.Descriptor {
	t.Helper()
	var x ispec.Index
	readJSON(t, filepath.Join(dir, "index.json"), &x)
	for _, d := range x.Manifests {
		if d.Annotations[ispec.AnnotationRefName] == tag || len(x.Manifests) == 1 {
			return d
		}
	}
	t.Fatalf("%s has %d entries, and none is %s: %v", dir, len(x.Manifests), tag, x.Manifests)
	return ispec.Descriptor{}
}

// prove walks from d through the layout dir, and hashes everything on the way.
func prove(dir string, d ispec.Descriptor) error {
	p := filepath.Join(dir, "blobs", d.Digest.Algorithm().String(), d.Digest.Encoded())
	raw, err := os.ReadFile(p)
	if err != nil {
		return err
	}
	if got := d.Digest.Algorithm().FromBytes(raw); got != d.Digest || int64(len(raw)) != d.Size {
		return fmt.Errorf("%s: %d bytes with the digest %s, want %s, %d bytes", p, len(raw), got, d.Digest, d.Size)
	}
	var parts struct {
		Config            *ispec.Descriptor
		Layers, Manifests []ispec.Descriptor
	}
	switch d.MediaType {
	case ispec.MediaTypeImageManifest, ispec.MediaTypeImageIndex, dockerManifest:
		if err := json.Unmarshal(raw, &parts); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	if parts.Config != nil {
		parts.Layers = append(parts.Layers, *parts.Config)
	}
	for _, part := range append(parts.Layers, parts.Manifests...) {
		if err := prove(dir, part); err != nil {
			return err
		}
	}
	return nil
}

// holds tells whether the layout dir lists top in its index.json, and has all of it.
func holds(dir string, top ispec.Descriptor) error {
	raw, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		return err
	}
	var x ispec.Index
	if err := json.Unmarshal(raw, &x); err != nil {
		return err
	}
	for _, d := range x.Manifests {
		if d.Digest == top.Digest && d.MediaType == top.MediaType && d.Size == top.Size {
			return prove(dir, top)
		}
	}
	return fmt.Errorf("%s lists no %s: %s", dir, top.Digest, raw)
}
