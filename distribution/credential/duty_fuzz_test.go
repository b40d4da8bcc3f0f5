package credential

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzHelper: what a helper prints is one kind of credential or an error, and neither prints the secret.
func FuzzHelper(f *testing.F) {
	for _, s := range []string{`{"ServerURL":"r.example","Username":"ann","Secret":"hunter2"}`, `{"Username":"<token>","Secret":"hunter2"}`, `{}`, `null`, `credentials not found`, `{"Username":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		c, err := decodeAnswer(out)
		if err != nil {
			if !errors.Is(err, ErrHelper) || !c.Anonymous() {
				t.Fatalf("%q: %+v, %v", out, c, err)
			}
			return
		}
		if c.RegistryToken != "" || c.IdentityToken != "" && (c.Username != "" || c.Password != "") {
			t.Fatalf("%q gives two kinds", out)
		}
		for _, secret := range []string{c.Password, c.IdentityToken} {
			if len(secret) > 8 && strings.Contains(fmt.Sprintf("%v %+v %#v", c, c, c), secret) {
				t.Fatalf("%q: the secret is printed", out)
			}
		}
	})
}

// FuzzStore: whatever is in the file of credentials, either it is an error and not a byte is changed, or
// what was stored is found, and everything else that the file said is still there.
func FuzzStore(f *testing.F) {
	f.Add([]byte(`{"auths":{"r.example":{"auth":"YW5uOnB3"},"q.example":{"auth":"YW5uOnB3"}},"HttpHeaders":{"a":"b"},"x":1e400}`))
	f.Add([]byte(`{"auths":{"https://r.example/v1/":{}},"credsStore":""}`))
	f.Add([]byte(``))
	f.Add([]byte(`{"auths":null}`))
	f.Add([]byte(`{"auths":{},"auths":{}}`))
	f.Add([]byte(`[]`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, raw []byte) {
		if bytes.Contains(bytes.ToLower(raw), []byte("cred")) || bytes.Contains(raw, []byte(`\`)) {
			return // helpers would be asked
		}
		p := filepath.Join(dir, "auth.json")
		if err := os.WriteFile(p, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		want := Credential{Username: "ann", Password: "p:w"}
		n, err := ParseName("r.example")
		if err != nil {
			t.Fatal(err)
		}
		_, err = New(Options{File: p}).Store(t.Context(), n, want)
		after, errRead := os.ReadFile(p)
		if errRead != nil {
			t.Fatal(errRead)
		}
		if err != nil {
			if !errors.Is(err, ErrFile) || !bytes.Equal(after, raw) {
				t.Fatalf("%q is %q now: %v", raw, after, err)
			}
			return
		}
		got, err := New(Options{File: p}).Lookup(t.Context(), "r.example", "a/b")
		if err != nil || got != want {
			t.Fatalf("%q is %q now, which gives %+v, %v", raw, after, got, err)
		}
		var before, now map[string]json.RawMessage
		if json.Unmarshal(raw, &before) != nil || json.Unmarshal(after, &now) != nil {
			return // it was empty
		}
		for k := range before {
			if _, ok := now[k]; !ok && k != "auths" {
				t.Fatalf("%q lost %q: %q", raw, k, after)
			}
		}
	})
}
