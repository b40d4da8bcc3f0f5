package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/image/store"
)

func TestCopy_layout_and_archive(t *testing.T) {
	l, root, amd, arm := multi(t)
	for _, place := range []string{"oci:" + l.dir, "oci-archive:" + tarDir(t, l.dir)} {
		s := newStore(t)
		c := mustCopy(t, s, place+":multi", CopyOptions{Platform: amd64})
		if c.Resolved.Root.Digest != root.Digest || c.Resolved.Manifest.Digest != amd.Digest || c.Image.Descriptor().Digest != amd.Digest || len(c.Image.Layers()) != 3 {
			t.Errorf("%+v", c.Resolved)
		}
		if ok, err := s.Has(t.Context(), arm); ok || err != nil {
			t.Errorf("the other platform came too: %v, %v", ok, err)
		}
		if err := s.Tag(t.Context(), "multi", c.Resolved.Root); err != nil {
			t.Fatal(err)
		}
		mustBeValid(t, s)
		if again := mustCopy(t, s, place+":multi", CopyOptions{Platform: amd64}); again.Bytes != 0 || again.Reused != c.Bytes {
			t.Errorf("copied again: %d bytes, %d reused, want 0 and %d", again.Bytes, again.Reused, c.Bytes)
		}
		all := mustCopy(t, s, place+":multi", CopyOptions{All: true})
		if ok, err := s.Has(t.Context(), arm); !ok || err != nil || all.Resolved.Root.Digest != root.Digest {
			t.Errorf("the other platform: %v, %v", ok, err)
		}
		if c := mustCopy(t, newStore(t), place+"@"+arm.Digest.String(), CopyOptions{}); c.Resolved.Root.Digest != arm.Digest {
			t.Errorf("by digest: %v", c.Resolved.Root)
		}
	}
}

func TestCopy_events_and_layers(t *testing.T) {
	l, _, _, _ := multi(t)
	var mu sync.Mutex
	kinds, layers, order := map[image.EventKind]int{}, map[digest.Digest]bool{}, map[int]digest.Digest{}
	s := newStore(t)
	c := mustCopy(t, s, "oci:"+l.dir+":amd", CopyOptions{
		Events: func(e image.Event) {
			mu.Lock()
			defer mu.Unlock()
			kinds[e.Kind]++
			if e.Kind == image.EventDone && e.Bytes != e.Total {
				t.Errorf("done at %d of %d", e.Bytes, e.Total)
			}
		},
		OnLayer: func(i int, l image.Layer) {
			mu.Lock()
			defer mu.Unlock()
			if ok, err := s.Has(context.Background(), l.Descriptor); !ok || err != nil {
				t.Errorf("told before it is there: %v, %v", ok, err)
			}
			layers[l.DiffID] = true
			order[i] = l.DiffID
		},
	})
	if kinds[image.EventResolved] != 1 || kinds[image.EventStarted] != 5 || kinds[image.EventDone] != 5 || len(layers) != len(c.Image.Layers()) {
		t.Errorf("%v, %d layers", kinds, len(layers))
	}
	for i, l := range c.Image.Layers() {
		if order[i+1] != l.DiffID {
			t.Errorf("layer %d was told to be %s, not %s", i+1, order[i+1], l.DiffID)
		}
	}
}

func TestResolve_names(t *testing.T) {
	l := newTestLayout(t)
	one, two := l.image(amd64), l.image(arm64)
	docker := named(two, "latest")
	docker.Annotations[containerdName] = "docker.io/library/two:latest"
	l.index(named(one, "docker.io/library/one:latest"), docker)
	for tag, want := range map[string]digest.Digest{
		":docker.io/library/one:latest": one.Digest, ":one": one.Digest, ":latest": two.Digest, ":two": two.Digest, ":docker.io/library/two:latest": two.Digest,
		":@0": one.Digest, ":@1": two.Digest, "@" + two.Digest.String(): two.Digest,
	} {
		src, err := Open(t.Context(), mustParse(t, "oci:"+l.dir+tag))
		if err != nil {
			t.Fatal(err)
		}
		if d, err := src.Resolve(t.Context()); err != nil || d.Digest != want || d.Annotations[ispec.AnnotationRefName] != "" {
			t.Errorf("%s: %v, %v, want %s", tag, d, err, want)
		}
		src.Close()
	}
	for tag, want := range map[string]error{"": ErrAmbiguous, ":nope": ErrNotFound, ":@2": ErrNotFound, "@sha256:" + strings.Repeat("0", 64): ErrNotFound} {
		if _, err := copyIn(t, newStore(t), "oci:"+l.dir+tag, CopyOptions{}); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", tag, err, want)
		}
	}
	l.index()
	if _, err := copyIn(t, newStore(t), "oci:"+l.dir, CopyOptions{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("an empty layout: %v", err)
	}
	l.index(one)
	mustCopy(t, newStore(t), "oci:"+l.dir, CopyOptions{Platform: amd64})
}

