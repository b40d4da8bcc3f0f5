package distribution

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/credential"
	"github.com/oci-pipeline/oci/distribution/registrytest"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
)

// files is a layout behind Go's own file server, whose answers a test may spoil.
type files struct {
	*httptest.Server
	ref  reference.Ref
	blob ispec.Descriptor
	raw  []byte

	mu    sync.Mutex
	fault func(r *http.Request) registrytest.Fault
	seen  []*http.Request
}

func newFiles(t *testing.T, size int) *files {
	t.Helper()
	dir := t.TempDir()
	f := &files{raw: []byte(strings.Repeat("0123456789abcdef", size/16))}
	f.blob = ispec.Descriptor{MediaType: ispec.MediaTypeImageLayer, Digest: digest.FromBytes(f.raw), Size: int64(len(f.raw))}
	for name, raw := range map[string][]byte{
		"l/oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`), "l/index.json": []byte(`{"schemaVersion":2,"manifests":[]}`),
		"l/" + blobFile(f.blob.Digest): f.raw,
	} {
		must(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name), raw, 0o644))
	}
	server := http.FileServer(http.Dir(dir))
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		fault := f.fault
		f.seen = append(f.seen, r.Clone(r.Context()))
		f.mu.Unlock()
		if fault != nil {
			if with := fault(r); with != nil {
				with(w, r, server)
				return
			}
		}
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	f.ref = mustRef(t, "oci+http://"+strings.TrimPrefix(f.URL, "http://")+"/l:tag")
	return f
}

// once gives a fault to the first n requests whose path has part.
func (f *files) once(part string, n int, fault registrytest.Fault) {
	f.fault = func(r *http.Request) registrytest.Fault {
		if n == 0 || !strings.Contains(r.URL.Path, part) {
			return nil
		}
		n--
		return fault
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// readBlob reads the blob from offset on.
func (f *files) readBlob(t *testing.T, c *Client, offset int64) ([]byte, error) {
	t.Helper()
	r, err := c.Blob(t.Context(), f.ref, f.blob, offset)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func TestLayout_DC10_blobs_go_on_where_they_broke(t *testing.T) {
	for name, fault := range map[string]registrytest.Fault{
		"whole":         nil,
		"cut":           registrytest.Cut(300_000),
		"dropped":       registrytest.Drop(),
		"503":           registrytest.Status(503, "Retry-After", "0"),
		"no range":      registrytest.IgnoreRange(),
		"other range":   registrytest.WrongRange(77),
		"nameless 206":  registrytest.NoContentRange(),
		"500 and again": registrytest.Status(500),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFiles(t, 1<<20)
			if fault != nil {
				f.once("/blobs/", 2, fault)
			}
			for _, offset := range []int64{0, 500_000, f.blob.Size} {
				got, err := f.readBlob(t, newClient(t, Options{Retry: quick()}), offset)
				if err != nil || string(got) != string(f.raw[offset:]) {
					t.Errorf("from %d: %d bytes, %v", offset, len(got), err)
				}
			}
		})
	}
}

func TestLayout_asks_for_the_rest_only(t *testing.T) {
	f := newFiles(t, 1<<20)
	if _, err := f.readBlob(t, newClient(t, Options{}), 900_000); err != nil {
		t.Fatal(err)
	}
	if last := f.seen[len(f.seen)-1]; last.Header.Get("Range") != "bytes=900000-" || last.Header.Get("Accept-Encoding") != "identity" {
		t.Errorf("%v", last.Header)
	}
	d, err := newClient(t, Options{}).StatBlob(t.Context(), f.ref, f.blob.Digest)
	if err != nil || d.Size != f.blob.Size {
		t.Errorf("%v, %v", d, err)
	}
}

func TestLayout_documents(t *testing.T) {
	const limit = 4096
	for name, c := range map[string]struct {
		fault registrytest.Fault
		times int
		want  error
	}{
		"good":             {nil, 0, nil},
		"cut, then whole":  {registrytest.Cut(5), 1, nil},
		"429, then whole":  {registrytest.Status(429, "Retry-After", "0"), 1, nil},
		"404":              {registrytest.Status(404), 9, ErrNotFound},
		"403":              {registrytest.Status(403), 9, ErrUnauthorized},
		"500 for ever":     {registrytest.Status(500), 99, ErrServer},
		"without an end":   {registrytest.Endless(), 9, image.ErrTooLarge},
		"compressed":       {registrytest.Gzip(), 9, ErrProtocol},
		"a long way round": {registrytest.Redirect(""), 99, ErrProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFiles(t, 16)
			f.once("index.json", c.times, c.fault)
			raw, err := newClient(t, Options{Retry: quick()}).LayoutFile(t.Context(), f.ref, "index.json", limit)
			if !errors.Is(err, c.want) || c.want == nil && (err != nil || !strings.HasPrefix(string(raw), "{")) {
				t.Errorf("%q, %v, want %v", raw, err, c.want)
			}
		})
	}
}

