package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func poolHandler(t *testing.T) (*Handler, *mapContent) {
	t.Helper()
	c := newContent()
	h := New(NewPool(c, nil), Options{Writable: true, TempDir: t.TempDir()})
	t.Cleanup(func() { _ = h.Close() })
	return h, c
}

func putManifest(t *testing.T, h *Handler, repo, ref, raw string) digest.Digest {
	t.Helper()
	resp, text := call(t, h, "PUT", "/v2/"+repo+"/manifests/"+ref, raw)
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("put manifest: %d %s", resp.StatusCode, text)
	}
	return digest.FromString(raw)
}

func denied(t *testing.T, h *Handler, path string) {
	t.Helper()
	resp, body := call(t, h, "DELETE", path, "")
	want(t, resp, http.StatusMethodNotAllowed)
	if c := code(t, body); c != "DENIED" {
		t.Errorf("%s: code %s", path, c)
	}
	resp, _ = call(t, h, "HEAD", path, "")
	want(t, resp, http.StatusOK)
}

// One pool is behind all repositories: a delete in one must not break an image of another.
func TestDS20_deletes_keep_what_is_in_use(t *testing.T) {
	h, _ := poolHandler(t)
	config, layer, free := putBlob(t, h, "a", "{}"), putBlob(t, h, "a", "layer"), putBlob(t, h, "a", "free")
	raw := strings.Replace(manifestFor(config, 2, ""), `"layers":[]`,
		fmt.Sprintf(`"layers":[{"mediaType":%q,"digest":%q,"size":5}]`, ispec.MediaTypeImageLayer, layer), 1)
	image := digest.FromString(raw)
	putManifest(t, h, "a", image.String(), raw)
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		ispec.MediaTypeImageIndex, ispec.MediaTypeImageManifest, image, len(raw))
	top := putManifest(t, h, "a", "one", index)
	putManifest(t, h, "b", "two", index)

	wantDeleted(t, h, "/v2/a/blobs/"+free.String())
	for _, path := range []string{"/v2/a/blobs/" + config.String(), "/v2/c/blobs/" + layer.String(), "/v2/a/manifests/" + image.String()} {
		denied(t, h, path)
	}
	resp, _ := call(t, h, "DELETE", "/v2/a/manifests/"+top.String(), "") // in b it stays
	want(t, resp, http.StatusAccepted)
	resp, _ = call(t, h, "GET", "/v2/a/manifests/one", "")
	want(t, resp, http.StatusNotFound)
	resp, _ = call(t, h, "GET", "/v2/b/manifests/two", "")
	want(t, resp, http.StatusOK)
	denied(t, h, "/v2/a/manifests/"+top.String())
	wantDeleted(t, h, "/v2/b/manifests/"+top.String())
	for _, path := range []string{"/v2/b/manifests/" + image.String(), "/v2/a/blobs/" + config.String(), "/v2/a/blobs/" + layer.String()} {
		wantDeleted(t, h, path)
	}
}

func TestDS20_nothing_is_deleted_on_doubt(t *testing.T) {
	h, c := poolHandler(t)
	d := putBlob(t, h, "a", "x")
	broken := `{"schemaVersion":2,"mediaType":"` + ispec.MediaTypeImageIndex + `","manifests":[{"digest":1}]}`
	desc := ispec.Descriptor{MediaType: ispec.MediaTypeImageIndex, Digest: putBlob(t, h, "a", broken), Size: int64(len(broken))}
	if err := c.Name(t.Context(), "a:broken", desc); err != nil {
		t.Fatal(err)
	}
	resp, _ := call(t, h, "DELETE", "/v2/a/blobs/"+d.String(), "")
	want(t, resp, http.StatusInternalServerError)
	resp, _ = call(t, h, "GET", "/v2/a/blobs/"+d.String(), "")
	want(t, resp, http.StatusOK)
	// Such an index cannot be pushed.
	resp, _ = call(t, h, "PUT", "/v2/a/manifests/x", broken)
	want(t, resp, http.StatusBadRequest)
	// A name of nothing stands in nobody's way.
	if err := c.Unname(t.Context(), "a:broken"); err != nil {
		t.Fatal(err)
	}
	gone := ispec.Descriptor{MediaType: ispec.MediaTypeImageIndex, Digest: digest.FromString("gone"), Size: 4}
	if err := c.Name(t.Context(), "a:gone", gone); err != nil {
		t.Fatal(err)
	}
	wantDeleted(t, h, "/v2/a/blobs/"+d.String())
}

