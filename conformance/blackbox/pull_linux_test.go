package blackbox_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// The content store is an OCI image layout in which every blob has the digest of its name, and which
// other tools read.
func TestPull_store_is_a_layout(t *testing.T) {
	t.Parallel()
	ref := upstream.image(t, "python")
	s := newSandbox(t)
	s.ok(t, "pull", ref)
	var version ispec.ImageLayout
	readJSON(t, filepath.Join(s.root, "oci-layout"), &version)
	if version.Version != "1.0.0" {
		t.Errorf("imageLayoutVersion is %q", version.Version)
	}
	blobs := names(filepath.Join(s.root, "blobs/sha256"))
	for _, name := range blobs {
		f, err := os.Open(filepath.Join(s.root, "blobs/sha256", name))
		check(t, err)
		h := sha256.New()
		_, err = io.Copy(h, f)
		f.Close()
		check(t, err)
		if got := hex.EncodeToString(h.Sum(nil)); got != name {
			t.Errorf("blob %s has the digest %s", name, got)
		}
	}
	// the manifest is the registry's, byte for byte
	raw := command(t, "skopeo", "inspect", "--raw", "--tls-verify=false", "docker://"+ref)
	stored, err := os.ReadFile(filepath.Join(s.root, "blobs/sha256", sum([]byte(raw)).Encoded()))
	if err != nil || string(stored) != raw {
		t.Errorf("the manifest is not stored as the registry gave it: %v", err)
	}
	var m ispec.Manifest
	check(t, json.Unmarshal([]byte(raw), &m))
	if want := len(m.Layers) + 2; len(blobs) != want {
		t.Errorf("%d blobs, want %d", len(blobs), want)
	}
	var index ispec.Index
	readJSON(t, filepath.Join(s.root, "index.json"), &index)
	if len(index.Manifests) != 1 || index.Manifests[0].Digest != sum([]byte(raw)) || index.Manifests[0].Size != int64(len(raw)) {
		t.Errorf("index.json lists %+v", index.Manifests)
	}
	if got := names(filepath.Join(s.root, "ingest")); len(got) != 0 {
		t.Errorf("ingest holds %q after the pull", got)
	}
	s.clean(t)
}

// A second pull transfers nothing: no blob is asked for, and no manifest body either.
func TestPull_again_transfers_nothing(t *testing.T) {
	t.Parallel()
	p := newProxy(t, strings.Split(upstream.image(t, "python"), "/")[0])
	ref := p.via(upstream.image(t, "python"))
	s := newSandbox(t)
	s.ok(t, "pull", ref)
	if p.blobs.Load() != 7 || p.bodies.Load() < 50<<20 {
		t.Logf("first pull: %d blobs, %d bytes", p.blobs.Load(), p.bodies.Load())
	}
	p.reset()
	s.ok(t, "pull", ref)
	if n := p.blobs.Load(); n != 0 {
		t.Errorf("the second pull asked for %d blobs, %d bytes", n, p.bodies.Load())
	}
	if n := p.manifests.Load(); n > 1 {
		t.Errorf("the second pull asked for %d manifests", n)
	}
	// another image with the same layers takes its config and manifest alone
	p.reset()
	s.ok(t, "pull", p.via(upstream.image(t, "python-bare")))
	if n := p.blobs.Load(); n != 1 {
		t.Errorf("an image with the same layers asked for %d blobs, want its config", n)
	}
	s.clean(t)
}

// An index gives the image of this machine, or of the platform that is asked for.
func TestPull_platform(t *testing.T) {
	t.Parallel()
	ref := upstream.image(t, "busybox")
	for _, platform := range []string{"", "linux/arm64", "linux/arm/v7"} {
		s := newSandbox(t)
		args := []string{"pull", ref}
		if platform != "" {
			args = []string{"pull", "--platform", platform, ref}
		}
		s.ok(t, args...)
		s.clean(t)
		if n := len(names(filepath.Join(s.root, "blobs/sha256"))); n != 4 {
			t.Errorf("%q: %d blobs, want the index and one image of three", platform, n)
		}
	}
}