// edit changes the manifest of a layout and gives its new descriptor.
func (l fixture) edit(d ispec.Descriptor, change func(*ispec.Manifest)) ispec.Descriptor {
	l.t.Helper()
	raw, err := os.ReadFile(filepath.Join(l.dir, "blobs/sha256", d.Digest.Encoded()))
	if err != nil {
		l.t.Fatal(err)
	}
	var m ispec.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		l.t.Fatal(err)
	}
	change(&m)
	return l.json(m.MediaType, m)
}

// Bad input: each gives its own kind of error, the store stays valid, and nothing outside it changes.
func TestBadInput_layout(t *testing.T) {
	file := func(l fixture, d digest.Digest) string { return filepath.Join(l.dir, "blobs/sha256", d.Encoded()) }
	layer := func(l fixture, d ispec.Descriptor) (path digest.Digest) {
		l.edit(d, func(m *ispec.Manifest) { path = m.Layers[1].Digest })
		return path
	}
	for name, c := range map[string]struct {
		damage func(l fixture, d ispec.Descriptor) ispec.Descriptor
		want   error
	}{
		"H70_flipped_byte": {func(l fixture, d ispec.Descriptor) ispec.Descriptor {
			name := file(l, layer(l, d))
			raw, err := os.ReadFile(name)
			if err != nil {
				l.t.Fatal(err)
			}
			raw[20] ^= 1
			if err := os.WriteFile(name, raw, 0o644); err != nil {
				l.t.Fatal(err)
			}
			return d
		}, image.ErrDigestMismatch},
		"H70_short": {func(l fixture, d ispec.Descriptor) ispec.Descriptor {
			if err := os.Truncate(file(l, layer(l, d)), 10); err != nil {
				l.t.Fatal(err)
			}
			return d
		}, image.ErrSizeMismatch},
		"H70_long": {func(l fixture, d ispec.Descriptor) ispec.Descriptor {
			if err := os.Truncate(file(l, layer(l, d)), 100_000); err != nil {
				l.t.Fatal(err)
			}
			return d
		}, image.ErrSizeMismatch},
		"IS_X3_manifest_announced_as_index": {func(_ fixture, d ispec.Descriptor) ispec.Descriptor {
			d.MediaType = ispec.MediaTypeImageIndex
			return d
		}, image.ErrMediaType},
		"IS_X3_manifest_announced_as_text": {func(_ fixture, d ispec.Descriptor) ispec.Descriptor {
			d.MediaType = "text/plain"
			return d
		}, image.ErrMediaType},
		"IS_D5_unknown_algorithm": {func(l fixture, d ispec.Descriptor) ispec.Descriptor {
			return l.edit(d, func(m *ispec.Manifest) { m.Layers[0].Digest = "md5:d41d8cd98f00b204e9800998ecf8427e" })
		}, image.ErrAlgorithm},
		"H72_digest_is_a_path": {func(l fixture, d ispec.Descriptor) ispec.Descriptor {
			return l.edit(d, func(m *ispec.Manifest) { m.Layers[0].Digest = "sha256:../../../index.json" })
		}, image.ErrDigestInvalid},
		"H71_wrong_number_of_layers": {func(l fixture, d ispec.Descriptor) ispec.Descriptor {
			return l.edit(d, func(m *ispec.Manifest) { m.Layers = m.Layers[:2] })
		}, image.ErrMalformed},
		"H76_config_of_1_GiB": {func(l fixture, d ispec.Descriptor) ispec.Descriptor {
			return l.edit(d, func(m *ispec.Manifest) {
				if err := os.Truncate(file(l, m.Config.Digest), 1<<30); err != nil {
					l.t.Fatal(err)
				}
				m.Config.Size = 1 << 30
			})
		}, image.ErrTooLarge},
		"H76_manifest_of_1_GiB": {func(l fixture, d ispec.Descriptor) ispec.Descriptor {
			if err := os.Truncate(file(l, d.Digest), 1<<30); err != nil {
				l.t.Fatal(err)
			}
			d.Size = 1 << 30
			return d
		}, image.ErrTooLarge},
		"no_platform": {func(l fixture, d ispec.Descriptor) ispec.Descriptor {
			d.Platform = &ispec.Platform{OS: "plan9", Architecture: "mips"}
			return l.json(ispec.MediaTypeImageIndex, ispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []ispec.Descriptor{d}})
		}, image.ErrNoPlatform},
		"no_platform_by_config": {func(l fixture, _ ispec.Descriptor) ispec.Descriptor {
			return l.json(ispec.MediaTypeImageIndex, ispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []ispec.Descriptor{l.image(arm64)}})
		}, image.ErrNoPlatform},
		"layer_missing": {func(l fixture, d ispec.Descriptor) ispec.Descriptor {
			if err := os.Remove(file(l, layer(l, d))); err != nil {
				l.t.Fatal(err)
			}
			return d
		}, ErrNotFound},
		"H73_layer_is_a_link": {func(l fixture, d ispec.Descriptor) ispec.Descriptor {
			name := file(l, layer(l, d))
			if err := errors.Join(os.Rename(name, filepath.Join(l.dir, "elsewhere")), os.Symlink("../../elsewhere", name)); err != nil {
				l.t.Fatal(err)
			}
			return d
		}, ErrNotRegular},
		"H73_layer_is_a_fifo": {func(l fixture, d ispec.Descriptor) ispec.Descriptor {
			name := file(l, layer(l, d))
			if err := errors.Join(os.Remove(name), unix.Mkfifo(name, 0o644)); err != nil {
				l.t.Fatal(err)
			}
			return d
		}, ErrNotRegular},
	} {
		t.Run(name, func(t *testing.T) {
			l := newTestLayout(t)
			l.index(c.damage(l, l.image(amd64)))
			s := newStore(t)
			before := tree(t, filepath.Dir(s.Root()))
			done, err := copyIn(t, s, "oci:"+l.dir, CopyOptions{Platform: amd64})
			if !errors.Is(err, c.want) {
				t.Fatalf("%+v, %v, want %v", done, err, c.want)
			}
			if errors.Is(err, io.EOF) {
				t.Errorf("%v matches io.EOF", err)
			}
			mustBeValid(t, s)
			for name := range tree(t, filepath.Dir(s.Root())) {
				if _, ok := before[name]; !ok && !strings.Contains(name, "/store/blobs/sha256/") && !strings.HasSuffix(name, "store.lock") && !strings.Contains(name, "/ingest/") {
					t.Errorf("%s was made", name)
				}
			}
			if tags, err := s.Tags(t.Context()); err != nil || len(tags) != 0 {
				t.Errorf("%v, %v", tags, err)
			}
		})
	}
}

