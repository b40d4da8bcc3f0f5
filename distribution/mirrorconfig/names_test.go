package mirrorconfig

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	const aliases = "[aliases]\nfedora = \"registry.fedoraproject.org/fedora\"\n\"ubi9/ubi\" = \"registry.access.example/ubi9/ubi\"\n"
	for _, tt := range []struct{ conf, text, want string }{
		{"", "debian", "debian"},
		{aliases, "fedora", "registry.fedoraproject.org/fedora from :2 alias"},
		{aliases, "fedora:41", "registry.fedoraproject.org/fedora:41 from :2 alias"},
		{aliases, "fedora" + aDigest, "registry.fedoraproject.org/fedora" + aDigest + " from :2 alias"},
		{aliases, "ubi9/ubi:1", "registry.access.example/ubi9/ubi:1 from :3 alias"},
		{aliases, "x/fedora", "x/fedora"},
		{aliases, "docker.io/fedora", "docker.io/fedora"},
		{aliases, "docker://fedora", "docker://fedora"},
		{aliases, "localhost/fedora", "localhost/fedora"},
		{aliases, "localhost:5000/fedora", "localhost:5000/fedora"},
		{aliases, "oci:fedora:41", "oci:fedora:41"},
		{aliases, "not a name", "not a name"},
		{"unqualified-search-registries = []\n", "debian", "debian"},
		{"unqualified-search-registries = [\"quay.example\"]\n", "debian:12", "quay.example/debian:12 from :1"},
		{"unqualified-search-registries = [\"quay.example\"]\n", "team/app", "quay.example/team/app from :1"},
		{"unqualified-search-registries = [\"quay.example\"]\n" + aliases, "fedora", "registry.fedoraproject.org/fedora from :3 alias"},
		{"unqualified-search-registries = [\"a.example\", \"docker.io\"]\n", "debian", "a.example/debian docker.io/debian from :1 ambiguous"},
		{"unqualified-search-registries = [\"a.example\", \"docker.io\"]\nshort-name-mode = \"enforcing\"\n", "debian", "a.example/debian docker.io/debian from :1 ambiguous"},
		{"unqualified-search-registries = [\"a.example\", \"docker.io\"]\nshort-name-mode = \"permissive\"\n", "debian", "a.example/debian docker.io/debian from :1"},
		{"unqualified-search-registries = [\"a.example\", \"docker.io\"]\nshort-name-mode = \"disabled\"\n" + aliases, "fedora", "registry.fedoraproject.org/fedora from :4 alias"},
	} {
		file := write(t, t.TempDir()+"/registries.conf", tt.conf)
		c, err := Load(Options{Registries: file})
		if err != nil {
			t.Fatal(err)
		}
		e, err := c.Expand(tt.text)
		got := strings.Join(e.Names, " ")
		if e.Source != "" {
			got += " from " + strings.TrimPrefix(e.Source, file)
		}
		if e.Alias {
			got += " alias"
		}
		if errors.Is(err, ErrAmbiguous) {
			got, err = got+" ambiguous", nil
		}
		if err != nil || got != tt.want {
			t.Errorf("%q, %s: got %s, %v, want %s", tt.conf, tt.text, got, err, tt.want)
		}
	}
	if e, err := (*Config)(nil).Expand("fedora"); err != nil || fmt.Sprint(e.Names) != "[fedora]" {
		t.Errorf("without a configuration: %v, %v", e, err)
	}
}

