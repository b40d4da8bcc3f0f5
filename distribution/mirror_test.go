package distribution

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oci-pipeline/oci/distribution/credential"
	"github.com/oci-pipeline/oci/distribution/mirrorconfig"
	"github.com/oci-pipeline/oci/distribution/registrytest"
)

func mirrors(t testing.TB, o mirrorconfig.Options, registries string) *mirrorconfig.Config {
	t.Helper()
	if registries != "" {
		o.Registries = filepath.Join(t.TempDir(), "registries.conf")
		if err := os.WriteFile(o.Registries, []byte(registries), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := mirrorconfig.Load(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// closedAddr is a loopback address where nothing listens.
func closedAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func registryEntry(prefix string, mirrors ...string) string {
	s := fmt.Sprintf("[[registry]]\nlocation = %q\n", prefix)
	for _, m := range mirrors {
		s += fmt.Sprintf("[[registry.mirror]]\nlocation = %q\n", m)
	}
	return s
}

// TestMirrorServesEverything: with a mirror that has the image the registry hears nothing.
func TestMirrorServesEverything(t *testing.T) {
	up, _, ref := setup(t, registrytest.Options{})
	near, f, _ := setup(t, registrytest.Options{})
	f.fill(t, near.Backend, "cache/team/app")
	c := newClient(t, Options{Mirrors: mirrors(t, mirrorconfig.Options{}, registryEntry(up.Host, near.Host+"/cache"))})
	if _, err := pullInto(t, c, ref, newMemory(), PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := len(up.Requests()); n != 0 {
		t.Errorf("the registry was asked %d times", n)
	}
	if near.Count("GET", "/v2/cache/team/app/blobs/") != 4 {
		t.Errorf("the mirror was asked: %v", near.Requests())
	}
}

// TestMirrorFallback: whatever is wrong with a mirror, the image comes from the registry.
func TestMirrorFallback(t *testing.T) {
	for name, breakIt := range map[string]func(near *registrytest.Server) string{
		"down":  func(*registrytest.Server) string { return closedAddr(t) },
		"empty": func(s *registrytest.Server) string { return s.Host + "/nothing" },
		"failing": func(s *registrytest.Server) string {
			s.Inject(registrytest.Rule{Fault: registrytest.Status(500)})
			return s.Host
		},
		"denying": func(s *registrytest.Server) string {
			s.Inject(registrytest.Rule{Fault: registrytest.Status(403)})
			return s.Host
		},
		"limiting": func(s *registrytest.Server) string {
			s.Inject(registrytest.Rule{Fault: registrytest.Status(429)})
			return s.Host
		},
		"without blobs": func(s *registrytest.Server) string {
			s.Inject(registrytest.Rule{Path: "/blobs/", Fault: registrytest.Status(404)})
			return s.Host
		},
		"with other bytes": func(s *registrytest.Server) string {
			s.Inject(registrytest.Rule{Method: "GET", Path: "/blobs/", Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				next.ServeHTTP(corrupter{w}, r)
			}})
			return s.Host
		},
		"with other manifests": func(s *registrytest.Server) string {
			s.Inject(registrytest.Rule{Method: "GET", Path: "/manifests/", Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				next.ServeHTTP(corrupter{w}, r)
			}})
			return s.Host
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, f, ref := setup(t, registrytest.Options{})
			near, _, _ := setup(t, registrytest.Options{})
			c := newClient(t, Options{Mirrors: mirrors(t, mirrorconfig.Options{}, registryEntry(ref.Registry, breakIt(near)))})
			m := newMemory()
			if _, err := pullInto(t, c, ref, m, PullOptions{}); err != nil {
				t.Fatal(err)
			}
			for _, l := range f.layers {
				if _, ok := m.blobs[l.Digest]; !ok {
					t.Errorf("layer %s is missing", l.Digest)
				}
			}
		})
	}
}

// corrupter changes one byte of what is written.
type corrupter struct{ http.ResponseWriter }

func (c corrupter) Write(p []byte) (int, error) {
	q := append([]byte(nil), p...)
	q[len(q)/2] ^= 1
	return c.ResponseWriter.Write(q)
}

// TestMirrorCutInTheMiddle: the registry goes on at the byte where the mirror stopped.
func TestMirrorCutInTheMiddle(t *testing.T) {
	up, _, ref := setup(t, registrytest.Options{})
	near, f, _ := setup(t, registrytest.Options{})
	big := f.layers[1]
	near.Inject(
		registrytest.Rule{Method: "GET", Path: big.Digest.String(), Times: 1, Fault: registrytest.Cut(100_000)},
		registrytest.Rule{Method: "GET", Path: big.Digest.String(), Fault: registrytest.Status(503)},
	)
	c := newClient(t, Options{Mirrors: mirrors(t, mirrorconfig.Options{}, registryEntry(up.Host, near.Host))})
	if _, err := pullInto(t, c, ref, newMemory(), PullOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, r := range up.Requests() {
		if strings.Contains(r.Path, big.Digest.String()) {
			if r.Header.Get("Range") != "bytes=100000-" {
				t.Errorf("the registry was asked for range %q", r.Header.Get("Range"))
			}
			return
		}
	}
	t.Error("the registry was not asked for the rest")
}

// TestMirrorStalls: a mirror that says nothing is waited for once.
func TestMirrorStalls(t *testing.T) {
	up, _, ref := setup(t, registrytest.Options{})
	near, _, _ := setup(t, registrytest.Options{})
	near.Inject(registrytest.Rule{Fault: registrytest.Hang()})
	c := newClient(t, Options{IdleTimeout: 300 * time.Millisecond, Mirrors: mirrors(t, mirrorconfig.Options{}, registryEntry(up.Host, near.Host))})
	if _, err := pullInto(t, c, ref, newMemory(), PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := len(near.Requests()); n != 1 {
		t.Errorf("the mirror was asked %d times, want once", n)
	}
}

// TestMirrorLeftAlone: a mirror that cannot be reached costs one round of attempts, not one a blob.
func TestMirrorLeftAlone(t *testing.T) {
	up, _, ref := setup(t, registrytest.Options{})
	near, _, _ := setup(t, registrytest.Options{})
	near.Inject(registrytest.Rule{Fault: registrytest.Status(500)})
	c := newClient(t, Options{Mirrors: mirrors(t, mirrorconfig.Options{}, registryEntry(up.Host, near.Host))})
	if _, err := pullInto(t, c, ref, newMemory(), PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := len(near.Requests()); n != 2 {
		t.Errorf("the mirror was asked %d times, want 2", n)
	}
}

// TestDC52_credentials_stay: neither a password nor a token nor a client header of the registry
// reaches a mirror, even one that asks for it; its own credential does.
func TestDC52_credentials_stay(t *testing.T) {
	up, f, ref := setup(t, registrytest.Options{Auth: registrytest.Basic("ann", "pw")})
	near, _, _ := setup(t, registrytest.Options{Auth: registrytest.Basic("bob", "mirror")})
	f.fill(t, near.Backend, "team/app")
	conf := func() *mirrorconfig.Config {
		return mirrors(t, mirrorconfig.Options{}, registryEntry(up.Host, near.Host))
	}
	c := newClient(t, Options{Mirrors: conf(), Credentials: credential.Static{Username: "ann", Password: "pw"}})
	if _, err := pullInto(t, c, ref, newMemory(), PullOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, r := range near.Requests() {
		if r.Header.Get("Authorization") != "" {
			t.Fatalf("the mirror got %q", r.Header.Get("Authorization"))
		}
	}
	near.Forget()
	up.Forget()
	c = newClient(t, Options{Mirrors: conf(), Credentials: byHost{up.Host: {Username: "ann", Password: "pw"}, near.Host: {Username: "bob", Password: "mirror"}}})
	if _, err := pullInto(t, c, ref, newMemory(), PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(up.Requests()) != 0 {
		t.Error("the mirror's own credential was not used")
	}
}

type byHost map[string]credential.Credential

func (b byHost) Lookup(_ context.Context, registry, _ string) (credential.Credential, error) {
	return b[registry], nil
}

// TestHostsTomlRequests: ns=, headers, paths and capabilities as containerd has them.
func TestHostsTomlRequests(t *testing.T) {
	up, _, ref := setup(t, registrytest.Options{})
	near, f, _ := setup(t, registrytest.Options{})
	f.fill(t, near.Backend, "proxy/v2/team/app")
	dir := t.TempDir()
	host := filepath.Join(dir, mirrorconfig.HostDirs(up.Host)[0])
	if err := os.Mkdir(host, 0o700); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("[host.%q]\ncapabilities = [\"pull\"]\noverride_path = true\n[host.%q.header]\nX-Key = \"secret\"\n", near.URL+"/v2/proxy/v2", near.URL+"/v2/proxy/v2")
	if err := os.WriteFile(filepath.Join(host, "hosts.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, Options{Mirrors: mirrors(t, mirrorconfig.Options{Hosts: []string{dir}}, "")})
	if _, err := pullInto(t, c, ref, newMemory(), PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := len(up.Requests()); n != 1 || up.Requests()[0].Method != http.MethodHead {
		t.Errorf("the registry says what the tag means, and no more: %v", up.Requests())
	}
	if up.Requests()[0].Header.Get("X-Key") != "" || up.Requests()[0].RawQuery != "" {
		t.Errorf("what is for the mirror went to the registry: %v", up.Requests()[0])
	}
	for _, r := range near.Requests() {
		if r.Header.Get("X-Key") != "secret" || r.RawQuery != "ns="+strings.ReplaceAll(up.Host, ":", "%3A") || !strings.HasPrefix(r.Path, "/v2/proxy/v2/team/app/") {
			t.Errorf("the mirror was asked %s?%s with %v", r.Path, r.RawQuery, r.Header)
		}
	}
}

// TestMirrorByDigestOnly: such a mirror gives content even when a tag was asked for, and never says
// what the tag means.
func TestMirrorByDigestOnly(t *testing.T) {
	up, _, ref := setup(t, registrytest.Options{})
	near, _, _ := setup(t, registrytest.Options{})
	c := newClient(t, Options{Mirrors: mirrors(t, mirrorconfig.Options{}, registryEntry(up.Host, near.Host)+"pull-from-mirror = \"digest-only\"\n")})
	if _, err := pullInto(t, c, ref, newMemory(), PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(up.Requests()) != 1 || near.Count("", "/manifests/latest") != 0 || near.Count("GET", "/blobs/") != 4 {
		t.Errorf("registry %v, mirror %v", up.Requests(), near.Requests())
	}
}

func TestMirrorBlocked(t *testing.T) {
	up, f, ref := setup(t, registrytest.Options{})
	c := newClient(t, Options{Mirrors: mirrors(t, mirrorconfig.Options{}, registryEntry(up.Host)+"blocked = true\n")})
	if _, err := c.Resolve(t.Context(), ref); !errors.Is(err, mirrorconfig.ErrBlocked) {
		t.Errorf("resolve: %v", err)
	}
	if err := c.Push(t.Context(), ref, f.store, f.index, PushOptions{}); !errors.Is(err, mirrorconfig.ErrBlocked) {
		t.Errorf("push: %v", err)
	}
	if len(up.Requests()) != 0 {
		t.Errorf("a blocked registry was asked: %v", up.Requests())
	}
}

// TestMirrorErrors: the error is the registry's, and says what the mirrors said.
func TestMirrorErrors(t *testing.T) {
	up, _, _ := setup(t, registrytest.Options{})
	dead := closedAddr(t)
	c := newClient(t, Options{Mirrors: mirrors(t, mirrorconfig.Options{}, registryEntry(up.Host, dead))})
	_, err := c.Resolve(t.Context(), mustRef(t, up.Host+"/team/none:x"))
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), dead) {
		t.Errorf("got %v, want ErrNotFound and a word about %s", err, dead)
	}
}

// TestPushIgnoresMirrors: content goes to the registry.
func TestPushIgnoresMirrors(t *testing.T) {
	up, f, _ := setup(t, registrytest.Options{})
	near, _, _ := setup(t, registrytest.Options{})
	c := newClient(t, Options{Mirrors: mirrors(t, mirrorconfig.Options{}, registryEntry(up.Host, near.Host))})
	if err := c.Push(t.Context(), mustRef(t, up.Host+"/new/app:v"), f.store, f.index, PushOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(near.Requests()) != 0 || up.Count("PUT", "/manifests/v") != 1 {
		t.Errorf("the mirror heard %v", near.Requests())
	}
}
