package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/registry"
	"github.com/oci-pipeline/oci/image/store"
)

func servedStore(t *testing.T) (*store.Store, http.Handler) {
	t.Helper()
	s, err := store.Open(t.Context(), t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	h := registry.New(newStoreBackend(s), registry.Options{Writable: true, TempDir: t.TempDir()})
	t.Cleanup(func() { _ = h.Close() })
	return s, h
}

func ask(t *testing.T, h http.Handler, status int, method, path, body string) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	got, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	if w.Code != status {
		t.Errorf("%s %s: %d %s, want %d", method, path, w.Code, got, status)
	}
	return string(got)
}

// The store behind the registry takes every digest algorithm, gives back the bytes, and lets go only of
// what no name leads to (DS-20).
func TestDS20_serve_from_the_store(t *testing.T) {
	s, h := servedStore(t)
	for _, a := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		config := a.FromString("{}")
		raw := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":2},"layers":[]}`,
			ispec.MediaTypeImageManifest, ispec.MediaTypeEmptyJSON, config)
		man := a.FromString(raw).String()
		ask(t, h, 201, "POST", "/v2/a/b/blobs/uploads/?digest="+config.String(), "{}")
		ask(t, h, 201, "PUT", "/v2/a/b/manifests/"+man+"?tag=v1", raw)
		if got := ask(t, h, 200, "GET", "/v2/a/b/manifests/v1", ""); got != raw {
			t.Errorf("bytes changed: %s", got)
		}
		ask(t, h, 405, "DELETE", "/v2/a/b/blobs/"+config.String(), "")
		ask(t, h, 202, "DELETE", "/v2/a/b/manifests/"+man, "")
		ask(t, h, 404, "GET", "/v2/a/b/manifests/v1", "")
		ask(t, h, 404, "GET", "/v2/a/b/manifests/"+man, "")
		ask(t, h, 202, "DELETE", "/v2/a/b/blobs/"+config.String(), "")
		ask(t, h, 404, "GET", "/v2/a/b/blobs/"+config.String(), "")
	}
	r, err := s.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Blobs != 0 {
		t.Errorf("%d blobs are left", r.Blobs)
	}
}

// What other tools have listed without a name is in no repository, and keeps what it needs.
func TestServeKeepsNamelessEntries(t *testing.T) {
	names := storeNaming{"dir"}
	d := digest.FromString("x")
	for _, name := range []string{"", "@" + d.String()} {
		if repo, ref, ok := names.Split(name); ok {
			t.Errorf("%q is served as %s %s", name, repo, ref)
		}
	}
	for name, place := range map[string]string{
		"docker.io/library/debian:12": "library/debian 12", "a/b:v": "a/b v", "latest": "dir latest", "localhost/x:1": "x 1", "reg:5000/x@" + d.String(): "x " + d.String(),
	} {
		repo, ref, ok := names.Split(name)
		if got := repo + " " + ref; !ok || got != place {
			t.Errorf("%s: %s %v, want %s", name, got, ok, place)
		}
	}
}

// Of two names for one place, one is served whoever asks, and the other is told.
func TestServe_same_place(t *testing.T) {
	n := storeNaming{"store"}
	entry := func(name, content string) store.Tagged {
		return store.Tagged{Name: name, Descriptor: ispec.Descriptor{Digest: digest.FromString(content)}}
	}
	tags := []store.Tagged{
		entry("127.0.0.1:5500/busybox:latest", "new"), entry("127.0.0.1:9/busybox:latest", "old"),
		entry("a.b/same:1", "same"), entry("b.c/same:1", "same"),
		entry("localhost/pushed:1", "x"), entry("pushed:1", "y"),
	}
	names, hidden := n.served(tags)
	want := []hiddenName{
		{"127.0.0.1:9/busybox:latest", "busybox:latest", "127.0.0.1:5500/busybox:latest"},
		{"localhost/pushed:1", "pushed:1", "pushed:1"},
	}
	if !slices.Equal(hidden, want) {
		t.Errorf("hidden: %v", hidden)
	}
	if len(names) != len(tags) || names["@"+digest.FromString("old").String()].Digest == "" || names["b.c/same:1"].Digest == "" {
		t.Errorf("names: %v", names)
	}
}