// What is asked of a file server goes to it alone: a redirect takes no password elsewhere (DC-54).
func TestLayout_DC54_redirects_do_not_leak(t *testing.T) {
	elsewhere := newFiles(t, 1<<10)
	f := newFiles(t, 1<<10)
	f.fault = func(r *http.Request) registrytest.Fault {
		if r.Header.Get("Authorization") == "" {
			return registrytest.Status(401, "WWW-Authenticate", `Basic realm="files"`)
		}
		return registrytest.Redirect(elsewhere.URL)
	}
	c := newClient(t, Options{Credentials: credential.Static{Username: "me", Password: "secret"}})
	if got, err := f.readBlob(t, c, 0); err != nil || string(got) != string(f.raw) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if len(elsewhere.seen) == 0 {
		t.Fatal("the redirect was not followed")
	}
	for _, r := range elsewhere.seen {
		if r.Header.Get("Authorization") != "" {
			t.Error("the password went to another host")
		}
	}
}

func TestLayout_schemes(t *testing.T) {
	c := newClient(t, Options{})
	for text, want := range map[string]error{
		"oci+http://files.example/l":            ErrInsecure, // not this machine, and plain
		"oci:/l":                                reference.ErrTransport,
		"files.example/l":                       reference.ErrTransport,
		"oci+https://127.0.0.1:1/l":             ErrNetwork,
		"oci+https://" + newFiles(t, 16).host(): ErrInsecure, // it speaks plain http, and is not asked in it
	} {
		if _, err := c.LayoutFile(t.Context(), mustRef(t, text), "oci-layout", 100); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
	if _, err := c.Resolve(t.Context(), mustRef(t, "oci+https://h/l:tag")); !errors.Is(err, reference.ErrTransport) {
		t.Errorf("a file server was asked as a registry: %v", err)
	}
}

func (f *files) host() string { return strings.TrimPrefix(f.URL, "http://") + "/l" }

func TestLayout_TLS(t *testing.T) {
	f := newFiles(t, 1<<10)
	a := registrytest.NewAuthority(t)
	s := httptest.NewUnstartedServer(f.Config.Handler)
	s.TLS = a.Server(t, "files.example")
	s.StartTLS()
	defer s.Close()
	host := strings.TrimPrefix(s.URL, "https://")
	f.ref = mustRef(t, "oci+https://"+host+"/l")
	if _, err := f.readBlob(t, newClient(t, Options{Retry: quick()}), 0); !errors.Is(err, ErrInsecure) {
		t.Errorf("an unknown authority: %v", err)
	}
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, host), 0o755))
	pem, err := os.ReadFile(a.File)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, host, "ca.crt"), pem, 0o644))
	for name, o := range map[string]Options{"certs.d": {CertDirs: []string{dir}}, "insecure": {Insecure: true}} {
		if got, err := f.readBlob(t, newClient(t, o), 0); err != nil || string(got) != string(f.raw) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
