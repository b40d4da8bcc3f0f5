package mirrorconfig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oci-pipeline/oci/image/reference"
)

func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func ref(t testing.TB, s string) reference.Ref {
	t.Helper()
	r, err := reference.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const aDigest = "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// show writes a decision as the tests compare it: host/prefix/repository and what it may do.
func show(d Decision) string {
	var out []string
	for _, e := range d.Endpoints {
		s := e.Host + e.Prefix + "/" + e.Repository
		if e.Scheme != "" {
			s = e.Scheme + "://" + s
		}
		for _, f := range []struct {
			on   bool
			name string
		}{{!e.Resolve, "no-tags"}, {!e.Pull, "no-pull"}, {e.Insecure, "insecure"}, {e.SkipVerify, "skip-verify"}, {e.Upstream, "upstream"}, {e.Namespace != "", "ns=" + e.Namespace}} {
			if f.on {
				s += " " + f.name
			}
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func decide(t testing.TB, c *Config, s string) string {
	t.Helper()
	d, err := c.Decide(ref(t, s))
	if err != nil {
		return "error: " + err.Error()
	}
	return show(d)
}

func TestRegistriesConf(t *testing.T) {
	c, err := Load(Options{Registries: write(t, t.TempDir()+"/registries.conf", `
unqualified-search-registries = ["docker.io"]
short-name-mode = "permissive"

[[registry]]
prefix = "docker.io"
location = "docker.io"
[[registry.mirror]]
location = "mirror.example:5000/hub"
insecure = true

[[registry]]
prefix = "docker.io/library/debian"
location = "internal.example/base/debian"
[[registry.mirror]]
location = "fast.example/debian"
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "tags.example/debian"
pull-from-mirror = "tag-only"

[[registry]]
prefix = "*.corp.example"
insecure = true

[[registry]]
prefix = "*.move.corp.example"
location = "one.example/moved"

[[registry]]
location = "evil.example/bad"
blocked = true

[[registry]]
location = "digest.example"
mirror-by-digest-only = true
mirror = [{location = "m.example"}, {location = "n.example/x/"}]

[[registry]]
prefix = "exact.example/app:1"
location = "one.example/app"

[aliases]
"fedora" = "registry.fedoraproject.org/fedora"
`)})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ ref, want string }{
		{"python", "mirror.example:5000/v2/hub/library/python insecure, registry-1.docker.io/v2/library/python upstream"},
		{"debian:12", "fast.example/v2/debian no-tags, tags.example/v2/debian, internal.example/v2/base/debian"},
		{"debian" + aDigest, "fast.example/v2/debian no-tags, internal.example/v2/base/debian"},
		{"debian/sub", "mirror.example:5000/v2/hub/debian/sub insecure, registry-1.docker.io/v2/debian/sub upstream"},
		{"docker.io/library/debian/x", "fast.example/v2/debian/x no-tags, tags.example/v2/debian/x, internal.example/v2/base/debian/x"},
		{"docker.io/library/debianx", "mirror.example:5000/v2/hub/library/debianx insecure, registry-1.docker.io/v2/library/debianx upstream"},
		{"a.corp.example/x", "a.corp.example/v2/x insecure upstream"},
		{"a.b.corp.example:5000/x", "a.b.corp.example:5000/v2/x insecure upstream"},
		{"corp.example/x", "corp.example/v2/x upstream"},
		{"xcorp.example/x", "xcorp.example/v2/x upstream"},
		{"a.corp.example.evil.org/x", "a.corp.example.evil.org/v2/x upstream"},
		{"evil.org/a.corp.example/x", "evil.org/v2/a.corp.example/x upstream"},
		{"a.move.corp.example/p/q:3", "one.example/v2/moved/p/q"},
		{"digest.example/a:1", "m.example/v2/a no-tags, n.example/v2/x/a no-tags, digest.example/v2/a upstream"},
		{"exact.example/app:1", "one.example/v2/app"},
		{"exact.example/app:2", "exact.example/v2/app upstream"},
		{"exact.example/app:11", "exact.example/v2/app upstream"},
		{"digest.example:5000/a", "digest.example:5000/v2/a upstream"}, // another registry
		{"evil.example/good", "evil.example/v2/good upstream"},
	} {
		if got := decide(t, c, tt.ref); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.ref, got, tt.want)
		}
	}
	_, err = c.Decide(ref(t, "evil.example/bad/thing:1"))
	var e *Error
	if !errors.Is(err, ErrBlocked) || !errors.As(err, &e) || e.Line != 30 {
		t.Errorf("blocked: got %v, want ErrBlocked at line 30", err)
	}
	if _, err := c.Upstream(ref(t, "evil.example/bad/thing:1")); !errors.Is(err, ErrBlocked) {
		t.Errorf("a blocked registry is not pushed to either: %v", err)
	}
	if up, err := c.Upstream(ref(t, "debian")); err != nil || up.Host != "registry-1.docker.io" || !up.Upstream {
		t.Errorf("push goes to the registry itself: %+v, %v", up, err)
	}
}

func TestRegistriesConfStrict(t *testing.T) {
	for _, tt := range []struct {
		name, text, want string
		kind             error
	}{
		{"podman #14306", "[[registry]]\nlocation = \"a.example\"\n\nunqualified-search-registries = [\"x\"]\n", `:4: unknown key: "registry.unqualified-search-registries": it stands after [registry]`, ErrUnknownKey},
		{"misspelt", "[[registry]]\nlocation = \"a.example\"\nblockd = true\n", `:3: unknown key: "registry.blockd"`, ErrUnknownKey},
		{"in a mirror", "[[registry]]\nlocation = \"a.example\"\n[[registry.mirror]]\nlocation=\"b.example\"\n# note\nsecure = true\n", `:6: unknown key: "registry.mirror.secure"`, ErrUnknownKey},
		{"inline", "[[registry]]\nlocation = \"a.example\"\nmirror = [\n  {location = \"b.example\"},\n  {location = \"c.example\", weight = 3},\n]\n", `:5: unknown key: "registry.weight"`, ErrUnknownKey},
		{"version 1", "[registries.search]\nregistries = ['docker.io']\n", `unknown key: "registries`, ErrUnknownKey},
		{"two", "x = 1\ny = 2\n", ":2: unknown key: \"y\"", ErrUnknownKey},
		{"syntax", "a = 1\n[[registry]\n", ":2: invalid configuration: expected ']]'", ErrConfig},
		{"type", "[[registry]]\nlocation = 1\n", `:2: invalid configuration: "registry.location": integer where string belongs`, ErrConfig},
		{"nothing", "[[registry]]\nblocked = true\n", ":1: ", ErrConfig},
		{"star inside", "[[registry]]\nprefix = \"a.*.example\"\nlocation = \"b\"\n", "a star", ErrConfig},
		{"star without a dot", "[[registry]]\nprefix = \"*example\"\nlocation = \"b\"\n", "a star", ErrConfig},
		{"URL", "[[registry]]\nlocation = \"https://a.example\"\n", "no scheme", ErrConfig},
		{"twice", "[[registry]]\nlocation = \"a.example\"\n\n[[registry]]\nprefix = \"a.example\"\n", ":4: ", ErrConfig},
		{"pull from", "[[registry]]\nlocation = \"a.example\"\n[[registry.mirror]]\nlocation = \"b.example\"\npull-from-mirror = \"never\"\n", "none of all", ErrConfig},
		{"both ways", "[[registry]]\nlocation = \"a.example\"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = \"b.example\"\npull-from-mirror = \"all\"\n", "exclude", ErrConfig},
		{"no mirror", "[[registry]]\nlocation = \"a.example\"\n[[registry.mirror]]\ninsecure = true\n", "mirror \"\"", ErrConfig},
		{"alias with tag", "[aliases]\n\"a:1\" = \"b.example/a\"\n", ":2: ", ErrConfig},
		{"alias to a short name", "[aliases]\na = \"b\"\n", ":2: ", ErrConfig},
		{"mode", "short-name-mode = \"lax\"\n", ":1: ", ErrConfig},
	} {
		file := write(t, t.TempDir()+"/registries.conf", tt.text)
		_, err := Load(Options{Registries: file})
		if !errors.Is(err, tt.kind) || !errors.Is(err, ErrConfig) || !strings.Contains(fmt.Sprint(err), tt.want) || !strings.Contains(fmt.Sprint(err), file) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := Load(Options{Registries: t.TempDir() + "/absent"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an absent file that was asked for: %v", err)
	}
	big := write(t, t.TempDir()+"/big", strings.Repeat("#", maxFile+1))
	if _, err := Load(Options{Registries: big}); !errors.Is(err, ErrConfig) {
		t.Errorf("a huge file: %v", err)
	}
}

func TestRegistriesFiles(t *testing.T) {
	dir := t.TempDir()
	env := map[string]string{}
	load := func() *Config {
		t.Helper()
		c, err := Load(Options{Defaults: true, Getenv: func(k string) string { return env[k] }, Home: dir + "/home", Etc: dir + "/etc"})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	where := func(want string) {
		t.Helper()
		if got := decide(t, load(), "r.example/x"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	where("r.example/v2/x upstream")
	entry := func(path, to string) {
		write(t, dir+path, "[[registry]]\nprefix = \"r.example\"\nlocation = \""+to+"\"\n")
	}
	entry("/etc/containers/registries.conf", "system.example")
	where("system.example/v2/x")
	entry("/etc/containers/registries.conf.d/50-b.conf", "drop.example")
	entry("/etc/containers/registries.conf.d/10-a.conf", "early.example")
	entry("/etc/containers/registries.conf.d/99-no.conf.disabled", "no.example")
	where("drop.example/v2/x")
	entry("/home/.config/containers/registries.conf", "user.example")
	where("drop.example/v2/x") // a drop-in replaces what any main file says
	entry("/home/.config/containers/registries.conf.d/00.conf", "userdrop.example")
	where("userdrop.example/v2/x")
	entry("/other.conf", "env.example")
	env["CONTAINERS_REGISTRIES_CONF"] = dir + "/other.conf"
	where("env.example/v2/x")
	if c, err := Load(Options{}); err != nil || !c.Empty() {
		t.Errorf("nothing asked for: %v", err)
	}
}

func TestRegistriesThenHosts(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/hosts/moved.example/hosts.toml", "[host.\"https://near.example\"]\n")
	c, err := Load(Options{
		Registries: write(t, dir+"/r.conf", "[[registry]]\nprefix = \"r.example/a\"\nlocation = \"moved.example/b\"\n[[registry.mirror]]\nlocation = \"m.example\"\n"),
		Hosts:      []string{dir + "/hosts"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "m.example/v2/x, https://near.example/v2/b/x ns=moved.example, moved.example/v2/b/x"
	if got := decide(t, c, "r.example/a/x"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// FuzzRegistries: whatever the file says, every endpoint is a place that can be asked, and no other
// registry than the one of the reference is taken for it.
func FuzzRegistries(f *testing.F) {
	f.Add("[[registry]]\nprefix = \"*.example\"\nlocation = \"b.example/x\"\n[[registry.mirror]]\nlocation = \"c.example\"\n")
	f.Add("[[registry]]\nlocation = \"r.example\"\nmirror = [{location = \"b:1\"}]\n[aliases]\na = \"b.example/a\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		var file registriesFile
		doc, err := decode("f", text, &file)
		c := &Config{aliases: map[string]alias{}, hosts: map[string]*hosts{}}
		if err == nil {
			err = c.merge(doc, file)
		}
		if err != nil {
			if !errors.Is(err, ErrConfig) {
				t.Fatalf("%v is no ErrConfig", err)
			}
			return
		}
		d, err := c.Decide(ref(t, "r.example/team/app:1"))
		if err != nil {
			if !errors.Is(err, ErrBlocked) && !errors.Is(err, ErrConfig) {
				t.Fatalf("unknown kind: %v", err)
			}
			return
		}
		for _, e := range d.Endpoints {
			if _, err := place(e.Host + "/" + e.Repository); err != nil {
				t.Fatalf("%+v cannot be asked: %v", e, err)
			}
			if e.Upstream && e.Host != "r.example" {
				t.Fatalf("%s is taken for the registry", e.Host)
			}
		}
	})
}
