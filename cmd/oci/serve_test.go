package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image/store"
)

// lines is a buffer that a test reads while the program writes.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startServe runs `oci serve` on a free port until stop, which gives its status and what it said.
func startServe(t *testing.T, args ...string) (url string, stop func() (int, string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var said lines
	status := make(chan int, 1)
	go func() {
		status <- execute(ctx, append([]string{"serve", "--addr", "127.0.0.1:0"}, args...), strings.NewReader(""), io.Discard, &said)
	}()
	address := regexp.MustCompile(`serving .* on (https?://\S+)\n`)
	for range 2000 {
		if m := address.FindStringSubmatch(said.String()); m != nil {
			stop = sync.OnceValues(func() (int, string) {
				cancel()
				return <-status, said.String()
			})
			t.Cleanup(func() { _, _ = stop() })
			return m[1], stop
		}
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	t.Fatalf("no address: status %d, %s", <-status, said.String())
	return "", nil
}

// layoutWith makes a layout that has one image, a manifest with the annotation a, under tag.
func layoutWith(t *testing.T, dir, tag, a string) (raw string, d ispec.Descriptor) {
	t.Helper()
	s, err := store.Open(t.Context(), dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put := func(mt, text string) ispec.Descriptor {
		d := ispec.Descriptor{MediaType: mt, Digest: digest.FromString(text), Size: int64(len(text))}
		if err := contentOf(s).Put(t.Context(), d, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		return d
	}
	config := put(ispec.MediaTypeEmptyJSON, "{}")
	raw = fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":2},"layers":[],"annotations":{"a":%q}}`,
		ispec.MediaTypeImageManifest, config.MediaType, config.Digest, a)
	d = put(ispec.MediaTypeImageManifest, raw)
	if err := s.Tag(t.Context(), tag, d); err != nil {
		t.Fatal(err)
	}
	return raw, d
}

func fetchText(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := c.Get(url) //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

// Several directories are one registry; the first that has a name gives it.
func TestServe_directories(t *testing.T) {
	root := t.TempDir()
	one, two := filepath.Join(root, "one"), filepath.Join(root, "two")
	first, _ := layoutWith(t, one, "same/app:v", "1")
	layoutWith(t, two, "docker.io/same/app:v", "2")
	other, d := layoutWith(t, two, "latest", "3")
	url, stop := startServe(t, one, two)
	for path, want := range map[string]string{"same/app/manifests/v": first, "two/manifests/latest": other, "two/manifests/" + d.Digest.String(): other} {
		if status, got := fetchText(t, http.DefaultClient, url+"/v2/"+path); status != 200 || got != want {
			t.Errorf("%s: %d %s", path, status, got)
		}
	}
	if _, got := fetchText(t, http.DefaultClient, url+"/v2/_catalog"); got != `{"repositories":["same/app","two"]}` {
		t.Error(got)
	}
	if status, said := stop(); status != statusOK || !strings.Contains(said, one+", "+two) {
		t.Errorf("%d %s", status, said)
	}
	for _, args := range [][]string{{"serve", "--writable", one, two}, {"serve", "--tls-cert", "x", one}} {
		if status := execute(t.Context(), args, nil, io.Discard, io.Discard); status != statusUsage {
			t.Errorf("%q: status %d", args, status)
		}
	}
}

// certificate writes one for 127.0.0.1 and gives the pool that trusts it.
func certificate(t *testing.T) (cert, key string, trust *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	trust = x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	trust.AddCert(parsed)
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", secret), trust
}

func TestServe_TLS(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "app")
	raw, _ := layoutWith(t, dir, "v", "1")
	cert, key, trust := certificate(t)
	url, _ := startServe(t, "--tls-cert", cert, "--tls-key", key, dir)
	if !strings.HasPrefix(url, "https://") {
		t.Errorf("address %s", url)
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}, ForceAttemptHTTP2: true}}
	if status, got := fetchText(t, c, url+"/v2/app/manifests/v"); status != 200 || got != raw {
		t.Errorf("%d %s", status, got)
	}
	if resp, err := http.Get(strings.Replace(url, "https", "http", 1) + "/v2/"); err == nil { //nolint:noctx // loopback
		_ = resp.Body.Close()
		if resp.StatusCode == 200 {
			t.Error("it speaks plain http too")
		}
	}
	if status := execute(t.Context(), []string{"serve", "--tls-cert", key, "--tls-key", cert, dir}, nil, io.Discard, io.Discard); status == statusOK {
		t.Error("a key is no certificate")
	}
}

// A signal ends the server once what is under way is done; each request is in the log.
func TestServe_ends_after_its_requests(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "app")
	layoutWith(t, dir, "v", "1")
	log := filepath.Join(t.TempDir(), "log")
	url, stop := startServe(t, "--writable", "--log", log, "--log-level", "info", "--log-format", "json", dir)
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d := digest.FromString("hello world")
	fmt.Fprintf(c, "POST /v2/app/blobs/uploads/?digest=%s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n", d)
	answers := bufio.NewReader(c)
	if line, err := answers.ReadString('\n'); err != nil || !strings.Contains(line, " 100 ") { // it is under way
		t.Fatalf("%q, %v", line, err)
	}
	_, _ = answers.ReadString('\n')
	ended := make(chan int, 1)
	go func() {
		status, _ := stop()
		ended <- status
	}()
	for range 400 { // until it takes no more connections
		other, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			break
		}
		_ = other.Close()
		time.Sleep(5 * time.Millisecond)
	}
	_, _ = io.WriteString(c, "hello world")
	resp, err := http.ReadResponse(answers, nil)
	if err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("%v, %v", resp, err)
	}
	if status := <-ended; status != statusOK {
		t.Errorf("status %d", status)
	}
	raw, err := os.ReadFile(log)
	if err != nil || !strings.Contains(string(raw), `"method":"POST","path":"/v2/app/blobs/uploads/"`) || !strings.Contains(string(raw), `"status":201`) {
		t.Errorf("log: %s, %v", raw, err)
	}
}