// TestNamesOfSeveralFiles: a later file replaces what an earlier one said, and takes it back.
func TestNamesOfSeveralFiles(t *testing.T) {
	home := t.TempDir()
	etc := home + "/etc"
	write(t, etc+"/containers/registries.conf", "unqualified-search-registries = [\"a.example\", \"b.example\"]\ncredential-helpers = [\"desk\"]\n[aliases]\nx = \"a.example/x\"\ny = \"a.example/y\"\n")
	write(t, etc+"/containers/registries.conf.d/1.conf", "short-name-mode = \"permissive\"\n[aliases]\nx = \"b.example/x\"\ny = \"\"\n")
	load := func() *Config {
		t.Helper()
		c, err := Load(Options{Defaults: true, Home: home, Etc: etc, Getenv: func(string) string { return "" }})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	expand := func(name string) string {
		t.Helper()
		e, err := load().Expand(name)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(e.Names, " ")
	}
	for name, want := range map[string]string{"x": "b.example/x", "y": "a.example/y b.example/y"} {
		if got := expand(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if h := load().CredentialHelpers(); fmt.Sprint(h) != "[desk]" {
		t.Errorf("helpers %q", h)
	}
	write(t, home+"/.config/containers/registries.conf.d/2.conf", "unqualified-search-registries = []\ncredential-helpers = [\"containers-auth.json\", \"desk\"]\n")
	if got := expand("y"); got != "y" {
		t.Errorf("an empty list takes back: got %s", got)
	}
	if h := load().CredentialHelpers(); fmt.Sprint(h) != "[containers-auth.json desk]" {
		t.Errorf("helpers %q", h)
	}
	// What podman has asked for counts most.
	answers := (Options{Defaults: true, Home: home, Etc: etc, Getenv: func(string) string { return "" }}).answers()
	write(t, answers, "[aliases]\n  \"x\" = \"answer.example/x\"\n")
	if got := expand("x"); got != "answer.example/x" {
		t.Errorf("after a question of podman's: got %s", got)
	}
}

func TestNamesStrict(t *testing.T) {
	for text, want := range map[string]string{
		"unqualified-search-registries = [\"https://a.example\"]\n":    ":1: invalid configuration: unqualified-search-registries",
		"\nshort-name-mode = \"loose\"\n":                              ":2: invalid configuration: short-name-mode",
		"credential-helpers = [\"\"]\n":                                ":1: invalid configuration: credential-helpers",
		"[aliases]\n\"a:1\" = \"r.example/a\"\n":                       ":2: invalid configuration: alias",
		"[aliases]\na = \"a\"\n":                                       ":2: invalid configuration: alias",
		"[registries.search]\nregistries = [\"a.example\"]\n":          "version 1",
		"[[registry]]\nlocation = \"a.example\"\nshort-name-mode=\"\"": "it stands after [registry]",
	} {
		_, err := Load(Options{Registries: write(t, t.TempDir()+"/registries.conf", text)})
		if !errors.Is(err, ErrConfig) || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

// TestTarget: where content goes.
func TestTarget(t *testing.T) {
	for name, tt := range map[string]struct{ hosts, want string }{
		"nothing":              {"", "r.example"},
		"mirrors":              {"[host.\"https://a.example\"]\n[host.\"https://b.example\"]\ncapabilities = [\"pull\", \"resolve\"]\n", "r.example"},
		"push by name":         {"[host.\"https://a.example\"]\n[host.\"https://b.example\"]\ncapabilities = [\"pull\", \"push\"]\n", "https://b.example"},
		"itself, another way":  {"[host.\"http://r.example\"]\nskip_verify = true\n", "http://r.example"},
		"a server":             {"server = \"https://s.example\"\n", "r.example"},
		"a server that pushes": {"server = \"https://s.example\"\ncapabilities = [\"push\"]\n", "https://s.example"},
		"nobody":               {"server = \"https://r.example\"\ncapabilities = [\"pull\"]\n", "none"},
		"somebody else":        {"capabilities = [\"pull\"]\n[host.\"https://b.example\"]\ncapabilities = [\"push\"]\n", "https://b.example"},
	} {
		dir := t.TempDir()
		if tt.hosts != "" {
			write(t, dir+"/r.example/hosts.toml", tt.hosts)
		}
		c, err := Load(Options{Hosts: []string{dir}})
		if err != nil {
			t.Fatal(err)
		}
		e, err := c.Target(ref(t, "r.example/a"))
		got := e.Host
		if e.Scheme != "" {
			got = e.Scheme + "://" + got
		}
		if errors.Is(err, ErrNoPush) {
			got, err = "none", nil
		}
		if err != nil || got != tt.want || e.Upstream != (e.Host == "r.example") {
			t.Errorf("%s: got %s, %v, want %s", name, got, err, tt.want)
		}
	}
}

// TestReferrersCapability: who may say what refers to a manifest. It is nothing that a digest proves.
func TestReferrersCapability(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/hosts/r.example/hosts.toml", "[host.\"https://all.example\"]\n[host.\"https://none.example\"]\ncapabilities = [\"pull\", \"resolve\"]\n"+
		"[host.\"https://only.example\"]\ncapabilities = [\"referrers\"]\n")
	c, err := Load(Options{Hosts: []string{dir + "/hosts"}, Registries: write(t, dir+"/r.conf", "[[registry]]\nlocation = \"r.example\"\n"+
		"mirror = [{location = \"m.example\"}, {location = \"d.example\", pull-from-mirror = \"digest-only\"}, {location = \"t.example\", pull-from-mirror = \"tag-only\"}]\n")})
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.Decide(ref(t, "r.example/a"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range d.Endpoints {
		if e.Referrers {
			got = append(got, e.Host)
		}
	}
	if s := strings.Join(got, " "); s != "m.example all.example only.example r.example" {
		t.Errorf("got %s", s)
	}
}
