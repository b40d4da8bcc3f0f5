package credential

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func env(m map[string]string) func(string) string { return func(k string) string { return m[k] } }

const (
	ann = `{"auth":"YW5uOnB3"}` // ann:pw
	bob = `{"auth":"Ym9iOnB3"}` // bob:pw
	cat = `{"auth":"Y2F0OnB3"}` // cat:pw
)

func TestLookupOrderOfFiles(t *testing.T) {
	dir := t.TempDir()
	e := map[string]string{"XDG_RUNTIME_DIR": dir + "/run", "XDG_CONFIG_HOME": dir + "/cfg", "DOCKER_CONFIG": dir + "/docker"}
	user := func(o Options) string {
		t.Helper()
		o.Getenv, o.Home = env(e), dir
		c, err := New(o).Lookup(t.Context(), "r.example", "a/b")
		if err != nil {
			t.Fatal(err)
		}
		return c.Username
	}
	if got := user(Options{}); got != "" {
		t.Errorf("no file: got %q, want anonymous", got)
	}
	write(t, dir+"/docker/config.json", `{"auths":{"r.example":`+ann+`},"psFormat":"x"}`)
	if got := user(Options{}); got != "ann" {
		t.Errorf("docker config: got %q", got)
	}
	write(t, dir+"/cfg/containers/auth.json", `{"auths":{"r.example":`+bob+`}}`)
	if got := user(Options{}); got != "bob" {
		t.Errorf("auth.json of the user: got %q", got)
	}
	write(t, dir+"/run/containers/auth.json", `{"auths":{"other.example":`+cat+`}}`)
	if got := user(Options{}); got != "bob" {
		t.Errorf("a file that does not know the host must not decide: got %q", got)
	}
	write(t, dir+"/run/containers/auth.json", `{"auths":{"r.example":`+cat+`}}`)
	if got := user(Options{}); got != "cat" {
		t.Errorf("auth.json of the session: got %q", got)
	}
	e["REGISTRY_AUTH_FILE"] = write(t, dir+"/env.json", `{"auths":{"r.example":`+ann+`}}`)
	if got := user(Options{}); got != "ann" {
		t.Errorf("REGISTRY_AUTH_FILE: got %q", got)
	}
	if got := user(Options{File: write(t, dir+"/flag.json", `{"auths":{"r.example":`+bob+`}}`)}); got != "bob" {
		t.Errorf("the file given: got %q", got)
	}
	if got := user(Options{File: write(t, dir+"/empty.json", "")}); got != "" {
		t.Errorf("an empty file: got %q", got)
	}
}

func TestLookupLongestPath(t *testing.T) {
	f := write(t, t.TempDir()+"/a.json", `{"auths":{
		"r.example":`+ann+`,
		"r.example/team":`+bob+`,
		"r.example/team/app":`+cat+`,
		"https://old.example/v1/":`+ann+`,
		"https://index.docker.io/v1/":`+bob+`,
		"token.example":{"auth":"YW5uOnB3","identitytoken":"refresh"},
		"empty.example":{}}}`)
	k := New(Options{File: f})
	for _, tt := range []struct{ host, repo, want string }{
		{"r.example", "", "ann"},
		{"r.example", "x", "ann"},
		{"r.example", "teams", "ann"},
		{"r.example", "team", "bob"},
		{"r.example", "team/other", "bob"},
		{"r.example", "team/app", "cat"},
		{"r.example", "team/app/deep", "cat"},
		{"r.example:5000", "team/app", ""}, // another port is another registry
		{"old.example", "x/y", "ann"},
		{"docker.io", "library/debian", "bob"},
		{"registry-1.docker.io", "library/debian", "bob"},
		{"evil.example", "r.example/team", ""},
		{"empty.example", "x", ""},
	} {
		c, err := k.Lookup(t.Context(), tt.host, tt.repo)
		if err != nil || c.Username != tt.want {
			t.Errorf("%s/%s: got %q, %v, want %q", tt.host, tt.repo, c.Username, err, tt.want)
		}
	}
	c, err := k.Lookup(t.Context(), "token.example", "x")
	if err != nil || c.IdentityToken != "refresh" || c.Username != "ann" {
		t.Errorf("identity token: got %#v, %v", c, err)
	}
}

