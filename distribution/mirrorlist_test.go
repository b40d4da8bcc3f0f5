package distribution

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oci-pipeline/oci/distribution/mirrorconfig"
	"github.com/oci-pipeline/oci/distribution/registrytest"
)

// hostsToml writes a hosts.toml about a registry and gives the configuration that has it.
func hostsToml(t *testing.T, registry, text string) *mirrorconfig.Config {
	t.Helper()
	dir := t.TempDir()
	host := filepath.Join(dir, mirrorconfig.HostDirs(registry)[0])
	if err := os.Mkdir(host, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(host, "hosts.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return mirrors(t, mirrorconfig.Options{Hosts: []string{dir}}, "")
}

// TestMirrorLists: tags come from a mirror that may say what they mean, referrers from one that may say
// so, and both from the registry when the mirror has none; AllTags asks the registry alone.
func TestMirrorLists(t *testing.T) {
	up, f, ref := setup(t, registrytest.Options{})
	near, _, _ := setup(t, registrytest.Options{})
	sig := signature(t, f, "x")
	if err := newClient(t, Options{}).Push(t.Context(), mustRef(t, near.Host+"/team/app").WithDigest(sig.Digest), f.store, sig, PushOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		capabilities    string
		tags, referrers string // who answers
	}{
		{`["pull", "resolve", "referrers"]`, "mirror", "mirror"},
		{`["pull", "resolve"]`, "mirror", "registry"},
		{`["pull"]`, "registry", "registry"},
		{`["referrers"]`, "registry", "mirror"},
	} {
		up.Forget()
		near.Forget()
		c := newClient(t, Options{Mirrors: hostsToml(t, up.Host, fmt.Sprintf("[host.%q]\ncapabilities = %s\n", near.URL, tt.capabilities))})
		who := func() string {
			defer up.Forget()
			defer near.Forget()
			switch n, m := len(up.Requests()), len(near.Requests()); {
			case n == 0 && m > 0:
				return "mirror"
			case n > 0 && m == 0:
				return "registry"
			}
			return fmt.Sprintf("%v and %v", up.Requests(), near.Requests())
		}
		if tags, err := c.Tags(t.Context(), ref); err != nil || len(tags) != 1 || who() != tt.tags {
			t.Errorf("%s: tags %q, %v from %s, want %s", tt.capabilities, tags, err, who(), tt.tags)
		}
		list, err := c.Referrers(t.Context(), ref, f.manifest.Digest, "")
		if got := who(); err != nil || (len(list) == 1) != (tt.referrers == "mirror") || got != tt.referrers {
			t.Errorf("%s: %d referrers, %v from %s, want %s", tt.capabilities, len(list), err, got, tt.referrers)
		}
		if _, err := c.AllTags(t.Context(), ref); err != nil || who() != "registry" {
			t.Errorf("%s: all tags: %v", tt.capabilities, err)
		}
	}
}

// TestMirrorListsFallback: a mirror that does not list leaves it to the registry, and still gives content.
func TestMirrorListsFallback(t *testing.T) {
	for _, status := range []int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusForbidden, http.StatusBadRequest} {
		up, f, ref := setup(t, registrytest.Options{})
		near, _, _ := setup(t, registrytest.Options{})
		sig := signature(t, f, "x")
		if err := newClient(t, Options{}).Push(t.Context(), ref.WithDigest(sig.Digest), f.store, sig, PushOptions{}); err != nil {
			t.Fatal(err)
		}
		near.Inject(registrytest.Rule{Path: "/tags/", Fault: registrytest.Status(status)}, registrytest.Rule{Path: "/referrers/", Fault: registrytest.Status(status)})
		c := newClient(t, Options{Mirrors: hostsToml(t, up.Host, fmt.Sprintf("[host.%q]\n", near.URL))})
		if tags, err := c.Tags(t.Context(), ref); err != nil || len(tags) != 1 {
			t.Errorf("%d: tags %q, %v", status, tags, err)
		}
		if list, err := c.Referrers(t.Context(), ref, f.manifest.Digest, ""); err != nil || len(list) != 1 {
			t.Errorf("%d: %d referrers, %v", status, len(list), err)
		}
		up.Forget()
		if _, err := pullInto(t, c, ref, newMemory(), PullOptions{}); err != nil || len(up.Requests()) != 0 {
			t.Errorf("%d: pull: %v, the registry was asked %d times", status, err, len(up.Requests()))
		}
	}
}

// TestMirrorPages: a mirror of several registries is told which with every page of a list.
func TestMirrorPages(t *testing.T) {
	up, f, ref := setup(t, registrytest.Options{})
	near, _, _ := setup(t, registrytest.Options{})
	near.Inject(registrytest.Rule{Path: "/tags/", Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		q := r.URL.Query()
		q.Del("ns") // so that the link to the next page lacks it
		q.Set("n", "1")
		r.URL.RawQuery = q.Encode()
		next.ServeHTTP(w, r)
	}})
	for _, tag := range []string{"one", "two"} {
		if err := near.Backend.Tag(t.Context(), "team/app", tag, f.index); err != nil {
			t.Fatal(err)
		}
	}
	c := newClient(t, Options{Mirrors: hostsToml(t, up.Host, fmt.Sprintf("[host.%q]\n", near.URL))})
	if tags, err := c.Tags(t.Context(), ref); err != nil || len(tags) != 3 {
		t.Errorf("tags %q, %v", tags, err)
	}
	if n := len(near.Requests()); n < 3 {
		t.Errorf("%d pages, want 3", n)
	}
	for _, r := range near.Requests() {
		if !strings.Contains(r.RawQuery, "ns="+strings.ReplaceAll(up.Host, ":", "%3A")) {
			t.Errorf("asked %s?%s", r.Path, r.RawQuery)
		}
	}
}

