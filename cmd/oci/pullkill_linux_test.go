package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// oneLayer is a registry of one image with one large layer. It counts what it sends of that.
type oneLayer struct {
	layer, config, manifest []byte
	sent                    atomic.Int64
	mu                      sync.Mutex
	ranges                  []string
}

func newOneLayer(t *testing.T, size int) *oneLayer {
	t.Helper()
	s := &oneLayer{layer: make([]byte, size)}
	_, _ = rand.NewChaCha8([32]byte{}).Read(s.layer[:1<<20])
	for i := 1 << 20; i < size; i += 1 << 20 { // no two parts are the same
		copy(s.layer[i:], s.layer[:1<<20])
		copy(s.layer[i:], fmt.Sprint(i))
	}
	d := digest.FromBytes(s.layer)
	var err error
	if s.config, err = json.Marshal(ispec.Image{Platform: ispec.Platform{OS: "linux", Architecture: "amd64"}, RootFS: ispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{d}}}); err != nil {
		t.Fatal(err)
	}
	m := ispec.Manifest{
		MediaType: ispec.MediaTypeImageManifest,
		Config:    ispec.Descriptor{MediaType: ispec.MediaTypeImageConfig, Digest: digest.FromBytes(s.config), Size: int64(len(s.config))},
		Layers:    []ispec.Descriptor{{MediaType: ispec.MediaTypeImageLayer, Digest: d, Size: int64(size)}},
	}
	m.SchemaVersion = 2
	if s.manifest, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	return s
}

// ServeHTTP implements http.Handler.
func (s *oneLayer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := s.config
	switch {
	case strings.Contains(r.URL.Path, "/manifests/"):
		body = s.manifest
		w.Header().Set("Content-Type", ispec.MediaTypeImageManifest)
		w.Header().Set("Docker-Content-Digest", digest.FromBytes(body).String())
	case strings.HasSuffix(r.URL.Path, digest.FromBytes(s.layer).String()):
		body = s.layer
		s.mu.Lock()
		s.ranges = append(s.ranges, r.Header.Get("Range"))
		s.mu.Unlock()
		w = &countedBody{w, &s.sent}
		w.Header().Set("ETag", `"the-layer"`)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// countedBody sends slowly enough for a process to be killed in between.
type countedBody struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *countedBody) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	if now := c.n.Add(int64(n)); now>>20 != (now-int64(n))>>20 {
		time.Sleep(12 * time.Millisecond) // after each MiB: several connections are worth it
	}
	return n, err
}

// elsewhere is an address of this machine that is not its loopback: only from registries that are not
// beside us blobs are fetched in parts.
func elsewhere(t *testing.T) string {
	t.Helper()
	list, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() && !ip.IP.IsLinkLocalUnicast() {
			return ip.IP.String()
		}
	}
	t.Skip("this machine has no IPv4 address but that of its loopback")
	return ""
}

// TestDC10_killed_at_half: a pull that was killed (SIGKILL) when half of a large layer was there fetches
// the other half, over one connection and over several, and asks only whether the content is the same.
func TestDC10_killed_at_half(t *testing.T) {
	const size = 160 << 20
	bin, s := binary(t), newOneLayer(t, size)
	for _, parallel := range []bool{false, true} {
		t.Run(fmt.Sprintf("parallel %v", parallel), func(t *testing.T) {
			address := "127.0.0.1"
			if parallel {
				address = elsewhere(t)
			}
			l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
			if err != nil {
				t.Fatal(err)
			}
			server := &httptest.Server{Listener: l, Config: &http.Server{Handler: s}} //nolint:gosec // of this test alone
			server.Start()
			defer server.Close()
			root := t.TempDir()
			pull := func() *exec.Cmd {
				cmd := exec.Command(bin, "pull", "--insecure", "-q", "--platform", "linux/amd64", l.Addr().String()+"/big:latest")
				cmd.Env = append(os.Environ(), "OCI_ROOT="+root)
				cmd.Stderr = os.Stderr
				return cmd
			}
			s.sent.Store(0)
			s.ranges = nil
			first := pull()
			if err := first.Start(); err != nil {
				t.Fatal(err)
			}
			partial := filepath.Join(root, "ingest", "sha256-"+digest.FromBytes(s.layer).Encoded())
			for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
				if info, err := os.Stat(partial); err == nil && info.Size() >= size/2 {
					break
				}
				if time.Now().After(end) {
					break // the check below tells
				}
			}
			_ = first.Process.Kill()
			_ = first.Wait()
			info, err := os.Stat(partial)
			if err != nil || info.Size() < size/2 || info.Size() > size*3/4 {
				t.Fatalf("killed too early or too late: %v, %v", info, err)
			}
			if got := len(s.ranges) > 4; got != parallel {
				t.Errorf("ranges %q", s.ranges)
			}
			before, asked := s.sent.Swap(0), len(s.ranges)
			if err := pull().Run(); err != nil {
				t.Fatal(err)
			}
			after := s.sent.Load()
			if !parallel && (len(s.ranges) != asked+1 || s.ranges[asked] == "") {
				t.Errorf("the second pull asked for the layer as %q", s.ranges[asked:])
			}
			t.Logf("sent %d MiB before and %d MiB after, of %d MiB", before>>20, after>>20, size>>20)
			if limit := int64(size) * 55 / 100; after > limit {
				t.Errorf("the second pull fetched %d bytes of %d, want at most %d", after, size, limit)
			}
			f, err := os.Open(filepath.Join(root, "blobs", "sha256", digest.FromBytes(s.layer).Encoded()))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if d, err := digest.FromReader(f); err != nil || d != digest.FromBytes(s.layer) {
				t.Errorf("the layer is %s, %v", d, err)
			}
		})
	}
}

// TestWarmPullIsOneHead counts all that a pull of what is there asks, from the real program.
func TestWarmPullIsOneHead(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	s := newOneLayer(t, 1<<20)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.Method+" "+r.URL.Path)
		mu.Unlock()
		s.ServeHTTP(w, r)
	}))
	defer server.Close()
	root := t.TempDir()
	for i, want := range []int{3, 1, 1} {
		asked = nil
		cmd := exec.Command(binary(t), "pull", "-q", "--platform", "linux/amd64", strings.TrimPrefix(server.URL, "http://")+"/small:latest")
		cmd.Env = append(os.Environ(), "OCI_ROOT="+root)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if len(asked) != want || want == 1 && !strings.HasPrefix(asked[0], "HEAD /v2/small/manifests/") {
			t.Errorf("pull %d asked %q, want %d", i, asked, want)
		}
	}
}

// TestH83_two_processes: two that pull the same at the same time share what is fetched.
func TestH83_two_processes(t *testing.T) {
	const size = 32 << 20
	bin, s := binary(t), newOneLayer(t, size)
	server := httptest.NewServer(s)
	defer server.Close()
	root := t.TempDir()
	var both sync.WaitGroup
	for i := range 2 {
		both.Go(func() {
			cmd := exec.Command(bin, "pull", "-q", "--platform", "linux/amd64", fmt.Sprintf("%s/big:%d", strings.TrimPrefix(server.URL, "http://"), i))
			cmd.Env = append(os.Environ(), "OCI_ROOT="+root)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	both.Wait()
	if n := s.sent.Load(); n != size {
		t.Errorf("sent %d bytes, want %d", n, size)
	}
	cmd := exec.Command(bin, "check")
	cmd.Env = append(os.Environ(), "OCI_ROOT="+root)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("oci check: %v: %s", err, out)
	}
}
