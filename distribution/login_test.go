package distribution

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oci-pipeline/oci/distribution/credential"
	"github.com/oci-pipeline/oci/distribution/registrytest"
	"github.com/oci-pipeline/oci/image"
)

func loginName(t *testing.T, s string) credential.Name {
	t.Helper()
	n, err := credential.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestDC58_login(t *testing.T) {
	ts := registrytest.NewTokenServer(t)
	ts.Username, ts.Password = "ann", "pw"
	byToken, _ := guarded(t, ts)
	basic, _, _ := setup(t, registrytest.Options{Auth: registrytest.Basic("ann", "pw")})
	open, _, _ := setup(t, registrytest.Options{})
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	good, bad := credential.Static{Username: "ann", Password: "pw"}, credential.Static{Username: "ann", Password: "hunter2"}
	for name, tt := range map[string]struct {
		host   string
		cred   credential.Static
		wanted bool
		err    error
	}{
		"basic":            {basic.Host, good, true, nil},
		"basic, wrong":     {basic.Host, bad, false, ErrUnauthorized},
		"basic, anonymous": {basic.Host, credential.Static{}, false, ErrUnauthorized},
		"token":            {byToken.Host, good, true, nil},
		"token, wrong":     {byToken.Host, bad, false, ErrUnauthorized},
		"open to all":      {open.Host, good, false, nil},
		"no registry":      {strings.TrimPrefix(other.URL, "http://"), good, false, ErrNotFound},
		"nobody":           {closedAddr(t), good, false, ErrNetwork},
	} {
		wanted, err := newClient(t, Options{Credentials: tt.cred}).Login(t.Context(), loginName(t, tt.host+"/team"))
		if wanted != tt.wanted || tt.err == nil && err != nil || !errors.Is(err, tt.err) {
			t.Errorf("%s: got %t, %v; want %t, %v", name, wanted, err, tt.wanted, tt.err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
}

func TestIdentityToken(t *testing.T) {
	ts := registrytest.NewTokenServer(t)
	ts.Username, ts.Password, ts.RefreshToken = "ann", "pw", "refresh"
	s, _ := guarded(t, ts)
	n := loginName(t, s.Host)
	c := newClient(t, Options{Credentials: credential.Static{Username: "ann", Password: "pw"}})
	if _, err := c.IdentityToken(t.Context(), n); !errors.Is(err, ErrProtocol) {
		t.Errorf("before the login nothing is known of a token server: %v", err)
	}
	if _, err := c.Login(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	token, err := c.IdentityToken(t.Context(), n)
	if err != nil || token != "refresh" {
		t.Errorf("got %q, %v", token, err)
	}
	ts.RefreshToken = ""
	if _, err := c.IdentityToken(t.Context(), n); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("a server that gives none: %v", err)
	}
}

// secureDockerRegistry starts docker-registry with TLS, and tokens of ts.
func secureDockerRegistry(t *testing.T, a *registrytest.Authority, ts *registrytest.TokenServer) string {
	t.Helper()
	cert, key := a.Issue(t, "registry.test")
	return dockerRegistry(t, "  tls:\n    certificate: "+cert+"\n    key: "+key+"\nauth:\n  token:\n    realm: "+ts.URL+
		"\n    service: "+ts.Signer.Service+"\n    issuer: "+ts.Signer.Issuer+"\n    rootcertbundle: "+a.File+"\n")
}

// TestInteropTokenOverTLS: docker-registry that checks signed tokens, a token server, both over TLS
// with an authority of their own; password, identity token, a mount with two scopes, skopeo.
func TestInteropTokenOverTLS(t *testing.T) {
	program(t, "docker-registry")
	a := registrytest.NewAuthority(t)
	ts := registrytest.NewTLSTokenServer(t, a)
	ts.Username, ts.Password, ts.RefreshToken = "ann", "pw", "refresh"
	host := secureDockerRegistry(t, a, ts)
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if err := AddCA(conf, a.File); err != nil {
		t.Fatal(err)
	}
	client := func(c credential.Static) *Client { return newClient(t, Options{TLS: conf, Credentials: c}) }
	ann := client(credential.Static{Username: "ann", Password: "pw"})
	if wanted, err := ann.Login(t.Context(), loginName(t, host)); err != nil || !wanted {
		t.Fatalf("log in: %t, %v", wanted, err)
	}
	f, ref := realFixture(t), mustRef(t, host+"/a/b:v")
	if err := ann.Push(t.Context(), ref, f.store, f.index, PushOptions{}); err != nil {
		t.Fatal(err)
	}
	pulledBack(t, client(credential.Static{Username: "ann", IdentityToken: "refresh"}), ref.String(), f)
	if _, err := client(credential.Static{}).Resolve(t.Context(), ref); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("anonymous: %v", err)
	}
	before, sent := len(ts.Log()), 0
	o := PushOptions{MountFrom: "a/b", Events: func(e image.Event) {
		if e.Kind == image.EventProgress {
			sent++
		}
	}}
	if err := client(credential.Static{Username: "ann", Password: "pw"}).Push(t.Context(), mustRef(t, host+"/c/d:v"), f.store, f.index, o); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(ts.Log()[before:], "\n"); got != "GET repository:c/d:pull,push repository:a/b:pull" || sent != 0 {
		t.Errorf("tokens for the mount: %q; bytes were sent %d times", got, sent)
	}
	skopeo, certs := program(t, "skopeo"), t.TempDir()
	link(t, a.File, filepath.Join(certs, "ca.crt"))
	out := run(t, skopeo, "inspect", "--raw", "--cert-dir", certs, "--creds", "ann:pw", "docker://"+ref.String())
	if out != string(f.store.blobs[f.index.Digest]) {
		t.Errorf("skopeo sees %s", out)
	}
}

// TestInteropAuthFile: skopeo reads what Store writes, and Lookup what skopeo's login writes.
func TestInteropAuthFile(t *testing.T) {
	skopeo := program(t, "skopeo")
	s, _, _ := setup(t, registrytest.Options{Auth: registrytest.Basic("ann", "p:w ü")})
	dir := t.TempDir()
	ours, theirs := filepath.Join(dir, "ours.json"), filepath.Join(dir, "theirs.json")
	if _, err := credential.New(credential.Options{File: ours}).Store(t.Context(), loginName(t, s.Host), credential.Credential{Username: "ann", Password: "p:w ü"}); err != nil {
		t.Fatal(err)
	}
	run(t, skopeo, "inspect", "--raw", "--tls-verify=false", "--authfile", ours, "docker://"+s.Host+"/team/app")
	run(t, skopeo, "login", "--tls-verify=false", "--authfile", theirs, "-u", "ann", "-p", "p:w ü", s.Host)
	k := credential.New(credential.Options{File: theirs})
	if wanted, err := newClient(t, Options{Credentials: k}).Login(t.Context(), loginName(t, s.Host)); err != nil || !wanted {
		t.Errorf("what skopeo wrote: %t, %v", wanted, err)
	}
	if _, err := k.Store(t.Context(), loginName(t, "other.example/team"), credential.Credential{Username: "bob", Password: "x"}); err != nil {
		t.Fatal(err)
	}
	run(t, skopeo, "logout", "--authfile", theirs, s.Host)
	if c, err := credential.New(credential.Options{File: theirs}).Lookup(t.Context(), "other.example", "team/app"); err != nil || c.Username != "bob" {
		t.Errorf("skopeo's logout took ours too: %v, %v", c, err)
	}
	if _, err := credential.New(credential.Options{File: ours}).Erase(t.Context(), loginName(t, s.Host)); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(ours)
	if err != nil || strings.Contains(string(raw), s.Host) {
		t.Errorf("left after the logout: %s, %v", raw, err)
	}
}
