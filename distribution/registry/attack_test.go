package registry

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// eventually waits for what another goroutine does in its own time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%s: not within ten seconds", what)
}

// Two requests never write into one upload at a time: the second waits, and is told to come back.
func TestDS09_two_requests_for_one_upload(t *testing.T) {
	overBackends(t, func(t *testing.T, h *Handler) {
		h.uploads.wait = 50 * time.Millisecond
		loc := newSession(t, h)
		body, feed := io.Pipe()
		first := make(chan int, 1)
		go func() {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodPatch, loc, body))
			first <- w.Code
		}()
		_, _ = io.WriteString(feed, "hello") // it is at work now
		for _, method := range []string{"PATCH", "GET", "DELETE", "PUT"} {
			resp, text := call(t, h, method, loc+"?digest="+digest.FromString("x").String(), "x")
			want(t, resp, http.StatusTooManyRequests, "Retry-After", retryAfter)
			if c := code(t, text); c != "TOOMANYREQUESTS" {
				t.Errorf("code %s", c)
			}
		}
		_ = feed.CloseWithError(io.ErrUnexpectedEOF) // the connection breaks
		if got := <-first; got < 400 {
			t.Errorf("half a body: status %d", got)
		}
		resp, _ := call(t, h, "GET", loc, "")
		want(t, resp, http.StatusNoContent, "Range", "0-4")
		resp, _ = call(t, h, "PUT", loc+"?digest="+digest.FromString("hello world").String(), " world")
		want(t, resp, http.StatusCreated)
	})
}

// Uploads that nobody goes on with make room for new ones.
func TestDS10_idle_uploads_make_room(t *testing.T) {
	h := New(&Memory{}, Options{Writable: true, TempDir: t.TempDir()})
	defer h.Close()
	var first *session
	for i := range maxSessions {
		s, err := h.uploads.start("a")
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = s
		}
	}
	h.uploads.mu.Lock()
	first.used = time.Now().Add(-2 * evictAge)
	h.uploads.mu.Unlock()
	resp, _ := call(t, h, "POST", "/v2/a/blobs/uploads/", "")
	want(t, resp, http.StatusAccepted)
	resp, _ = call(t, h, "GET", "/v2/a/blobs/uploads/"+first.id, "")
	want(t, resp, http.StatusNotFound)
	resp, _ = call(t, h, "POST", "/v2/a/blobs/uploads/", "")
	want(t, resp, http.StatusTooManyRequests)
	// One that a request is at work on is not idle, however long it takes.
	h.uploads.mu.Lock()
	for _, s := range h.uploads.open {
		s.used = time.Now().Add(-2 * evictAge)
		s.busy <- struct{}{}
	}
	h.uploads.mu.Unlock()
	resp, _ = call(t, h, "POST", "/v2/a/blobs/uploads/", "")
	want(t, resp, http.StatusTooManyRequests)
}

// stalling serves with a stall time, and counts the requests under way.
func stalling(t *testing.T, b Backend, stall time.Duration) (h *Handler, addr string, open func() int) {
	t.Helper()
	h = New(b, Options{Writable: true, TempDir: t.TempDir(), Stall: stall})
	t.Cleanup(func() { _ = h.Close() })
	gate := make(chan struct{}, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		gate <- struct{}{}
		h.ServeHTTP(w, r)
		<-gate
	}))
	t.Cleanup(s.Close)
	return h, s.Listener.Addr().String(), func() int { return len(gate) }
}

// A client that stops in the middle of a body, or takes nothing of an answer, is cut off.
func TestStalledClients(t *testing.T) {
	m := &Memory{}
	h, addr, open := stalling(t, m, 200*time.Millisecond)
	loc := newSession(t, h)
	big := strings.Repeat("0123456789abcdef", 4<<20) // 64 MiB: no socket's buffers hold that
	d := digest.FromString(big)
	if err := m.PutBlob(t.Context(), "a", ispec.Descriptor{Digest: d, Size: int64(len(big))}, strings.NewReader(big)); err != nil {
		t.Fatal(err)
	}
	for _, request := range []string{
		"PATCH " + loc + " HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhello",
		"PUT /v2/a/manifests/v HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
		"POST /v2/a/blobs/uploads/?digest=" + d.String() + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"GET /v2/a/blobs/" + d.String() + " HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(request, "GET") {
			eventually(t, "it begins", func() bool { return open() == 1 })
		}
		eventually(t, request[:20]+" ends", func() bool { return open() == 0 })
		_ = c.Close()
	}
	resp, _ := call(t, h, "GET", loc, "")
	want(t, resp, http.StatusNoContent, "Range", "0-4") // what came is kept
}