// A reference by digest is pulled, and one by a digest that does not exist is not found.
func TestPull_digest(t *testing.T) {
	t.Parallel()
	ref := upstream.image(t, "debian")
	raw := command(t, "skopeo", "inspect", "--raw", "--tls-verify=false", "docker://"+ref)
	s := newSandbox(t)
	repo := strings.TrimSuffix(ref, ":latest")
	s.ok(t, "pull", repo+"@"+sum([]byte(raw)).String())
	s.fails(t, 3, nil, "pull", repo+"@"+sum([]byte("nothing")).String())
	s.fails(t, 3, []string{"nosuchtag"}, "pull", repo+":nosuchtag")
	s.fails(t, 3, []string{"nosuch/repo"}, "pull", strings.Split(ref, "/")[0]+"/nosuch/repo:latest")
	s.clean(t)
}

// Images come from the layouts and archives of other tools too.
func TestPull_local_sources(t *testing.T) {
	t.Parallel()
	needTools(t, "skopeo")
	dir := layout(t, "debian")
	s := newSandbox(t)
	for _, to := range []string{"oci-archive:" + s.dir + "/oci.tar:latest", "docker-archive:" + s.dir + "/docker.tar:example/debian:latest"} {
		command(t, "skopeo", "--insecure-policy", "copy", "oci:"+dir+":latest", to)
	}
	sources := []string{"oci:" + dir + ":latest", "oci-archive:" + s.dir + "/oci.tar:latest", "docker-archive:" + s.dir + "/docker.tar:example/debian:latest"}
	for _, ref := range sources {
		s.ok(t, "pull", ref)
		if os.Geteuid() == 0 {
			if out := s.ok(t, "run", "--rm", ref, "cat", "/etc/debian_version"); !strings.HasPrefix(out, "1") {
				t.Errorf("%s: debian_version is %q", ref, out)
			}
		}
	}
	s.clean(t)
}

// Plain http is for loopback; elsewhere https is required unless it is asked for.
func TestPull_https_required(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", net.JoinHostPort(ownAddress(t), "0"))
	check(t, err)
	asked := make(chan string, 100)
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		http.NotFound(w, r)
	})}}
	server.Start()
	defer server.Close()
	s := newSandbox(t)
	ref := l.Addr().String() + "/x:latest"
	if r := s.run("pull", ref); r.status == 0 || r.status == 3 || len(asked) != 0 {
		t.Errorf("spoke plain http with another host (%d requests): %v", len(asked), r)
	} else {
		r.speaks(t, "http")
	}
	s.fails(t, 3, nil, "pull", "--insecure", ref)
	if len(asked) == 0 {
		t.Error("--insecure did not allow plain http")
	}
}

// ownAddress is an address of this machine that is not loopback.
func ownAddress(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	check(t, err)
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() && ip.IP.To4() != nil {
			return ip.IP.String()
		}
	}
	t.Skip("needs an address that is not loopback")
	return ""
}

// images, inspect and rmi: what a pull adds can be seen, read and taken away.
func TestImages_inspect_rmi(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	debian, busybox := upstream.image(t, "debian"), upstream.image(t, "busybox")
	s.ok(t, "pull", debian)
	s.ok(t, "pull", busybox)
	out := s.ok(t, "images")
	for _, name := range []string{strings.TrimSuffix(debian, ":latest"), strings.TrimSuffix(busybox, ":latest"), "latest"} {
		if !strings.Contains(out, name) {
			t.Errorf("images lacks %s:\n%s", name, out)
		}
	}
	if out := s.ok(t, "images", "--format", "json"); !json.Valid([]byte(out)) {
		t.Errorf("images --format json gives %s", clip(out))
	}
	raw := command(t, "skopeo", "inspect", "--raw", "--tls-verify=false", "docker://"+debian)
	out = s.ok(t, "inspect", debian)
	var any any
	if err := json.Unmarshal([]byte(out), &any); err != nil || !strings.Contains(out, sum([]byte(raw)).String()) {
		t.Errorf("inspect is no JSON, or lacks the digest %s: %s", sum([]byte(raw)), clip(out))
	}
	s.ok(t, "rmi", debian)
	if out := s.ok(t, "images"); strings.Contains(out, "/debian") || !strings.Contains(out, "/busybox") {
		t.Errorf("images after rmi of debian:\n%s", out)
	}
	s.fails(t, 3, []string{"debian"}, "inspect", debian)
	s.fails(t, 3, []string{"debian"}, "rmi", debian)
	s.clean(t)
	s.ok(t, "pull", debian)
	s.clean(t)
}
