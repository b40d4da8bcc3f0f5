package mirrorconfig

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

func TestHostsToml(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/docker.io/hosts.toml", `
server = "https://registry-1.docker.io"

[host."https://z-first.example"]
  capabilities = ["pull", "resolve"]
  ca = "ca.pem"
  client = [["c.pem", "k.pem"]]
  skip_verify = true
  dial_timeout = "2s"
  [host."https://z-first.example".header]
    x-one = "1"
    x-many = ["a", "b"]

[host."http://a-second.example:8080/v2/hub"]
  capabilities = ["pull"]
  override_path = true

[host."third.example/proxy"]
  ca = ["/abs/a.pem", "b.pem"]
  client = "both.pem"

[host."https://push.example"]
  capabilities = ["push"]
`)
	write(t, dir+"/_default/hosts.toml", "[host.\"https://any.example\"]\ncapabilities = [\"pull\", \"resolve\"]\n")
	write(t, dir+"/own.example_5000_/hosts.toml", "server = \"https://proxy.example\"\n")
	write(t, dir+"/certs.example/ca.crt", "x")
	write(t, dir+"/plain.example/hosts.toml", "skip_verify = true\n[host.\"https://plain.example/alt\"]\n")
	c, err := Load(Options{Hosts: []string{t.TempDir(), dir}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ ref, want string }{
		{"debian", "https://z-first.example/v2/library/debian skip-verify ns=docker.io, http://a-second.example:8080/v2/hub/library/debian no-tags ns=docker.io, " +
			"https://third.example/proxy/v2/library/debian ns=docker.io, https://registry-1.docker.io/v2/library/debian upstream"},
		{"else.example/x", "https://any.example/v2/x ns=else.example, else.example/v2/x upstream"},
		{"own.example:5000/x", "https://proxy.example/v2/x ns=own.example:5000"},
		{"certs.example/x", "certs.example/v2/x upstream"},
		{"plain.example/x", "https://plain.example/alt/v2/x upstream, plain.example/v2/x skip-verify upstream"},
	} {
		if got := decide(t, c, tt.ref); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.ref, got, tt.want)
		}
	}
	d, err := c.Decide(ref(t, "debian"))
	if err != nil {
		t.Fatal(err)
	}
	e := d.Endpoints[0]
	if fmt.Sprint(e.CAs, e.Certs, e.DialTimeout, e.Header) != fmt.Sprintf("[%s/docker.io/ca.pem] [[%s/docker.io/c.pem %s/docker.io/k.pem]] 2s map[X-Many:[a b] X-One:[1]]", dir, dir, dir) {
		t.Errorf("details: %v %v %v %v", e.CAs, e.Certs, e.DialTimeout, e.Header)
	}
	if !strings.HasSuffix(e.Source, "hosts.toml:4") {
		t.Errorf("source %q, want line 4", e.Source)
	}
	e = d.Endpoints[2]
	if fmt.Sprint(e.CAs, e.Certs) != fmt.Sprintf("[/abs/a.pem %s/docker.io/b.pem] [[%s/docker.io/both.pem %s/docker.io/both.pem]]", dir, dir, dir) {
		t.Errorf("details: %v %v", e.CAs, e.Certs)
	}
}

func TestHostsTomlStrict(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"misspelt", "server = \"https://a\"\n[host.\"https://b\"]\n  capabilites = [\"pull\"]\n", ":3: unknown key"},
		{"below a table", "[host.\"https://b\"]\n  skip_verify = true\nserver = \"https://a\"\n", ":3: unknown key"},
		{"capability", "[host.\"https://b\"]\ncapabilities = [\"pull\", \"fly\"]\n", ":1: "},
		{"scheme", "[host.\"ftp://b\"]\n", "is not a host"},
		{"password", "[host.\"https://u:p@b\"]\n", "a URL here"},
		{"query", "server = \"https://b?x=1\"\n", "a URL here"},
		{"ca", "ca = 3\n", "ca is neither"},
		{"client", "client = [[\"a\", \"b\", \"c\"]]\n", "client is neither"},
		{"header name", "[header]\n\"a b\" = \"x\"\n", "header"},
		{"header that is ours", "[header]\nHost = \"x\"\n", "header"},
		{"header of two lines", "[header]\nx = \"a\\r\\nb\"\n", "more than one line"},
		{"timeout", "dial_timeout = \"soon\"\n", "dial_timeout"},
	} {
		dir := t.TempDir()
		write(t, dir+"/r.example/hosts.toml", tt.text)
		c, err := Load(Options{Hosts: []string{dir}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = c.Decide(ref(t, "r.example/x")); !errors.Is(err, ErrConfig) || !strings.Contains(fmt.Sprint(err), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

// FuzzHosts: whatever the file says, each host is one that can be asked, over http or https, with
// headers that are headers.
func FuzzHosts(f *testing.F) {
	f.Add("server = \"https://a.example\"\n[host.\"http://b.example:5000/x/v2\"]\ncapabilities = [\"pull\"]\noverride_path = true\n[host.\"http://b.example:5000/x/v2\".header]\nx = [\"1\", \"2\"]\n")
	f.Add("[host.\"https://a.example/x%3Fy%23z\"]\n")
	f.Add("ca = [\"a\"]\nclient = [[\"a\", \"b\"], [\"c\"]]\nskip_verify = true\ndial_timeout = \"3s\"\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		h, err := loadHosts(write(t, dir+"/hosts.toml", text), "r.example")
		if err != nil {
			if !errors.Is(err, ErrConfig) {
				t.Fatalf("%v is no ErrConfig", err)
			}
			return
		}
		for _, e := range append(h.mirrors, *h.server) {
			u, err := url.Parse("https://" + e.Host + e.Prefix + "/a/b/manifests/latest")
			if err != nil || u.Host != e.Host || u.RawQuery != "" || u.User != nil {
				t.Fatalf("%+v cannot be asked: %v", e, err)
			}
			if e.Scheme != "http" && e.Scheme != "https" && e.Scheme != "" {
				t.Fatalf("scheme %q", e.Scheme)
			}
			for k, v := range e.Header {
				if strings.ContainsAny(k+strings.Join(v, ""), "\r\n\x00") {
					t.Fatalf("header %q: %q", k, v)
				}
			}
		}
	})
}
