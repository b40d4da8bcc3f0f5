package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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
	l := newLease(s)
	h := registry.New(newStoreBackend(s, l), registry.Options{Writable: true, TempDir: t.TempDir()})
	t.Cleanup(func() { _ = h.Close() })
	t.Cleanup(l.close)
	return s, l.during(h)
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

// What is uploaded must be what it is said to be, also when the store has that already, or some of it.
func TestDS11_upload_of_what_is_there(t *testing.T) {
	s, h := servedStore(t)
	body := strings.Repeat("right", 1000)
	d := digest.FromString(body)
	path := "/v2/a/blobs/uploads/?digest=" + d.String()
	// A broken-off ingest has left bytes that are wrong.
	in, err := s.Ingest(t.Context(), ispec.Descriptor{MediaType: "x/y", Digest: d, Size: int64(len(body))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("wrong bytes")); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	ask(t, h, 400, "POST", path, strings.Repeat("wrong", 1000))
	ask(t, h, 201, "POST", path, body)
	ask(t, h, 201, "POST", path, body)
	ask(t, h, 400, "POST", path, strings.Repeat("wrong", 1000))
	ask(t, h, 400, "POST", path, body[1:])
	if got := ask(t, h, 200, "GET", "/v2/a/blobs/"+d.String(), ""); got != body {
		t.Error("bytes changed")
	}
}

// A client that is slow to upload a blob keeps nobody from uploading the same one.
func TestServe_slow_upload_blocks_nobody(t *testing.T) {
	s, h := servedStore(t)
	d := digest.FromString("popular")
	for _, method := range []string{"POST", "PUT", "PATCH"} {
		path := "/v2/a/blobs/uploads/"
		if method != "POST" {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("POST", path, nil))
			path = w.Header().Get("Location")
		}
		body, feed := io.Pipe()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r := httptest.NewRequest(method, path+"?digest="+d.String(), body)
			r.ContentLength = int64(len("popular"))
			h.ServeHTTP(httptest.NewRecorder(), r)
		}()
		_, _ = io.WriteString(feed, "pop")
		ask(t, h, 201, "POST", "/v2/b/blobs/uploads/?digest="+d.String(), "popular")
		ask(t, h, 202, "DELETE", "/v2/b/blobs/"+d.String(), "")
		_ = feed.CloseWithError(io.ErrUnexpectedEOF)
		<-ended
	}
	if r, err := s.Check(t.Context()); err != nil || len(r.Problems) != 0 {
		t.Errorf("%v, %v", r.Problems, err)
	}
}

// A tag is deleted by the name it is served under, whichever of its names the store has.
func TestDS20_delete_of_a_full_name(t *testing.T) {
	s, h := servedStore(t)
	layoutWith(t, s.Root(), "docker.io/library/debian:12", "x")
	ask(t, h, 200, "GET", "/v2/library/debian/manifests/12", "")
	ask(t, h, 202, "DELETE", "/v2/library/debian/manifests/12", "")
	ask(t, h, 404, "GET", "/v2/library/debian/manifests/12", "")
	ask(t, h, 404, "DELETE", "/v2/library/debian/manifests/12", "")
}

// Of a layout that another tool changes, each request sees the index before or after, whatever way it
// is written.
func TestServe_changed_by_others(t *testing.T) {
	s, h := servedStore(t)
	file := filepath.Join(s.Root(), "index.json")
	one, d1 := layoutWith(t, s.Root(), "app:v", "1")
	two, d2 := layoutWith(t, s.Root(), "app:v", "2")
	index := func(d ispec.Descriptor) []byte {
		return fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":%d,"annotations":{"org.opencontainers.image.ref.name":"app:v"}}]}`,
			d.MediaType, d.Digest, d.Size)
	}
	write := func(raw []byte) {
		t.Helper()
		if err := os.WriteFile(file, raw, 0o644); err != nil { // in place: half of it can be read
			t.Fatal(err)
		}
	}
	get := func(want string) {
		t.Helper()
		if got := ask(t, h, 200, "GET", "/v2/app/manifests/v", ""); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for range 50 { // the same inode, the same size, often the same time
		write(index(d1))
		get(one)
		write(index(d2))
		get(two)
	}
	time.Sleep(2 * settled)
	get(two) // remembered from here
	get(two)
	write(index(d1))
	get(one)
	raw := index(d2)
	write(raw[:len(raw)/2])
	written := make(chan error, 1)
	go func() {
		time.Sleep(2 * rereadWait)
		written <- os.WriteFile(file, raw, 0o644)
	}()
	get(two)
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	write(raw[:10])
	ask(t, h, 500, "GET", "/v2/app/manifests/v", "")
}

