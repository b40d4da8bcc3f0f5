package distribution

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ggcrregistry "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/credential"
	"github.com/oci-pipeline/oci/distribution/registrytest"
	"github.com/oci-pipeline/oci/image"
)

// realFixture is a fixture whose layers are real: others look into them.
func realFixture(t *testing.T) *fixture {
	t.Helper()
	var plain, packed bytes.Buffer
	tw := tar.NewWriter(&plain)
	body := bytes.Repeat([]byte("some text that is worth packing "), 5000)
	if err := tw.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: int64(len(body)), Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	_, _ = tw.Write(body)
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	zw := gzip.NewWriter(&packed)
	_, _ = zw.Write(plain.Bytes())
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	f := &fixture{store: newMemory()}
	put := func(mt string, raw []byte) ispec.Descriptor {
		return ispec.Descriptor{MediaType: mt, Digest: f.store.add(raw), Size: int64(len(raw))}
	}
	f.layers = []ispec.Descriptor{put(ispec.MediaTypeImageLayerGzip, packed.Bytes())}
	p := testPlatform()
	f.config = put(ispec.MediaTypeImageConfig, mustJSON(t, ispec.Image{
		Platform: p, RootFS: ispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(plain.Bytes())}},
		History: []ispec.History{{CreatedBy: "test"}},
	}))
	man := ispec.Manifest{MediaType: ispec.MediaTypeImageManifest, Config: f.config, Layers: f.layers}
	man.SchemaVersion = 2
	f.manifest = put(man.MediaType, mustJSON(t, man))
	f.manifest.Platform = &p
	idx := ispec.Index{MediaType: ispec.MediaTypeImageIndex, Manifests: []ispec.Descriptor{f.manifest}}
	idx.SchemaVersion = 2
	f.index = put(idx.MediaType, mustJSON(t, idx))
	return f
}

// program gives the path of a program, or skips the test.
func program(t *testing.T, name string) string {
	t.Helper()
	p, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed, so there is no peer to test with", name)
	}
	return p
}