func TestBadInput_not_a_layout(t *testing.T) {
	empty := t.TempDir()
	future := newTestLayout(t)
	future.write("oci-layout", []byte(`{"imageLayoutVersion":"2.0.0"}`))
	both := newTestLayout(t)
	both.write("index.json", []byte(`{"schemaVersion":2,"manifests":[],"layers":[]}`))
	bad := newTestLayout(t)
	bad.write("index.json", []byte(`{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"sha256:../../../../etc/passwd","size":1}]}`))
	linked := newTestLayout(t)
	if err := os.Symlink("/etc/passwd", filepath.Join(linked.dir, "index.json")); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]error{
		"oci:" + empty: ErrNotLayout, "oci:" + future.dir: ErrNotLayout, "oci:" + both.dir: image.ErrAmbiguous, "oci:" + bad.dir: image.ErrDigestInvalid,
		"oci:" + linked.dir: ErrNotRegular, "oci:/nowhere": os.ErrNotExist, "oci-archive:/nowhere": os.ErrNotExist, "oci-archive:" + empty: ErrNotRegular,
		"docker-archive:" + tarDir(t, future.dir): ErrNotLayout, "dir:" + empty: os.ErrNotExist,
	} {
		if _, err := copyIn(t, newStore(t), ref, CopyOptions{}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", ref, err, want)
		}
	}
	if _, err := Open(t.Context(), reference.Ref{Transport: reference.Registry}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a registry: %v", err)
	}
}

