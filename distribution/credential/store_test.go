package credential

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"
)

func name(t testing.TB, s string) Name {
	t.Helper()
	n, err := ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestParseName(t *testing.T) {
	for in, want := range map[string]string{
		"r.example": "r.example", "https://r.example/": "r.example", "http://r.example:5000": "r.example:5000",
		"docker.io": "docker.io", "index.docker.io": "docker.io", "https://index.docker.io/v1/": "docker.io",
		"quay.io/team": "quay.io/team", "quay.io/team/app/": "quay.io/team/app", "localhost:5000": "localhost:5000",
		"registry": "registry", "[::1]:5000": "[::1]:5000",
	} {
		if n, err := ParseName(in); err != nil || n.String() != want {
			t.Errorf("%s: got %s, %v, want %s", in, n, err, want)
		}
	}
	for _, in := range []string{"", "a b", "r.example/UPPER", "r.example/a:tag", "r.example/a@sha256:x", "user@host", "-x", "a/../b", "ftp://x"} {
		if n, err := ParseName(in); !errors.Is(err, ErrName) {
			t.Errorf("%q: got %s, %v, want ErrName", in, n, err)
		}
	}
}

func TestStoreAndErase(t *testing.T) {
	f := filepath.Join(t.TempDir(), "new", "auth.json")
	k := func() *Keychain { return New(Options{File: f}) }
	store := func(n string, c Credential) {
		t.Helper()
		if where, err := k().Store(t.Context(), name(t, n), c); err != nil || where != (Stored{f, true}) {
			t.Fatalf("%s: stored in %v, %v", n, where, err)
		}
	}
	user := func(host, repo string) Credential {
		t.Helper()
		c, err := k().Lookup(t.Context(), host, repo)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	store("r.example", Credential{Username: "ann", Password: "p:w"})
	store("r.example/team", Credential{Username: "bob", Password: "pw"})
	store("docker.io", Credential{Username: "cat", Password: "pw"})
	store("t.example", Credential{Username: "dan", IdentityToken: "refresh", Password: "gone"})
	if c := user("r.example", "x"); c.Username != "ann" || c.Password != "p:w" {
		t.Errorf("got %#v", c)
	}
	if user("r.example", "team/app").Username != "bob" || user("docker.io", "library/x").Username != "cat" {
		t.Error("names are mixed up")
	}
	if c := user("t.example", ""); c.IdentityToken != "refresh" || c.Password != "" {
		t.Errorf("an identity token replaces the password: %#v", c)
	}
	info, err := os.Stat(f)
	if err != nil || goruntime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := k().Erase(t.Context(), name(t, "r.example/team")); err != nil {
		t.Error(err)
	}
	if user("r.example", "team/app").Username != "ann" {
		t.Error("the wrong entry was erased")
	}
	if _, err := k().Erase(t.Context(), name(t, "r.example/team")); !errors.Is(err, ErrAbsent) {
		t.Errorf("erased twice: %v", err)
	}
	names, _, err := k().EraseAll(t.Context())
	if err != nil || strings.Join(names, " ") != "docker.io r.example t.example" || !user("r.example", "").Anonymous() {
		t.Errorf("erase all: %q, %v", names, err)
	}
	entries, _ := os.ReadDir(filepath.Dir(f))
	if len(entries) != 1 {
		t.Errorf("files were left: %v", entries)
	}
}

// TestStoreKeepsTheRest: what else a file of Docker's holds stays, and its way to name the hub.
func TestStoreKeepsTheRest(t *testing.T) {
	dir := t.TempDir()
	f := write(t, dir+"/real/config.json", `{"psFormat":"x","proxies":{"default":{"httpProxy":"p"}},"auths":{"o.example":{"auth":"YW5uOnB3","email":"e"},"index.docker.io":`+ann+`}}`)
	linked := dir + "/config.json"
	if err := os.Symlink(f, linked); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	if _, err := New(Options{File: linked}).Store(t.Context(), name(t, "docker.io"), Credential{Username: "bob", Password: "pw"}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(linked); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v, %v", info, err)
	}
	raw, err := os.ReadFile(f)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		PSFormat string                                  `json:"psFormat"`
		Proxies  map[string]map[string]string            `json:"proxies"`
		Auths    map[string]struct{ Auth, Email string } `json:"auths"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.PSFormat != "x" || doc.Proxies["default"]["httpProxy"] != "p" || doc.Auths["o.example"].Email != "e" ||
		len(doc.Auths) != 2 || doc.Auths["https://index.docker.io/v1/"].Auth != "Ym9iOnB3" {
		t.Errorf("got %s", raw)
	}
	broken := write(t, dir+"/broken.json", `{"auths":["hunter2"]}`)
	if _, err := New(Options{File: broken}).Store(t.Context(), name(t, "r.example"), Credential{Username: "a"}); !errors.Is(err, ErrFile) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a broken file is not overwritten: %v", err)
	}
}

// TestStoreTarget: the file that podman and skopeo would change.
func TestStoreTarget(t *testing.T) {
	dir := t.TempDir()
	e := map[string]string{"XDG_RUNTIME_DIR": dir + "/run", "XDG_CONFIG_HOME": dir + "/cfg"}
	where := func() string {
		t.Helper()
		w, err := New(Options{Getenv: env(e), Home: dir}).Store(t.Context(), name(t, "r.example"), Credential{Username: "a", Password: "b"})
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimPrefix(w.Where, dir)
	}
	if goruntime.GOOS == "linux" {
		if w := where(); w != "/run/containers/auth.json" {
			t.Errorf("got %s", w)
		}
	}
	e["REGISTRY_AUTH_FILE"] = dir + "/env.json"
	if w := where(); w != "/env.json" {
		t.Errorf("got %s", w)
	}
}

func TestStoreWithHelpers(t *testing.T) {
	var told []string
	f := write(t, t.TempDir()+"/a.json", `{"auths":{"d.example":`+ann+`},"credHelpers":{"a.example":"one","docker.io":"hub"}}`)
	k := New(Options{File: f, Tell: func(_ context.Context, helper, verb, _, input string) error {
		told = append(told, helper+" "+verb+" "+input)
		if verb == "erase" && helper == "hub" {
			return ErrAbsent
		}
		return nil
	}})
	where, err := k.Store(t.Context(), name(t, "a.example"), Credential{Username: "u", Password: "p"})
	if err != nil || where != (Stored{Where: "docker-credential-one"}) {
		t.Errorf("stored in %v, %v", where, err)
	}
	if _, err := k.Store(t.Context(), name(t, "docker.io"), Credential{Username: "u", IdentityToken: "t"}); err != nil {
		t.Error(err)
	}
	if _, err := k.Erase(t.Context(), name(t, "a.example")); err != nil {
		t.Error(err)
	}
	if _, err := k.Erase(t.Context(), name(t, "docker.io")); !errors.Is(err, ErrAbsent) {
		t.Errorf("the helper has none: %v", err)
	}
	want := []string{
		`one store {"Secret":"p","ServerURL":"a.example","Username":"u"}`,
		`hub store {"Secret":"t","ServerURL":"https://index.docker.io/v1/","Username":"\u003ctoken\u003e"}`,
		"one erase a.example", "hub erase https://index.docker.io/v1/",
	}
	if strings.Join(told, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q\nwant %q", told, want)
	}
	if _, err := k.Store(t.Context(), name(t, "a.example/team"), Credential{Username: "u"}); !errors.Is(err, ErrHelper) {
		t.Errorf("a path with a helper: %v", err)
	}
	raw, err := os.ReadFile(f)
	if err != nil || strings.Contains(string(raw), "a.example\": {\"auth") {
		t.Errorf("a secret of a helper is in the file: %s, %v", raw, err)
	}
}

func TestStoreByProgram(t *testing.T) {
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("no /bin/sh to write a helper in:", err)
	}
	dir := t.TempDir()
	p := write(t, dir+"/docker-credential-disk", `#!/bin/sh
case $1 in
store) cat >`+dir+`/kept ;;
get) [ -s `+dir+`/kept ] || { echo "credentials not found in native keychain"; exit 1; }; cat `+dir+`/kept ;;
erase) [ -s `+dir+`/kept ] || { echo "credentials not found in native keychain"; exit 1; }; : >`+dir+`/kept ;;
esac
`)
	if err := os.Chmod(p, 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	k := New(Options{File: write(t, dir+"/a.json", `{"credsStore":"disk"}`)})
	n := name(t, "r.example")
	if _, err := k.Store(t.Context(), n, Credential{Username: "u", Password: "p"}); err != nil {
		t.Fatal(err)
	}
	if c, err := k.Lookup(t.Context(), "r.example", ""); err != nil || c.Username != "u" || c.Password != "p" {
		t.Errorf("got %#v, %v", c, err)
	}
	if _, err := k.Erase(t.Context(), n); err != nil {
		t.Error(err)
	}
	if _, err := k.Erase(t.Context(), n); !errors.Is(err, ErrAbsent) {
		t.Errorf("erased twice: %v", err)
	}
}
