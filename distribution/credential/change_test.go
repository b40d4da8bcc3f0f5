package credential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
)

// TestChangeChild logs in to and out of registries, in a process of its own.
func TestChangeChild(t *testing.T) {
	file, id := os.Getenv("OCI_TEST_AUTH"), os.Getenv("OCI_TEST_ID")
	if file == "" {
		t.Skip("it is started by TestManyProcesses only")
	}
	for i := range 8 {
		k := New(Options{File: file})
		for _, n := range []string{fmt.Sprintf("keep%d-%s.example", i, id), fmt.Sprintf("go%d-%s.example", i, id)} {
			if _, err := k.Store(t.Context(), name(t, n), Credential{Username: "u" + id, Password: "p"}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := k.Erase(t.Context(), name(t, fmt.Sprintf("go%d-%s.example", i, id))); err != nil {
			t.Fatal(err)
		}
	}
}

// TestManyProcesses: many who log in and out at once lose nothing of each other, behind a symbolic
// link that stays one, in a file that has more in it.
func TestManyProcesses(t *testing.T) {
	if goruntime.GOOS == "windows" {
		t.Skip("directories are not locked on Windows")
	}
	dir := t.TempDir()
	real := write(t, dir+"/real/config.json", `{"psFormat":"x","auths":{"old.example":`+ann+`}}`)
	link := dir + "/config.json"
	if err := os.Symlink("real/config.json", link); err != nil {
		t.Fatal(err)
	}
	const processes = 12
	var cmds []*exec.Cmd
	for i := range processes {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChangeChild$", "-test.count=1")
		cmd.Env = append(os.Environ(), "OCI_TEST_AUTH="+link, fmt.Sprintf("OCI_TEST_ID=%d", i))
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cmds = append(cmds, cmd)
	}
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	raw, err := os.ReadFile(real)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		PSFormat string
		Auths    map[string]entry
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	for i := range processes {
		for j := range 8 {
			if _, ok := doc.Auths[fmt.Sprintf("keep%d-%d.example", j, i)]; !ok {
				t.Errorf("what process %d stored as number %d is lost", i, j)
			}
		}
	}
	if len(doc.Auths) != processes*8+1 || doc.PSFormat != "x" {
		t.Errorf("%d entries, want %d; psFormat %q", len(doc.Auths), processes*8+1, doc.PSFormat)
	}
	if to, err := os.Readlink(link); err != nil || to != "real/config.json" {
		t.Errorf("the link is %q, %v", to, err)
	}
	if info, err := os.Stat(real); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(dir + "/real"); len(left) != 1 {
		t.Errorf("files were left: %v", left)
	}
}

// TestLinkToNothing: the file that a link names is made, and what a killed process left is removed.
func TestLinkToNothing(t *testing.T) {
	dir := t.TempDir()
	left := write(t, dir+"/dotfiles/.auth.json.oci-123", "half")
	if err := os.Symlink(filepath.Join(dir, "dotfiles", "auth.json"), dir+"/auth.json"); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	s, err := New(Options{File: dir + "/auth.json"}).Store(t.Context(), name(t, "r.example"), Credential{Username: "a", Password: "b"})
	if err != nil || s.Where != dir+"/dotfiles/auth.json" {
		t.Errorf("stored in %v, %v", s, err)
	}
	if _, err := os.Readlink(dir + "/auth.json"); err != nil {
		t.Errorf("the link was replaced: %v", err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a killed process left is still there: %v", err)
	}
	if err := os.Symlink("loop", dir+"/loop"); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{File: dir + "/loop"}).Store(t.Context(), name(t, "r.example"), Credential{Username: "a"}); !errors.Is(err, ErrFile) {
		t.Errorf("a link to itself: got %v, want ErrFile", err)
	}
}

// TestRotate: a new identity token goes where the old one was, and nowhere else.
func TestRotate(t *testing.T) {
	dir := t.TempDir()
	f := write(t, dir+"/a.json", `{"x":1,"auths":{"r.example/team":{"auth":"YW5uOg==","identitytoken":"one","email":"e"},"r.example":`+ann+`}}`)
	k := New(Options{File: f})
	token := func(k *Keychain) string {
		t.Helper()
		c, err := k.Lookup(t.Context(), "r.example", "team/app")
		if err != nil {
			t.Fatal(err)
		}
		return c.IdentityToken
	}
	if token(k) != "one" {
		t.Fatal("no identity token to begin with")
	}
	if err := k.Rotate(t.Context(), "r.example", "team/app", "one", "two"); err != nil {
		t.Fatal(err)
	}
	if token(k) != "two" || token(New(Options{File: f})) != "two" {
		t.Errorf("the new token is not there: %q, %q", token(k), token(New(Options{File: f})))
	}
	for _, tt := range []struct{ host, repo, old string }{
		{"r.example", "team/app", "one"}, {"r.example", "other", "two"}, {"s.example", "x", "two"}, {"r.example", "other", ""},
	} {
		if err := k.Rotate(t.Context(), tt.host, tt.repo, tt.old, "three"); !errors.Is(err, ErrAbsent) {
			t.Errorf("%v: got %v, want ErrAbsent", tt, err)
		}
	}
	raw, err := os.ReadFile(f)
	if err != nil || !strings.Contains(string(raw), `"email": "e"`) || !strings.Contains(string(raw), `"x": 1`) || strings.Contains(string(raw), "three") {
		t.Errorf("got %s, %v", raw, err)
	}

	kept := Credential{IdentityToken: "one"}
	k = New(Options{
		File: write(t, dir+"/b.json", `{"credHelpers":{"r.example":"desk"}}`),
		Ask:  func(context.Context, string, string) (Credential, error) { return kept, nil },
		Tell: func(_ context.Context, helper, verb, _, input string) error {
			if helper != "desk" || verb != "store" {
				t.Errorf("%s was told to %s", helper, verb)
			}
			var in struct{ Username, Secret string }
			if err := json.Unmarshal([]byte(input), &in); err != nil || in.Username != tokenUser {
				t.Errorf("%q, %v", in.Username, err)
			}
			kept.IdentityToken = in.Secret
			return nil
		},
	})
	if err := k.Rotate(t.Context(), "r.example", "team/app", "one", "two"); err != nil || token(k) != "two" {
		t.Errorf("with a helper: %v, %q", err, token(k))
	}
}

// TestHelpersInOrder: credential-helpers of registries.conf.
func TestHelpersInOrder(t *testing.T) {
	dir := t.TempDir()
	kept := map[string]map[string]Credential{"one": {}, "two": {"r.example": {Username: "two"}, "q.example": {Username: "two"}}}
	fails := ""
	options := func(order ...string) Options {
		return Options{
			Helpers: order, Home: dir, Getenv: env(map[string]string{"REGISTRY_AUTH_FILE": dir + "/auth.json"}),
			Ask: func(_ context.Context, helper, server string) (Credential, error) { return kept[helper][server], nil },
			Tell: func(_ context.Context, helper, verb, server, _ string) error {
				_, had := kept[helper][server]
				switch {
				case helper == fails:
					return ErrHelper
				case verb == "store":
					kept[helper][server] = Credential{Username: "stored"}
				case !had:
					return ErrAbsent
				default:
					delete(kept[helper], server)
				}
				return nil
			},
			List: func(_ context.Context, helper string) (names []string, err error) {
				for n := range kept[helper] {
					names = append(names, n)
				}
				return names, nil
			},
		}
	}
	write(t, dir+"/auth.json", `{"auths":{"r.example":`+ann+`,"docker.io":`+bob+`}}`)
	for _, tt := range []struct {
		order []string
		host  string
		want  string
	}{
		{nil, "r.example", "ann"},
		{[]string{Files, "two"}, "r.example", "ann"},
		{[]string{"two", Files}, "r.example", "two"},
		{[]string{"one", Files}, "r.example", "ann"},
		{[]string{"one", "two"}, "docker.io", ""},
	} {
		if c, err := New(options(tt.order...)).Lookup(t.Context(), tt.host, "x"); err != nil || c.Username != tt.want {
			t.Errorf("%q: got %q, %v, want %q", tt.order, c.Username, err, tt.want)
		}
	}
	o := options("two")
	o.File = dir + "/auth.json"
	if c, err := New(o).Lookup(t.Context(), "r.example", ""); err != nil || c.Username != "ann" {
		t.Errorf("a file that was asked for is the only place: %q, %v", c.Username, err)
	}
	fails = "one"
	s, err := New(options("one", "two", Files)).Store(t.Context(), name(t, "new.example"), Credential{Username: "u", Password: "p"})
	if err != nil || s != (Stored{Where: "docker-credential-two"}) {
		t.Errorf("stored %v, %v: the first that takes it keeps it", s, err)
	}
	s, err = New(options("two", Files)).Store(t.Context(), name(t, "new.example/team"), Credential{Username: "u", Password: "p"})
	if err != nil || s != (Stored{dir + "/auth.json", true}) {
		t.Errorf("stored %v, %v: helpers keep whole registries only", s, err)
	}
	fails = ""
	if _, err := New(options("one", "two", Files)).Erase(t.Context(), name(t, "r.example")); err != nil {
		t.Error(err)
	}
	if c, err := New(options("two", Files)).Lookup(t.Context(), "r.example", ""); err != nil || !c.Anonymous() {
		t.Errorf("left after the logout: %v, %v", c, err)
	}
	names, _, err := New(options("one", "two", Files)).EraseAll(t.Context())
	if want := []string{"docker.io", "new.example", "new.example/team", "q.example"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("erased %q, %v, want %q", names, err, want)
	}
}

// TestOldFiles: the URLs and the file that Docker used to write.
func TestOldFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/.dockercfg", `{"https://old.example/v1/":`+cat+`}`)
	f := write(t, dir+"/.docker/config.json", `{"auths":{
		"https://index.docker.io/v1/access-token":`+bob+`,
		"https://index.docker.io/v1/refresh-token":`+bob+`,
		"https://index.docker.io/v1/":`+ann+`,
		"https://r.example/v2/":`+bob+`,"https://r.example/v1/":`+ann+`}}`)
	o := Options{Home: dir, Getenv: env(map[string]string{"XDG_RUNTIME_DIR": dir + "/none"})}
	for range 20 { // the order of a map is another each time
		for host, want := range map[string]string{"docker.io": "ann", "r.example": "ann", "old.example": "cat"} {
			if c, err := New(o).Lookup(t.Context(), host, "x/y"); err != nil || c.Username != want {
				t.Fatalf("%s: got %q, %v, want %q", host, c.Username, err, want)
			}
		}
	}
	if s, err := New(Options{File: f}).Store(t.Context(), name(t, "docker.io"), Credential{Username: "dan", Password: "x"}); err != nil || !s.Plain {
		t.Error(err)
	}
	if c, err := New(o).Lookup(t.Context(), "docker.io", "x/y"); err != nil || c.Username != "dan" {
		t.Errorf("got %q, %v", c.Username, err)
	}
}