// An artifact is copied as it is; it has no Image.
func TestCopy_IS_M3_artifact(t *testing.T) {
	l := newTestLayout(t)
	empty := ispec.DescriptorEmptyJSON // embedded: its blob need not be there
	d := l.json(ispec.MediaTypeImageManifest, ispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ispec.MediaTypeImageManifest, ArtifactType: "application/x-sbom",
		Config: empty, Layers: []ispec.Descriptor{l.blob("application/spdx+json", []byte(`{"spdx":1}`))},
	})
	l.index(named(d, "sbom"))
	s := newStore(t)
	c := mustCopy(t, s, "oci:"+l.dir+":sbom", CopyOptions{})
	if c.Resolved.Manifest.Digest != d.Digest || c.Image.Descriptor().Digest != "" {
		t.Errorf("%+v", c)
	}
	if ok, err := s.Has(t.Context(), empty); !ok || err != nil {
		t.Errorf("embedded content: %v, %v", ok, err)
	}
}

// A sparse layout has only some of the manifests of its index.
func TestCopy_IS_L3_sparse(t *testing.T) {
	l, root, _, arm := multi(t)
	if err := os.Remove(filepath.Join(l.dir, "blobs/sha256", arm.Digest.Encoded())); err != nil {
		t.Fatal(err)
	}
	warned := 0
	c := mustCopy(t, newStore(t), "oci:"+l.dir+":multi", CopyOptions{All: true, Events: func(e image.Event) {
		if e.Kind == image.EventWarning {
			warned++
		}
	}})
	if c.Resolved.Root.Digest != root.Digest || warned != 1 {
		t.Errorf("%+v, %d warnings", c.Resolved, warned)
	}
	if _, err := copyIn(t, newStore(t), "oci:"+l.dir+":multi", CopyOptions{Platform: arm64}); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
}

// A copy that was broken off goes on; one that had wrong bytes starts again by itself.
func TestCopy_resumes(t *testing.T) {
	l := newTestLayout(t)
	d := l.image(amd64)
	l.index(d)
	content := bytes.Repeat([]byte("x"), 1<<20)
	big := l.blob(ispec.MediaTypeImageLayer, content)
	for start, retries := range map[string]int{"xxx": 0, "yyy": 1} {
		s := newStore(t)
		in, err := s.Ingest(t.Context(), big)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(in, start); err != nil {
			t.Fatal(err)
		}
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		src, err := Open(t.Context(), mustParse(t, "oci:"+l.dir))
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		seen := 0
		c := &copier{src: src, sink: sink{s}, o: CopyOptions{Events: func(e image.Event) {
			if e.Kind == image.EventRetry {
				seen++
			}
		}}}
		if err := c.blob(t.Context(), big); err != nil || seen != retries {
			t.Errorf("%v, %d retries, want %d", err, seen, retries)
		}
		if want := int64(len(content)*(retries+1) - 3); c.bytes.Load() != want {
			t.Errorf("copied %d, want %d", c.bytes.Load(), want)
		}
		mustBeValid(t, s)
	}
}

// Many processes copy the same image into the same store at once: all succeed, and each byte is
// copied by one of them only.
func TestCopy_at_once(t *testing.T) {
	l, _, _, _ := multi(t)
	root := filepath.Join(t.TempDir(), "store")
	var mu sync.Mutex
	var wg sync.WaitGroup
	var copied, size int64
	for range 6 {
		wg.Go(func() {
			s, err := store.Open(t.Context(), root, store.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			c, err := copyIn(t, s, "oci:"+l.dir+":multi", CopyOptions{Platform: amd64})
			if err == nil {
				err = s.Tag(t.Context(), "multi", c.Resolved.Root)
			}
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			copied, size = copied+c.Bytes, c.Bytes+c.Reused
		})
	}
	wg.Wait()
	if copied != size {
		t.Errorf("copied %d bytes of an image of %d", copied, size)
	}
	s, err := store.Open(t.Context(), root, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mustBeValid(t, s)
}

func TestCopy_cancelled(t *testing.T) {
	l := newTestLayout(t)
	l.index(l.image(hostArch()))
	src, err := Open(t.Context(), mustParse(t, "oci:"+l.dir))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := newStore(t)
	if _, err := Copy(ctx, src, sink{s}, CopyOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
	mustBeValid(t, s)
}

var (
	_ Source = (*Layout)(nil)
	_ Blobs  = (*store.Store)(nil)
)