// raw sends bytes as they are and gives the status of the answer, 0 if there is none.
func rawRequest(t *testing.T, url, text string) int {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(c, text)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// No request reads or writes outside the directory, and none is answered by anything but a refusal.
func TestServe_hostile_paths(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "app")
	_, d := layoutWith(t, dir, "v", "1")
	url, _ := startServe(t, "--writable", dir)
	before := listing(t, root)
	var paths []string
	for _, up := range []string{"..", "%2e%2e", "%2E%2e", "..%2f..", "%252e%252e", "..%5c..", ".%00", "...", "/"} {
		for _, form := range []string{
			"/%s/secret", "/v2/%s/secret", "/v2/%s/manifests/v", "/v2/app/%s/manifests/v", "/v2/app/manifests/%s", "/v2/app/blobs/%s",
			"/v2/app/blobs/sha256:%s", "/v2/app/blobs/sha256:%s/%s/secret", "/v2/app/blobs/%s:" + d.Digest.Encoded(), "/v2/app/referrers/%s",
			"/v2/app/blobs/uploads/%s", "/v2/%s/tags/list", "/v2/app/%s/blobs/uploads/",
		} {
			paths = append(paths, strings.ReplaceAll(form, "%s", up))
		}
	}
	paths = append(paths, "/v2/app/blobs/sha256:"+strings.ToUpper(d.Digest.Encoded()), "/v2/app/blobs/sha256:"+d.Digest.Encoded()+"/",
		"/v2/app/blobs/sha256:"+d.Digest.Encoded()[:63], "/v2/app/blobs/sha384:"+d.Digest.Encoded(), "//v2//app//manifests//v", "/v2/app/manifests/"+strings.Repeat("a", 129))
	for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"} {
		for _, p := range paths {
			if status := rawRequest(t, url, method+" "+p+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"); status < 400 || status >= 500 {
				t.Errorf("%s %s: status %d", method, p, status)
			}
		}
	}
	if after := listing(t, root); after != before {
		t.Errorf("files changed:\n%s\nbefore:\n%s", after, before)
	}
}

func listing(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && !e.IsDir() {
			fmt.Fprintln(&b, path, info.Size(), info.ModTime())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What is no request, or too much of one, is refused within bounds.
func TestServe_hostile_headers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "app")
	layoutWith(t, dir, "v", "1")
	url, _ := startServe(t, "--writable", dir)
	for name, tt := range map[string]struct {
		text   string
		status int
	}{
		"large header":    {"GET /v2/ HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 2*maxHeader) + "\r\n\r\n", http.StatusRequestHeaderFieldsTooLarge},
		"many headers":    {"GET /v2/ HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: y\r\n", maxHeader) + "\r\n", http.StatusRequestHeaderFieldsTooLarge},
		"long path":       {"GET /v2/" + strings.Repeat("a/", maxHeader) + " HTTP/1.1\r\nHost: x\r\n\r\n", http.StatusRequestHeaderFieldsTooLarge},
		"two lengths":     {"POST /v2/app/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", http.StatusBadRequest},
		"length and form": {"POST /v2/app/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: x\r\n\r\nab", http.StatusNotImplemented},
		"negative length": {"POST /v2/app/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\nab", http.StatusBadRequest},
		"no host":         {"GET /v2/ HTTP/1.1\r\n\r\n", http.StatusBadRequest},
		"HTTP/2":          {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", http.StatusNotFound}, // not spoken
		"many tags":       {"PUT /v2/app/manifests/sha256:" + strings.Repeat("a", 64) + "?" + strings.Repeat("tag=a&", 1000) + " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", http.StatusBadRequest},
		"large manifest":  {"PUT /v2/app/manifests/v HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n" + strings.Repeat("a", 1<<20), http.StatusRequestEntityTooLarge},
	} {
		if status := rawRequest(t, url, tt.text); status != tt.status {
			t.Errorf("%s: status %d, want %d", name, status, tt.status)
		}
	}
	if status, _ := fetchText(t, http.DefaultClient, url+"/v2/app/manifests/v"); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
}