// A client that is slow, and goes on, is served whatever the time it takes.
func TestSlowClientIsServed(t *testing.T) {
	t.Parallel()
	const stall = 3 * time.Second
	h, addr, _ := stalling(t, &Memory{}, stall)
	body := strings.Repeat("x", 5*readStep)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "PATCH %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", newSession(t, h), len(body))
	for i := 0; i < len(body); i += readStep {
		time.Sleep(stall / 4) // in all more than the stall time
		if _, err := io.WriteString(c, body[i:i+readStep]); err != nil {
			t.Fatal(err)
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	want(t, resp, http.StatusAccepted, "Range", fmt.Sprintf("0-%d", len(body)-1))
}

// What is small to send and large to decode is refused before it is large.
func TestDS14_manifest_bombs(t *testing.T) {
	h := New(NewPool(newContent(), nil), Options{Writable: true, TempDir: t.TempDir()})
	defer h.Close()
	const size = 1 << 20
	fill := func(head, unit, tail string) string {
		return head + strings.Repeat(unit+",", (size-len(head)-len(tail))/(len(unit)+1)) + unit + tail
	}
	image := `{"schemaVersion":2,"mediaType":"` + ispec.MediaTypeImageManifest + `",`
	index := `{"schemaVersion":2,"mediaType":"` + ispec.MediaTypeImageIndex + `","manifests":[`
	var keys strings.Builder
	for i := range maxQuotes/2 + 1 {
		fmt.Fprintf(&keys, `"%x":0,`, i)
	}
	for name, tt := range map[string]struct {
		body   string
		status int
	}{
		"layers":       {fill(image+`"layers":[`, "{}", "]}"), 400},
		"children":     {fill(index, "{}", "]}"), 400},
		"names":        {image + `"layers":[],"x":{` + keys.String() + `"z":0}}`, 400},
		"strings":      {image + `"layers":[],"x":[` + strings.Repeat(`"",`, maxQuotes/2) + `""]}`, 400},
		"depth":        {image + `"layers":[],"x":` + strings.Repeat("[", size), 400},
		"twice":        {image + `"layers":[],"layers":[]}`, 400},
		"two readings": {image + `"layers":[],"manifests":[]}`, 400},
		"other case":   {`{"schemaVersion":2,"Layers":[],"Manifests":[]}`, 400},
		"annotation":   {image + `"layers":[],"annotations":{"a":["b"]}}`, 400},
		"no UTF-8":     {image + "\"layers\":[],\"x\":\"\xff\"}", 400},
		"too large":    {fill(image+`"layers":[],"x":"`, strings.Repeat("a", 99), `"}`) + strings.Repeat(" ", 8<<20), 413},
	} {
		var before, after goruntime.MemStats
		goruntime.ReadMemStats(&before)
		resp, text := call(t, h, "PUT", "/v2/a/manifests/bomb", tt.body)
		goruntime.ReadMemStats(&after)
		if resp.StatusCode != tt.status {
			t.Errorf("%s: status %d %.200s, want %d", name, resp.StatusCode, text, tt.status)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 25*max(size, uint64(len(tt.body))) { // most of it garbage
			t.Errorf("%s: %d MiB were allocated for %d MiB", name, took>>20, len(tt.body)>>20)
		}
	}
	resp, _ := call(t, h, "GET", "/v2/a/manifests/bomb", "")
	want(t, resp, http.StatusNotFound)
}

// A long list of referrers comes in pages, none larger than clients take; all of them together are
// the list, once each, and the filter stays.
func TestDS19_DC44_pages_of_referrers(t *testing.T) {
	overBackends(t, func(t *testing.T, h *Handler) {
		config := putBlob(t, h, "a", "{}")
		subject := digest.FromString("subject")
		const count = 12
		for i := range count {
			raw := manifestFor(config, 2, fmt.Sprintf(`,"artifactType":"x/%d","annotations":{"a":%q},"subject":{"mediaType":"x/y","digest":%q,"size":1}`,
				i%2, fmt.Sprint(i)+strings.Repeat("a", 256<<10), subject))
			putManifest(t, h, "a", digest.FromString(raw).String(), raw)
		}
		for query, n := range map[string]int{"": count, "?artifactType=x%2F1": count / 2} {
			seen := map[digest.Digest]bool{}
			pages := 0
			for path := "/v2/a/referrers/" + subject.String() + query; path != ""; pages++ {
				resp, body := call(t, h, "GET", path, "")
				want(t, resp, http.StatusOK, "Content-Type", ispec.MediaTypeImageIndex)
				if len(body) > 4<<20 {
					t.Errorf("a page of %d bytes", len(body))
				}
				var x ispec.Index
				if err := json.Unmarshal([]byte(body), &x); err != nil {
					t.Fatal(err)
				}
				for _, m := range x.Manifests {
					if seen[m.Digest] {
						t.Errorf("%s is listed twice", m.Digest)
					}
					seen[m.Digest] = true
				}
				path, _, _ = strings.Cut(strings.TrimPrefix(resp.Header.Get("Link"), "<"), ">")
			}
			if len(seen) != n || pages < 2 {
				t.Errorf("%q: %d referrers on %d pages, want %d", query, len(seen), pages, n)
			}
		}
	})
}

// Large manifests that clients are slow to take share a bounded memory; small ones are not kept waiting.
func TestDS24_memory_of_manifests(t *testing.T) {
	m := &Memory{}
	h := New(m, Options{Writable: true, TempDir: t.TempDir()})
	put := func(tag string, size int) {
		raw := `{"schemaVersion":2,"mediaType":"` + ispec.MediaTypeImageIndex + `","manifests":[],"x":"` + strings.Repeat("x", size) + `"}`
		putManifest(t, h, "a", tag, raw)
	}
	put("large", 4<<20)
	put("small", 10)
	d, err := m.Resolve(t.Context(), "a", "large")
	if err != nil {
		t.Fatal(err)
	}
	var held []func()
	for {
		_, release, err := h.heldManifest(t.Context(), "a", d.Digest)
		if err != nil {
			break
		}
		held = append(held, release)
	}
	if n := int64(len(held)) * d.Size; n > manifestMemory || n < manifestMemory/2 {
		t.Errorf("%d bytes at a time", n)
	}
	resp, _ := call(t, h, "GET", "/v2/a/manifests/large", "")
	want(t, resp, http.StatusTooManyRequests, "Retry-After", retryAfter)
	resp, _ = call(t, h, "GET", "/v2/a/manifests/small", "")
	want(t, resp, http.StatusOK)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.budget.incoming(ctx, -1, h.o.MaxManifest); err == nil {
		t.Error("a push found memory that is not there")
	}
	for _, release := range held {
		release()
	}
	resp, _ = call(t, h, "GET", "/v2/a/manifests/large", "")
	want(t, resp, http.StatusOK)
}