func TestLookupHelpers(t *testing.T) {
	var asked []string
	o := Options{
		File: write(t, t.TempDir()+"/a.json", `{
			"auths":{"a.example/x":`+ann+`,"c.example":{},"d.example":`+ann+`},
			"credHelpers":{"a.example":"one","docker.io":"hub","none.example":""},
			"credsStore":"desk"}`),
		Ask: func(_ context.Context, helper, server string) (Credential, error) {
			asked = append(asked, helper+" "+server)
			if server == "gone.example" {
				return Credential{}, &Error{Op: "ask", Subject: "x", Err: ErrHelper}
			}
			return Credential{Username: helper}, nil
		},
	}
	k := New(o)
	for _, tt := range []struct{ host, repo, want, asked string }{
		{"a.example", "x", "one", "one a.example"},
		{"docker.io", "library/x", "hub", "hub https://index.docker.io/v1/"},
		{"c.example", "x", "desk", "desk c.example"},
		{"sub.a.example", "x", "desk", "desk sub.a.example"},
		{"d.example", "x", "ann", ""},
	} {
		asked = nil
		c, err := k.Lookup(t.Context(), tt.host, tt.repo)
		if err != nil || c.Username != tt.want || strings.Join(asked, ",") != tt.asked {
			t.Errorf("%s/%s: got %q asking %q, %v; want %q asking %q", tt.host, tt.repo, c.Username, asked, err, tt.want, tt.asked)
		}
	}
	if _, err := k.Lookup(t.Context(), "gone.example", ""); !errors.Is(err, ErrHelper) {
		t.Errorf("a helper that fails: got %v, want ErrHelper", err)
	}
}

func TestHelperProgram(t *testing.T) {
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("no /bin/sh to write a helper in:", err)
	}
	dir := t.TempDir()
	script := func(name, body string) {
		t.Helper()
		p := write(t, dir+"/docker-credential-"+name, "#!/bin/sh\n"+body+"\n")
		if err := os.Chmod(p, 0o755); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
	}
	script("good", `read -r s; printf '{"ServerURL":"%s","Username":"u","Secret":"for %s"}' "$s" "$s"`)
	script("token", `printf '{"Username":"<token>","Secret":"tok"}'`)
	script("none", `echo "credentials not found in native keychain"; exit 1`)
	script("bad", `echo no`)
	script("fail", `echo secret-on-stderr >&2; exit 3`)
	script("huge", `exec head -c 3000000 /dev/zero`)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for _, tt := range []struct {
		helper string
		want   Credential
		err    error
	}{
		{"good", Credential{Username: "u", Password: "for h.example"}, nil},
		{"token", Credential{IdentityToken: "tok"}, nil},
		{"none", Credential{}, nil},
		{"bad", Credential{}, ErrHelper},
		{"fail", Credential{}, ErrHelper},
		{"huge", Credential{}, ErrHelper},
		{"absent", Credential{}, ErrHelper},
		{"../good", Credential{}, ErrHelper},
		{"a/b", Credential{}, ErrHelper},
		{"-v", Credential{}, ErrHelper},
		{"", Credential{}, ErrHelper},
	} {
		c, err := ask(t.Context(), tt.helper, "h.example")
		if c != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: got %#v, %v", tt.helper, c, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows what the helper printed: %v", tt.helper, err)
		}
	}
}

func TestUnusableFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"not json":        `{"auths":`,
		"wrong shape":     `{"auths":["hunter2"]}`,
		"auth no base64":  `{"auths":{"r.example":{"auth":"%%hunter2"}}}`,
		"auth no colon":   `{"auths":{"r.example":{"auth":"aHVudGVyMg=="}}}`,
		"larger than max": strings.Repeat(" ", maxFile+1),
	} {
		f := write(t, dir+"/f.json", text)
		_, err := New(Options{File: f}).Lookup(t.Context(), "r.example", "x")
		if !errors.Is(err, ErrFile) {
			t.Errorf("%s: got %v, want ErrFile", name, err)
		} else if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "aHVu") {
			t.Errorf("%s: the error shows a secret: %v", name, err)
		}
	}
	if _, err := New(Options{File: dir}).Lookup(t.Context(), "r.example", "x"); !errors.Is(err, ErrFile) {
		t.Errorf("a directory: got %v, want ErrFile", err)
	}
	if _, err := New(Options{File: dir + "/absent"}).Lookup(t.Context(), "r.example", "x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an absent file that was asked for: got %v, want ErrNotExist", err)
	}
}

func TestCredentialNeverPrintsSecrets(t *testing.T) {
	c := Credential{Username: "u", Password: "hunter2", IdentityToken: "hunter2", RegistryToken: "hunter2"}
	for _, s := range []string{fmt.Sprint(c), fmt.Sprintf("%v %+v %#v %s", c, c, c, c)} {
		if strings.Contains(s, "hunter2") {
			t.Errorf("a secret is printed: %s", s)
		}
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte(`{"auths":{"r.example":{"auth":"YW5uOnB3"}},"credHelpers":{"r.example":"x"},"credsStore":"y"}`))
	f.Add([]byte(`{"auths":{"https://r.example/v1/":{"username":"u","password":"p"}}}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, raw []byte) {
		p := filepath.Join(dir, "f.json")
		if err := os.WriteFile(p, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		asked := ""
		k := New(Options{File: p, Ask: func(_ context.Context, _, server string) (Credential, error) {
			asked = server
			return Credential{}, nil
		}})
		c, err := k.Lookup(t.Context(), "r.example", "a/b")
		if err != nil && !errors.Is(err, ErrFile) {
			t.Fatalf("%v is no ErrFile", err)
		}
		if err != nil && !c.Anonymous() {
			t.Fatal("an error and a credential")
		}
		if asked != "" && asked != "r.example" {
			t.Fatalf("a helper was asked for %q", asked)
		}
	})
}