// Between the requests of a push nothing names what it has brought: prune waits.
func TestServe_prune_waits_for_a_push(t *testing.T) {
	s, err := store.Open(t.Context(), t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l := newLease(s)
	l.stay = 300 * time.Millisecond
	h := l.during(registry.New(newStoreBackend(s, l), registry.Options{Writable: true, TempDir: t.TempDir()}))
	busy := func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err := s.Prune(ctx, store.PruneOptions{})
		if err != nil && !errors.Is(err, store.ErrBusy) {
			t.Fatal(err)
		}
		return err != nil
	}
	config := digest.FromString("{}")
	child := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":2},"layers":[]}`,
		ispec.MediaTypeImageManifest, ispec.MediaTypeEmptyJSON, config)
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		ispec.MediaTypeImageIndex, ispec.MediaTypeImageManifest, digest.FromString(child), len(child))
	ask(t, h, 201, "POST", "/v2/a/blobs/uploads/?digest="+config.String(), "{}")
	ask(t, h, 201, "PUT", "/v2/a/manifests/"+digest.FromString(child).String(), child)
	if !busy() {
		t.Error("prune ran in the middle of a push")
	}
	ask(t, h, 404, "DELETE", "/v2/a/blobs/"+digest.FromString("none").String(), "") // deletes go on
	ask(t, h, 201, "POST", "/v2/a/blobs/uploads/?digest="+digest.FromString("x").String(), "x")
	ask(t, h, 202, "DELETE", "/v2/a/blobs/"+digest.FromString("x").String(), "")
	if !busy() {
		t.Error("a delete ended the lease")
	}
	ask(t, h, 201, "PUT", "/v2/a/manifests/v", index)
	for range 500 {
		if !busy() {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if busy() {
		t.Error("the lease lasts for ever")
	}
	for _, path := range []string{"manifests/v", "manifests/" + digest.FromString(child).String(), "blobs/" + config.String()} {
		ask(t, h, 200, "GET", "/v2/a/"+path, "")
	}
	ask(t, h, 202, "POST", "/v2/a/blobs/uploads/", "")
	l.close()
	if busy() {
		t.Error("the lease outlives the server")
	}
}

// A delete takes nothing away from a pull that has begun.
func TestDS20_delete_during_a_pull(t *testing.T) {
	_, h := servedStore(t)
	server := httptest.NewServer(h)
	defer server.Close()
	body := strings.Repeat("0123456789abcdef", 2<<20) // more than the sockets hold
	d := digest.FromString(body)
	ask(t, h, 201, "POST", "/v2/a/blobs/uploads/?digest="+d.String(), body)
	resp, err := http.Get(server.URL + "/v2/a/blobs/" + d.String()) //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	ask(t, h, 202, "DELETE", "/v2/a/blobs/"+d.String(), "")
	ask(t, h, 404, "GET", "/v2/a/blobs/"+d.String(), "")
	got, err := io.ReadAll(resp.Body)
	if err != nil || digest.FromBytes(got) != d {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// A blob of more than 4 GiB has its size and its ranges.
func TestDS04_ranges_of_a_large_blob(t *testing.T) {
	s, h := servedStore(t)
	const size = 5 << 30
	d := digest.FromString("not its digest: nobody reads all of it")
	file := filepath.Join(s.Root(), "blobs/sha256", d.Encoded())
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("begin"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, size); err != nil {
		t.Skipf("no sparse files here: %v", err)
	}
	for in, want := range map[string]string{
		"bytes=0-4":                             "bytes 0-4/5368709120",
		"bytes=-3":                              "bytes 5368709117-5368709119/5368709120",
		"bytes=4294967295-4294967297":           "bytes 4294967295-4294967297/5368709120",
		"bytes=5368709119-99999999999999999":    "bytes 5368709119-5368709119/5368709120",
		"bytes=5368709120-":                     "bytes */5368709120",
		"bytes=18446744073709551615-":           "",
		"bytes=9223372036854775807-":            "bytes */5368709120",
		"bytes=-9223372036854775807":            "bytes 0-5368709119/5368709120",
		"bytes=0-9223372036854775807":           "bytes 0-5368709119/5368709120",
		"bytes=4294967296-18446744073709551615": "",
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("HEAD", "/v2/a/blobs/"+d.String(), nil)
		r.Header.Set("Range", in)
		h.ServeHTTP(w, r)
		if got := w.Header().Get("Content-Range"); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/v2/a/blobs/"+d.String(), nil)
	r.Header.Set("Range", "bytes=4294967294-4294967299")
	h.ServeHTTP(w, r)
	if w.Code != http.StatusPartialContent || w.Body.Len() != 6 {
		t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
	}
}
