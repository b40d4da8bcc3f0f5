package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/distribution/registry"
	"github.com/oci-pipeline/oci/distribution/registrytest"
)

// program runs the binary with a store and a home of its own.
func program(t *testing.T, home, stdin string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary(t), args...)
	cmd.Env = append(os.Environ(), "HOME="+home, "OCI_ROOT="+filepath.Join(home, "store"), "XDG_RUNTIME_DIR="+home, "XDG_CONFIG_HOME=", "REGISTRY_AUTH_FILE=")
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// artifact puts something that can be pulled into a registry, as a/b:v.
func artifact(t *testing.T, b registry.Backend) {
	t.Helper()
	ctx, empty := context.Background(), []byte("{}")
	d := ispec.Descriptor{MediaType: ispec.MediaTypeEmptyJSON, Digest: digest.FromBytes(empty), Size: 2}
	if err := b.PutBlob(ctx, "a/b", d, bytes.NewReader(empty)); err != nil {
		t.Fatal(err)
	}
	raw := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.example","config":` +
		`{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` + d.Digest.String() + `","size":2},"layers":[]}`)
	m := ispec.Descriptor{MediaType: ispec.MediaTypeImageManifest, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	if err := b.PutManifest(ctx, "a/b", registry.Manifest{Descriptor: m, Raw: raw}); err != nil {
		t.Fatal(err)
	}
	if err := b.Tag(ctx, "a/b", "v", m); err != nil {
		t.Fatal(err)
	}
}

// TestLoginOverTLS: a registry with an authority of its own that wants a client certificate, and a
// token server; the flags, and the directories where certificates lie for all tools.
func TestLoginOverTLS(t *testing.T) {
	a := registrytest.NewAuthority(t)
	ts := registrytest.NewTLSTokenServer(t, a)
	ts.Username, ts.Password, ts.RefreshToken = "ann", "pw", "refresh-1"
	conf := a.Server(t, "registry.test")
	conf.ClientAuth, conf.ClientCAs = tls.RequireAndVerifyClientCert, a.Pool
	s := registrytest.New(t, registrytest.Options{Config: conf, Auth: func(next http.Handler) http.Handler {
		ts.Signer = nil // tokens that Guard knows
		return ts.Guard(next)
	}})
	artifact(t, s.Backend)
	cert, key := a.Issue(t, "client.test")
	home := t.TempDir()
	byFlag := []string{"--ca-file", a.File, "--cert-file", cert, "--key-file", key}
	login := append([]string{"login", s.Host, "-u", "ann", "--password-stdin", "--identity-token"}, byFlag...)

	if out, err := program(t, home, "pw", login[:6]...); err == nil || !strings.Contains(out, "certificate") {
		t.Errorf("without the authority: %v\n%s", err, out)
	}
	if out, err := program(t, home, "pw", append(login, "--key-file=")...); err == nil || !strings.Contains(out, "go together") {
		t.Errorf("half of a pair: %v\n%s", err, out)
	}
	if out, err := program(t, home, "pw\n", login...); err != nil || !strings.Contains(out, "logged in to "+s.Host+" as ann") {
		t.Fatalf("log in: %v\n%s", err, out)
	}
	raw, err := os.ReadFile(filepath.Join(home, "containers", "auth.json"))
	if err != nil || !strings.Contains(string(raw), `"identitytoken": "refresh-1"`) || strings.Contains(string(raw), "YW5uOnB3") {
		t.Errorf("stored: %s, %v; want the identity token and no password", raw, err)
	}
	if out, err := program(t, home, "", append([]string{"pull", "-q", s.Host + "/a/b:v"}, byFlag...)...); err != nil {
		t.Errorf("pull by flags: %v\n%s", err, out)
	}
	if log := ts.Log(); log[len(log)-1] != "POST repository:a/b:pull" {
		t.Errorf("the identity token was not used: %q", log)
	}
	dir := filepath.Join(home, ".config", "containers", "certs.d", s.Host)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{"ca.crt": a.File, "c.cert": cert, "c.key": key} {
		raw, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), raw, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if out, err := program(t, home, "", "pull", "-q", s.Host+"/a/b:v"); err != nil {
		t.Errorf("pull by certs.d: %v\n%s", err, out)
	}
	if out, err := program(t, t.TempDir(), "", "pull", "-q", "--creds", "ann:pw", "--cert-dir", dir, s.Host+"/a/b:v"); err != nil {
		t.Errorf("pull by --cert-dir: %v\n%s", err, out)
	}
}