func run(t *testing.T, prog string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, prog, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", prog, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// dockerRegistry starts Debian's docker-registry on a loopback port.
func dockerRegistry(t *testing.T, extra string) string {
	t.Helper()
	prog := program(t, "docker-registry")
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close() // it has no way to be given a listener
	conf := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: %s\n  delete:\n    enabled: true\nhttp:\n  addr: %s\n%s", dir, addr, extra)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	cmd := exec.Command(prog, "serve", conf)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for range 200 {
		resp, err := http.Get("http://" + addr + "/v2/") //nolint:noctx // a probe
		if err == nil {
			_ = resp.Body.Close()
			return addr
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("docker-registry does not answer: %s", output.String())
	return ""
}

func TestInteropDockerRegistry(t *testing.T) {
	host := dockerRegistry(t, "")
	for name, o := range map[string]PushOptions{"whole": {}, "chunked": {ChunkSize: 100_000}} {
		t.Run(name, func(t *testing.T) {
			f, c := newFixture(t), newClient(t, Options{})
			ref := host + "/team/" + name + ":v1"
			if err := c.Push(t.Context(), mustRef(t, ref), f.store, f.index, o); err != nil {
				t.Fatal(err)
			}
			pulledBack(t, c, ref, f)
			other := host + "/mounted/" + name + ":v1"
			if err := c.Push(t.Context(), mustRef(t, other), f.store, f.index, PushOptions{MountFrom: "team/" + name}); err != nil {
				t.Fatal(err)
			}
			pulledBack(t, c, other, f)
			// 2.8 has no referrers API: the tag stands in.
			sig := signature(t, f, "x")
			if err := c.Push(t.Context(), mustRef(t, ref).WithDigest(sig.Digest), f.store, sig, PushOptions{}); err != nil {
				t.Fatal(err)
			}
			list, err := c.Referrers(t.Context(), mustRef(t, ref), f.manifest.Digest, "")
			if err != nil || len(list) != 1 || list[0].Digest != sig.Digest {
				t.Errorf("referrers: %v, %v", list, err)
			}
			if _, err := c.Resolve(t.Context(), mustRef(t, host+"/team/nothing:x")); !errors.Is(err, ErrNotFound) {
				t.Errorf("unknown repository: got %v", err)
			}
		})
	}
}

func TestInteropDockerRegistryResume(t *testing.T) {
	host := dockerRegistry(t, "")
	f, c := newFixture(t), newClient(t, Options{})
	ref := mustRef(t, host+"/a/b:v")
	if err := c.Push(t.Context(), ref, f.store, f.index, PushOptions{}); err != nil {
		t.Fatal(err)
	}
	m := newMemory()
	m.partial[f.layers[1].Digest] = bytes.Clone(f.store.blobs[f.layers[1].Digest][:123_456])
	res, err := pullInto(t, c, ref, m, PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if res.BytesReused != 123_456 {
		t.Errorf("reused %d bytes, want 123456", res.BytesReused)
	}
}

func TestInteropDockerRegistryHtpasswd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "htpasswd")
	// ann:pw, by bcrypt with the lowest cost
	if err := os.WriteFile(file, []byte("ann:$2b$04$CWtBBXVTtmuF9M5cMVy2A.eT0VTbyu6w..AHC9hAKjTDAKTdJgFcS\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	host := dockerRegistry(t, "auth:\n  htpasswd:\n    realm: test\n    path: "+file+"\n")
	f, ref := newFixture(t), mustRef(t, host+"/a/b:v")
	if err := newClient(t, Options{}).Push(t.Context(), ref, f.store, f.index, PushOptions{}); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("anonymous: got %v, want ErrUnauthorized", err)
	}
	wrong := newClient(t, Options{Credentials: credential.Static{Username: "ann", Password: "no"}})
	if _, err := wrong.Resolve(t.Context(), ref); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("wrong password: got %v, want ErrUnauthorized", err)
	}
	auth := filepath.Join(t.TempDir(), "auth.json")
	if err := os.WriteFile(auth, []byte(`{"auths":{"`+host+`":{"auth":"YW5uOnB3"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, Options{Credentials: credential.New(credential.Options{File: auth})})
	if err := c.Push(t.Context(), ref, f.store, f.index, PushOptions{}); err != nil {
		t.Fatal(err)
	}
	pulledBack(t, c, ref.String(), f)
}

func TestInteropSkopeo(t *testing.T) {
	skopeo := program(t, "skopeo")
	s := registrytest.New(t, registrytest.Options{})
	f, c := realFixture(t), newClient(t, Options{})
	if err := c.Push(t.Context(), mustRef(t, s.Host+"/a/b:v"), f.store, f.index, PushOptions{}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	flags := []string{"--insecure-policy", "copy", "-q", "--all"}
	run(t, skopeo, append(flags, "--src-tls-verify=false", "docker://"+s.Host+"/a/b:v", "oci:"+dir+":v")...)
	var idx ispec.Index
	raw, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil || json.Unmarshal(raw, &idx) != nil || len(idx.Manifests) != 1 || idx.Manifests[0].Digest != f.index.Digest {
		t.Errorf("skopeo pulled %s, %v; want %s", raw, err, f.index.Digest)
	}
	run(t, skopeo, append(flags, "--dest-tls-verify=false", "oci:"+dir+":v", "docker://"+s.Host+"/back/b:v")...)
	pulledBack(t, c, s.Host+"/back/b:v", f)
	run(t, skopeo, "--insecure-policy", "copy", "-q", "--format", "v2s2", "--dest-tls-verify=false", "oci:"+dir+":v", "docker://"+s.Host+"/docker/b:v")
	res, err := pullInto(t, c, mustRef(t, s.Host+"/docker/b:v"), newMemory(), PullOptions{})
	if err != nil || res.Resolved.Manifest.MediaType != image.DockerManifest {
		t.Errorf("docker's format: %+v, %v", res.Resolved, err)
	}
	if out := run(t, skopeo, "list-tags", "--tls-verify=false", "docker://"+s.Host+"/a/b"); !strings.Contains(out, `"v"`) {
		t.Errorf("list-tags: %s", out)
	}
	run(t, skopeo, "delete", "--tls-verify=false", "docker://"+s.Host+"/docker/b:v")
}

// TestInteropImages pushes real images with skopeo to docker-registry and pulls them with us.
func TestInteropImages(t *testing.T) {
	images := os.Getenv("OCI_TEST_IMAGES")
	if images == "" {
		t.Skip("OCI_TEST_IMAGES is not set, so there are no real images")
	}
	skopeo := program(t, "skopeo")
	host := dockerRegistry(t, "")
	for _, n := range []string{"busybox", "debian-v2s2"} {
		src := "oci:" + filepath.Join(images, n) + ":latest"
		if _, err := os.Stat(filepath.Join(images, n+".dir", "manifest.json")); err == nil {
			src = "dir:" + filepath.Join(images, n+".dir")
		} else if _, err := os.Stat(filepath.Join(images, n, "index.json")); err != nil {
			t.Logf("no image %s in %s", n, images)
			continue
		}
		run(t, skopeo, "--insecure-policy", "copy", "-q", "--all", "--dest-tls-verify=false", src, "docker://"+host+"/real/"+n+":latest")
		c, m := newClient(t, Options{}), newMemory()
		ref := mustRef(t, host+"/real/"+n+":latest")
		res, err := pullInto(t, c, ref, m, PullOptions{})
		if err != nil {
			t.Errorf("%s: %v", n, err)
			continue
		}
		again, err := pullInto(t, c, ref, m, PullOptions{Known: res.Resolved.Root})
		if err != nil || again.BytesFetched != 0 || res.BytesFetched == 0 {
			t.Errorf("%s: fetched %d, then %d, %v", n, res.BytesFetched, again.BytesFetched, err)
		}
	}
}

// TestInteropGGCR: go-containerregistry as client of our registry and as registry of our client.
func TestInteropGGCR(t *testing.T) {
	ours := registrytest.New(t, registrytest.Options{})
	theirs := httptest.NewServer(ggcrregistry.New(ggcrregistry.Logger(log.New(io.Discard, "", 0))))
	defer theirs.Close()
	img, err := random.Image(50_000, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{ours.Host, strings.TrimPrefix(theirs.URL, "http://")} {
		tag, err := name.NewTag(host + "/ggcr/app:v1")
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(tag, img); err != nil {
			t.Fatal(err)
		}
		want, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, Options{})
		d, err := c.Resolve(t.Context(), mustRef(t, tag.String()))
		if err != nil || d.Digest.String() != want.String() {
			t.Errorf("resolved %v, %v; want %s", d, err, want)
		}
		f := newFixture(t)
		ref := host + "/ours/app:v1"
		if err := c.Push(t.Context(), mustRef(t, ref), f.store, f.index, PushOptions{}); err != nil {
			t.Fatal(err)
		}
		pulledBack(t, c, ref, f)
		back, err := name.NewTag(ref)
		if err != nil {
			t.Fatal(err)
		}
		idx, err := remote.Index(back)
		if err != nil {
			t.Fatal(err)
		}
		if h, err := idx.Digest(); err != nil || h.String() != f.index.Digest.String() {
			t.Errorf("they pulled %v, %v; want %s", h, err, f.index.Digest)
		}
	}
}

// TestDC34_tag_of_another_digest: a manifest whose digest is not a sha256 keeps it under its tag.
func TestDC34_tag_of_another_digest(t *testing.T) {
	s := registrytest.New(t, registrytest.Options{})
	f, c := newFixture(t), newClient(t, Options{})
	raw := f.store.blobs[f.manifest.Digest]
	d := f.manifest
	d.Digest = digest.SHA512.FromBytes(raw)
	f.store.blobs[d.Digest] = raw
	if err := c.Push(t.Context(), mustRef(t, s.Host+"/a/b:v"), f.store, d, PushOptions{}); err != nil {
		t.Fatal(err)
	}
	got, err := c.Resolve(t.Context(), mustRef(t, s.Host+"/a/b:v"))
	if err != nil || got.Digest != d.Digest {
		t.Errorf("the tag is %s, %v; want %s", got.Digest, err, d.Digest)
	}
}