// TestDC52_push_goes_where_the_file_says: to a host with the capability push by name, with its own
// credentials, and to no other.
func TestDC52_push_goes_where_the_file_says(t *testing.T) {
	up, f, _ := setup(t, registrytest.Options{Auth: registrytest.Basic("ann", "pw")})
	near, _, _ := setup(t, registrytest.Options{Auth: registrytest.Basic("bob", "mirror")})
	creds := byHost{up.Host: {Username: "ann", Password: "pw"}, near.Host: {Username: "bob", Password: "mirror"}}
	ref := mustRef(t, up.Host+"/new/app:v")
	for _, tt := range []struct {
		text     string
		to, idle *registrytest.Server
	}{
		{fmt.Sprintf("[host.%q]\n", near.URL), up, near},
		{fmt.Sprintf("[host.%q]\ncapabilities = [\"push\"]\n", near.URL), near, up},
	} {
		up.Forget()
		near.Forget()
		c := newClient(t, Options{Mirrors: hostsToml(t, up.Host, tt.text), Credentials: creds})
		if err := c.Push(t.Context(), ref, f.store, f.index, PushOptions{}); err != nil {
			t.Fatal(err)
		}
		if tt.to.Count("PUT", "/manifests/v") != 1 || len(tt.idle.Requests()) != 0 {
			t.Errorf("%s: the other heard %v", tt.text, tt.idle.Requests())
		}
		if err := c.Delete(t.Context(), ref); err != nil || tt.to.Count("DELETE", "/manifests/v") != 1 || len(tt.idle.Requests()) != 0 {
			t.Errorf("%s: delete: %v", tt.text, err)
		}
	}
	c := newClient(t, Options{Mirrors: hostsToml(t, up.Host, "capabilities = [\"pull\"]\n")})
	if err := c.Push(t.Context(), ref, f.store, f.index, PushOptions{}); !errors.Is(err, mirrorconfig.ErrNoPush) {
		t.Errorf("nobody may have it: got %v, want ErrNoPush", err)
	}
}
