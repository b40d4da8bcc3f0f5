package blackbox_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	digest "github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// upstream is Debian's docker-registry on loopback, started by the first test that wants it and
// filled by skopeo.
var upstream dockerRegistry

type dockerRegistry struct {
	mu     sync.Mutex
	addr   string
	cmd    *exec.Cmd
	pushed map[string]bool
}

const registryConfig = `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}}
http: {addr: %q}
`

// start gives the address, HOST:PORT.
func (d *dockerRegistry) start(t *testing.T) string {
	t.Helper()
	if d.addr != "" {
		return d.addr
	}
	needTools(t, "docker-registry", "skopeo")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	addr := l.Addr().String()
	l.Close()
	config := filepath.Join(scratch, "registry.yml")
	check(t, os.WriteFile(config, fmt.Appendf(nil, registryConfig, filepath.Join(scratch, "registry"), addr), 0o600))
	d.cmd = exec.Command("docker-registry", "serve", config)
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also when a test panics
	check(t, d.cmd.Start())
	eventually(t, "docker-registry answers", func() bool {
		resp, err := http.Get("http://" + addr + "/v2/")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
	d.addr, d.pushed = addr, map[string]bool{}
	return addr
}

func (d *dockerRegistry) stop() {
	if d.cmd != nil {
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
	}
}

// image gives the reference of a test image in the registry. A name that ends in "-bare" is the
// image without its entrypoint and with python3 as its command.
func (d *dockerRegistry) image(t *testing.T, name string) string {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	dir := layout(t, strings.TrimSuffix(name, "-bare"))
	ref := d.start(t) + "/" + name + ":latest"
	if d.pushed[ref] {
		return ref
	}
	if strings.HasSuffix(name, "-bare") {
		dir = withoutEntrypoint(t, dir)
	}
	command(t, "skopeo", "--insecure-policy", "copy", "--all", "--preserve-digests", "--dest-tls-verify=false", "oci:"+dir+":latest", "docker://"+ref)
	d.pushed[ref] = true
	return ref
}

// withoutEntrypoint makes a layout with the same layers and a config that was changed.
func withoutEntrypoint(t *testing.T, from string) string {
	t.Helper()
	to, err := os.MkdirTemp(scratch, "layout-")
	check(t, err)
	check(t, os.CopyFS(to, os.DirFS(from)))
	blob := func(d ispec.Descriptor) string { return filepath.Join(to, "blobs/sha256", d.Digest.Encoded()) }
	write := func(d *ispec.Descriptor, v any) {
		raw, err := json.Marshal(v)
		check(t, err)
		*d = ispec.Descriptor{MediaType: d.MediaType, Digest: sum(raw), Size: int64(len(raw)), Annotations: d.Annotations}
		check(t, os.WriteFile(blob(*d), raw, 0o644))
	}
	var index ispec.Index
	var manifest ispec.Manifest
	var config ispec.Image
	readJSON(t, filepath.Join(to, "index.json"), &index)
	readJSON(t, blob(index.Manifests[0]), &manifest)
	readJSON(t, blob(manifest.Config), &config)
	config.Config.Entrypoint, config.Config.Cmd = nil, []string{"python3"}
	write(&manifest.Config, config)
	manifest.MediaType = index.Manifests[0].MediaType
	write(&index.Manifests[0], manifest)
	raw, err := json.Marshal(index)
	check(t, err)
	check(t, os.WriteFile(filepath.Join(to, "index.json"), raw, 0o644))
	return to
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	check(t, err)
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// proxy stands before a registry, counts what is asked of it, and may be slow.
type proxy struct {
	addr          string
	blobs, bodies atomic.Int64 // GETs of blobs; bytes of their bodies
	manifests     atomic.Int64 // GETs of manifests
	rate          atomic.Int64 // bytes of blobs a second; 0: as fast as it goes
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	p := &proxy{}
	target := &url.URL{Scheme: "http", Host: to}
	reverse := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			if r.Request.Method != http.MethodGet {
				return nil
			}
			switch path := r.Request.URL.Path; {
			case strings.Contains(path, "/blobs/"):
				p.blobs.Add(1)
				r.Body = &meter{ReadCloser: r.Body, p: p}
			case strings.Contains(path, "/manifests/"):
				p.manifests.Add(1)
			}
			return nil
		},
		FlushInterval: -1,
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	server := httptest.NewServer(reverse)
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	p.addr = strings.TrimPrefix(server.URL, "http://")
	return p
}

// via is the reference ref, with the proxy in the place of its registry.
func (p *proxy) via(ref string) string {
	return p.addr + ref[strings.Index(ref, "/"):]
}

func (p *proxy) reset() {
	p.blobs.Store(0)
	p.bodies.Store(0)
	p.manifests.Store(0)
}

type meter struct {
	io.ReadCloser
	p *proxy
}

func (m *meter) Read(b []byte) (int, error) {
	rate := m.p.rate.Load()
	if rate > 0 {
		b = b[:min(len(b), int(max(rate/50, 512)))]
	}
	n, err := m.ReadCloser.Read(b)
	m.p.bodies.Add(int64(n))
	if rate > 0 {
		time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
	}
	return n, err
}

func sum(b []byte) digest.Digest { return digest.FromBytes(b) }