// What clients that knew no referrers API have kept under the tag schema is listed too.
func TestDS25_referrers_of_the_tag_schema(t *testing.T) {
	h, _ := poolHandler(t)
	config := putBlob(t, h, "a", "{}")
	subject := digest.FromString("subject")
	var children []string
	for i := range 3 { // as one without the API stored them: no names
		raw := manifestFor(config, 2, fmt.Sprintf(`,"annotations":{"n":"%d"},"subject":{"mediaType":"x/y","digest":%q,"size":1}`, i, subject))
		if i == 2 {
			raw = manifestFor(config, 2, "") // listed, but it does not say so itself
		}
		d := putBlob(t, h, "a", raw)
		children = append(children, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, ispec.MediaTypeImageManifest, d, len(raw)))
	}
	children = append(children, children[0], fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":1}`, ispec.MediaTypeImageManifest, digest.FromString("gone")))
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, ispec.MediaTypeImageIndex, strings.Join(children, ","))
	tag := "sha256-" + subject.Encoded()
	putManifest(t, h, "a", tag, index)
	raw := manifestFor(config, 2, fmt.Sprintf(`,"annotations":{"n":"new"},"subject":{"mediaType":"x/y","digest":%q,"size":1}`, subject))
	putManifest(t, h, "a", digest.FromString(raw).String(), raw)

	resp, body := call(t, h, "GET", "/v2/a/referrers/"+subject.String(), "")
	want(t, resp, http.StatusOK)
	var x ispec.Index
	if err := json.Unmarshal([]byte(body), &x); err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, m := range x.Manifests {
		got[m.Annotations["n"]]++
	}
	if len(x.Manifests) != 3 || got["0"] != 1 || got["1"] != 1 || got["new"] != 1 {
		t.Errorf("listed %v", got)
	}
	if resp, _ := call(t, h, "GET", "/v2/b/referrers/"+subject.String(), ""); resp.StatusCode != http.StatusOK {
		t.Errorf("another repository: %d", resp.StatusCode)
	}
}

// What one repository of a pool has is found in another, so clients push it there no more: they must
// find the referrers too. Those that a layout lists without a name belong to all.
func TestDS19_referrers_of_a_pool(t *testing.T) {
	h, c := poolHandler(t)
	config := putBlob(t, h, "a", "{}")
	subject := putManifest(t, h, "a", "v", manifestFor(config, 2, ""))
	refers := func(n int) string {
		return manifestFor(config, 2, fmt.Sprintf(`,"annotations":{"n":"%d"},"subject":{"mediaType":"x/y","digest":%q,"size":1}`, n, subject))
	}
	putManifest(t, h, "a", digest.FromString(refers(1)).String(), refers(1))
	nameless := ispec.Descriptor{MediaType: ispec.MediaTypeImageManifest, Digest: putBlob(t, h, "a", refers(2)), Size: int64(len(refers(2)))}
	if err := c.Name(t.Context(), "@"+nameless.Digest.String(), nameless); err != nil {
		t.Fatal(err)
	}
	for _, repo := range []string{"a", "b"} {
		resp, _ := call(t, h, "HEAD", "/v2/"+repo+"/manifests/"+digest.FromString(refers(1)).String(), "")
		want(t, resp, http.StatusOK)
		_, body := call(t, h, "GET", "/v2/"+repo+"/referrers/"+subject.String(), "")
		if !strings.Contains(body, `"n":"1"`) || !strings.Contains(body, `"n":"2"`) {
			t.Errorf("in %s: %s", repo, body)
		}
	}
}

func TestDS24_too_many_uploads(t *testing.T) {
	h, _ := poolHandler(t)
	for range maxSessions {
		if _, err := h.uploads.start("a"); err != nil {
			t.Fatal(err)
		}
	}
	resp, body := call(t, h, "POST", "/v2/a/blobs/uploads/", "")
	want(t, resp, http.StatusTooManyRequests, "Retry-After", retryAfter)
	if c := code(t, body); c != "TOOMANYREQUESTS" {
		t.Errorf("code %s", c)
	}
}

// A delete that comes between the look for the blobs of a manifest and its name waits.
func TestDeleteWaitsForPush(t *testing.T) {
	c := newContent()
	slow := &slowNames{mapContent: c, at: make(chan struct{}), goOn: make(chan struct{})}
	h := New(NewPool(slow, nil), Options{Writable: true, TempDir: t.TempDir()})
	defer h.Close()
	config := putBlob(t, h, "a", "{}")
	pushed, deleted := make(chan int, 1), make(chan int, 1)
	go func() {
		resp, _ := call(t, h, "PUT", "/v2/a/manifests/v1", manifestFor(config, 2, ""))
		pushed <- resp.StatusCode
	}()
	<-slow.at
	go func() {
		resp, _ := call(t, h, "DELETE", "/v2/a/blobs/"+config.String(), "")
		deleted <- resp.StatusCode
	}()
	close(slow.goOn)
	if got := <-pushed; got != http.StatusCreated {
		t.Errorf("push: %d", got)
	}
	if got := <-deleted; got != http.StatusMethodNotAllowed {
		t.Errorf("delete of what is in use: %d", got)
	}
}

// slowNames stops on its way to a name until it is told to go on.
type slowNames struct {
	*mapContent
	at, goOn chan struct{}
}

func (c *slowNames) Name(ctx context.Context, name string, d ispec.Descriptor) error {
	close(c.at)
	<-c.goOn
	return c.mapContent.Name(ctx, name, d)
}
