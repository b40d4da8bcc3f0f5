package distribution

import (
	"crypto/tls"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/oci-pipeline/oci/distribution/mirrorconfig"
	"github.com/oci-pipeline/oci/distribution/registrytest"
)

// mutual starts a registry that wants a certificate of the authority from its clients.
func mutual(t *testing.T, a *registrytest.Authority) (*registrytest.Server, string) {
	t.Helper()
	conf := a.Server(t, "registry.test")
	conf.ClientAuth, conf.ClientCAs = tls.RequireAndVerifyClientCert, a.Pool
	s, _, ref := setup(t, registrytest.Options{Config: conf})
	return s, ref.String()
}

func link(t *testing.T, file, as string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(as), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(as, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCertDirs(t *testing.T) {
	a := registrytest.NewAuthority(t)
	s, ref := mutual(t, a)
	cert, key := a.Issue(t, "client.test")
	for name, tt := range map[string]struct {
		files map[string]string
		want  error
	}{
		"nothing":              {nil, ErrInsecure},
		"authority alone":      {map[string]string{"ca.crt": a.File}, ErrNetwork}, // the server ends the handshake
		"all":                  {map[string]string{"ca.crt": a.File, "x.cert": cert, "x.key": key}, nil},
		"certificate, no key":  {map[string]string{"ca.crt": a.File, "x.cert": cert}, ErrCertificate},
		"key, no certificate":  {map[string]string{"ca.crt": a.File, "x.key": key}, ErrCertificate},
		"not a certificate":    {map[string]string{"ca.crt": key}, ErrCertificate},
		"key of another":       {map[string]string{"ca.crt": a.File, "x.cert": a.File, "x.key": key}, ErrCertificate},
		"other files are fine": {map[string]string{"ca.crt": a.File, "x.cert": cert, "x.key": key, "README": key}, nil},
	} {
		for _, form := range mirrorconfig.HostDirs(s.Host) {
			dir := t.TempDir()
			for f, src := range tt.files {
				link(t, src, filepath.Join(dir, form, f))
			}
			_, err := newClient(t, Options{CertDirs: []string{t.TempDir(), dir}}).Resolve(t.Context(), mustRef(t, ref))
			if tt.want == nil && err != nil || !errors.Is(err, tt.want) {
				t.Errorf("%s in %s: got %v, want %v", name, form, err, tt.want)
			}
		}
	}
}

// TestCertDirsBesideHostsToml: a directory with a hosts.toml, or without certificates, does not hide
// the next one that has some.
func TestCertDirsBesideHostsToml(t *testing.T) {
	a := registrytest.NewAuthority(t)
	s, _, ref := setup(t, registrytest.Options{Config: a.Server(t, "r.test")})
	empty, toml, right := t.TempDir(), t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(empty, s.Host), 0o700); err != nil {
		t.Fatal(err)
	}
	link(t, a.File, filepath.Join(right, s.Host, "ca.crt"))
	link(t, a.File, filepath.Join(toml, s.Host, "hosts.toml")) // what it says is for others to read
	link(t, a.File, filepath.Join(toml, s.Host, "ca.crt"))
	if _, err := newClient(t, Options{CertDirs: []string{empty, toml, right}}).Resolve(t.Context(), ref); err != nil {
		t.Error(err)
	}
	if _, err := newClient(t, Options{CertDirs: []string{empty, toml}}).Resolve(t.Context(), ref); !errors.Is(err, ErrInsecure) {
		t.Errorf("certificates beside a hosts.toml: got %v, want ErrInsecure", err)
	}
}

// TestCertificatesByFlag: the functions that flags use.
func TestCertificatesByFlag(t *testing.T) {
	a := registrytest.NewAuthority(t)
	_, ref := mutual(t, a)
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	cert, key := a.Issue(t, "client.test")
	if err := errors.Join(AddCA(conf, a.File), AddClientCert(conf, cert, key)); err != nil {
		t.Fatal(err)
	}
	if _, err := pullInto(t, newClient(t, Options{TLS: conf}), mustRef(t, ref), newMemory(), PullOptions{}); err != nil {
		t.Error(err)
	}
	for _, err := range []error{AddCA(conf, key), AddCA(conf, t.TempDir()), AddCA(conf, "/absent"), AddClientCert(conf, cert, cert), AddCertDir(conf, "/absent")} {
		if !errors.Is(err, ErrCertificate) {
			t.Errorf("got %v, want ErrCertificate", err)
		}
	}
}

// TestClientCertificateStaysHome: neither a redirect nor a mirror gets to see it; the authorities of
// the registry hold for where it leads.
func TestClientCertificateStaysHome(t *testing.T) {
	a := registrytest.NewAuthority(t)
	cert, key := a.Issue(t, "client.test")
	var shown atomic.Int64
	conf := a.Server(t, "blobs.test")
	conf.ClientAuth = tls.RequestClientCert
	elsewhere, f, _ := setup(t, registrytest.Options{Config: conf, Auth: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			shown.Add(int64(len(r.TLS.PeerCertificates)))
			next.ServeHTTP(w, r)
		})
	}})
	s, ref := mutual(t, a)
	other := "https://localhost" + elsewhere.Host[strings.LastIndex(elsewhere.Host, ":"):]
	s.Inject(registrytest.Rule{Method: "GET", Path: "/blobs/", Fault: registrytest.Redirect(other)})
	base := &tls.Config{MinVersion: tls.VersionTLS12}
	if err := errors.Join(AddCA(base, a.File), AddClientCert(base, cert, key)); err != nil {
		t.Fatal(err)
	}
	if _, err := pullInto(t, newClient(t, Options{TLS: base}), mustRef(t, ref), newMemory(), PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := elsewhere.Count("GET", "/blobs/"); n != 4 || shown.Load() != 0 {
		t.Errorf("redirects followed: %d, certificates shown there: %d", n, shown.Load())
	}
	s.Heal()
	f.fill(t, elsewhere.Backend, "team/app")
	elsewhere.Forget()
	c := newClient(t, Options{TLS: base, Mirrors: mirrors(t, mirrorconfig.Options{}, registryEntry(s.Host, elsewhere.Host))})
	if _, err := pullInto(t, c, mustRef(t, ref), newMemory(), PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(elsewhere.Requests()) == 0 || shown.Load() != 0 {
		t.Errorf("mirror asked: %d, certificates shown there: %d", len(elsewhere.Requests()), shown.Load())
	}
}

// TestHostsTomlTLS: ca, client and skip_verify of hosts.toml.
func TestHostsTomlTLS(t *testing.T) {
	a := registrytest.NewAuthority(t)
	s, ref := mutual(t, a)
	cert, key := a.Issue(t, "client.test")
	for name, tt := range map[string]struct {
		text string
		want error
	}{
		"ca and client": {"ca = \"" + a.File + "\"\nclient = [[\"" + cert + "\", \"" + key + "\"]]\n", nil},
		"skip_verify":   {"skip_verify = true\nclient = [[\"" + cert + "\", \"" + key + "\"]]\n", nil},
		"ca alone":      {"ca = \"" + a.File + "\"\n", ErrNetwork},
		"client alone":  {"client = [[\"" + cert + "\", \"" + key + "\"]]\n", ErrInsecure},
		"no such file":  {"ca = \"absent.pem\"\n", ErrCertificate},
	} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, s.Host), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, s.Host, "hosts.toml"), []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		c := newClient(t, Options{Mirrors: mirrors(t, mirrorconfig.Options{Hosts: []string{dir}}, "")})
		_, err := c.Resolve(t.Context(), mustRef(t, ref))
		if tt.want == nil && err != nil || !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
}

// TestInsecureByConfiguration: registries.conf allows plain http for one registry only.
func TestInsecureByConfiguration(t *testing.T) {
	s, _, _ := setup(t, registrytest.Options{})
	conf := mirrors(t, mirrorconfig.Options{}, "[[registry]]\nlocation = \"plain.example\"\ninsecure = true\n")
	c := newClient(t, Options{Mirrors: conf, Dial: dialTo(s.Host)})
	if _, err := c.Resolve(t.Context(), mustRef(t, "plain.example/team/app")); err != nil {
		t.Error(err)
	}
	if _, err := c.Resolve(t.Context(), mustRef(t, "other.example/team/app")); !errors.Is(err, ErrInsecure) {
		t.Errorf("another registry: got %v, want ErrInsecure", err)
	}
}
