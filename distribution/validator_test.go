package distribution

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/oci-pipeline/oci/distribution/registrytest"
	"github.com/oci-pipeline/oci/image"
)

// blobServer gives raw with an ETag that the test chooses, and cuts the first answers.
type blobServer struct {
	raw   []byte
	etag  func() string
	cut   int // answers that end after 100,000 bytes
	asked []http.Header
}

func (s *blobServer) serve(w http.ResponseWriter, r *http.Request) {
	s.asked = append(s.asked, r.Header.Clone())
	if e := s.etag(); e != "" {
		w.Header().Set("ETag", e)
	}
	if s.cut > 0 {
		s.cut--
		w = &cutter{w, 100_000}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.raw))
}

// cutter breaks the connection after left bytes.
type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b[:min(len(b), c.left)])
	if c.left -= n; c.left == 0 && err == nil {
		c.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

func always(etag string) func() string { return func() string { return etag } }

// TestDC10_validator: a transfer that goes on sends the ETag of the first bytes where that can help, and
// however ETags behave the blob is right in the end and is not fetched more often than it must be.
func TestDC10_validator(t *testing.T) {
	n := 0
	counted := func() string { n++; return fmt.Sprintf(`"%d"`, n) }
	for name, tt := range map[string]struct {
		etag func() string
		cut  int
		want []string // Range and If-Range of each request
	}{
		"the same":           {always(`"v1"`), 1, []string{" ", `bytes=100000- "v1"`}},
		"the digest itself":  {always(`"sha256:0123"`), 1, []string{" ", `bytes=100000- "sha256:0123"`}},
		"none":               {always(""), 1, []string{" ", "bytes=100000- "}},
		"weak":               {always(`W/"v1"`), 1, []string{" ", "bytes=100000- "}},
		"with a space":       {always(`"v 1"`), 1, []string{" ", "bytes=100000- "}},
		"not quoted":         {always("v1"), 1, []string{" ", "bytes=100000- "}},
		"too long":           {always(`"` + strings.Repeat("x", maxETag) + `"`), 1, []string{" ", "bytes=100000- "}},
		"another each time":  {counted, 1, []string{" ", `bytes=100000- "1"`, " "}},
		"another, cut often": {counted, 4, []string{" ", `bytes=100000- "1"`, " ", "bytes=100000- ", "bytes=200000- "}},
	} {
		t.Run(name, func(t *testing.T) {
			n = 0
			s, f, ref := setup(t, registrytest.Options{})
			layer := f.layers[1]
			b := &blobServer{raw: f.store.blobs[layer.Digest], etag: tt.etag, cut: tt.cut}
			s.Inject(registrytest.Rule{Path: layer.Digest.String(), Fault: func(w http.ResponseWriter, r *http.Request, _ http.Handler) { b.serve(w, r) }})
			m := newMemory()
			if _, err := pullInto(t, newClient(t, Options{}), ref, m, PullOptions{Jobs: 1}); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(m.blobs[layer.Digest], b.raw) {
				t.Error("the blob is another")
			}
			var got []string
			for _, h := range b.asked {
				got = append(got, h.Get("Range")+" "+h.Get("If-Range"))
			}
			if strings.Join(got, "; ") != strings.Join(tt.want, "; ") {
				t.Errorf("asked for\n got %q\nwant %q", got, tt.want)
			}
		})
	}
}

// TestH80_If_Range_is_not_understood: a server that gives all of the blob when it sees one is asked without.
func TestH80_If_Range_is_not_understood(t *testing.T) {
	s, f, ref := setup(t, registrytest.Options{})
	layer := f.layers[1]
	b := &blobServer{raw: f.store.blobs[layer.Digest], etag: always(`"v1"`), cut: 1}
	s.Inject(registrytest.Rule{Path: layer.Digest.String(), Fault: func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		if r.Header.Get("If-Range") != "" {
			r.Header.Del("Range")
		}
		b.serve(w, r)
	}})
	res, err := pullInto(t, newClient(t, Options{}), ref, newMemory(), PullOptions{Jobs: 1})
	if err != nil {
		t.Fatal(err)
	}
	var all int64
	for _, d := range append(f.layers, f.config, f.manifest, f.index) {
		all += d.Size
	}
	if len(b.asked) != 3 || res.BytesFetched != all {
		t.Errorf("%d requests, %d bytes of %d", len(b.asked), res.BytesFetched, all)
	}
}

// TestH80_content_has_changed: the bytes of an earlier process are of other content. The ETag tells, so
// that the rest is not fetched before the digest would.
func TestH80_content_has_changed(t *testing.T) {
	for _, parallel := range []bool{false, true} {
		t.Run(fmt.Sprintf("parallel %v", parallel), func(t *testing.T) {
			s, f, _ := setup(t, registrytest.Options{}, 1000, 1_000_001, 20_000)
			layer := f.layers[1]
			b := &blobServer{raw: f.store.blobs[layer.Digest], etag: always(`"new"`)}
			s.Inject(registrytest.Rule{Path: layer.Digest.String(), Fault: func(w http.ResponseWriter, r *http.Request, _ http.Handler) { b.serve(w, r) }})
			c := far(t, s)
			if !parallel {
				c.rangeMin = 1 << 30
			}
			m := newMemory()
			m.partial[layer.Digest], m.notes[layer.Digest] = make([]byte, 500_000), `far.example far.example "old"`
			res, err := pullInto(t, c, mustRef(t, farApp), m, PullOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(m.blobs[layer.Digest], b.raw) {
				t.Error("the blob is another")
			}
			if limit := layer.Size + 4*int64(c.rangeSize) + 30_000; res.BytesFetched > limit {
				t.Errorf("fetched %d bytes, want at most %d", res.BytesFetched, limit)
			}
		})
	}
}

// TestDC10_note: what is remembered crosses processes, and only the place that said it hears it.
func TestDC10_note(t *testing.T) {
	s, f, ref := setup(t, registrytest.Options{})
	layer := f.layers[1]
	b := &blobServer{raw: f.store.blobs[layer.Digest], etag: always(`"v1"`), cut: 1}
	blob := registrytest.Rule{Path: layer.Digest.String(), Fault: func(w http.ResponseWriter, r *http.Request, _ http.Handler) { b.serve(w, r) }}
	once := blob
	once.Times = 1
	s.Inject(once, registrytest.Rule{Path: layer.Digest.String(), Fault: registrytest.Drop()})
	m := newMemory()
	if _, err := pullInto(t, newClient(t, Options{}), ref, m, PullOptions{Jobs: 1}); !errors.Is(err, ErrNetwork) {
		t.Fatal(err)
	}
	if want := s.Host + " " + s.Host + ` "v1"`; m.notes[layer.Digest] != want {
		t.Fatalf("noted %q, want %q", m.notes[layer.Digest], want)
	}
	s.Heal()
	s.Inject(blob)
	b.asked = nil
	if _, err := pullInto(t, newClient(t, Options{}), ref, m, PullOptions{Jobs: 1}); err != nil {
		t.Fatal(err)
	}
	if len(b.asked) != 1 || b.asked[0].Get("Range") != "bytes=100000-" || b.asked[0].Get("If-Range") != `"v1"` {
		t.Errorf("asked %v", b.asked)
	}
	for _, note := range []string{`other.example other.example "v1"`, `broken`, s.Host + " " + s.Host + " W/\"v1\"", s.Host + " " + s.Host + " v1\r\nX: y"} {
		m := newMemory()
		m.partial[layer.Digest], m.notes[layer.Digest] = bytes.Clone(b.raw[:100_000]), note
		b.asked = nil
		if _, err := pullInto(t, newClient(t, Options{}), ref, m, PullOptions{Jobs: 1}); err != nil {
			t.Fatal(err)
		}
		if len(b.asked) != 1 || b.asked[0].Get("Range") == "" || b.asked[0].Get("If-Range") != "" {
			t.Errorf("note %q: asked %v", note, b.asked)
		}
	}
}

// TestDC10_signed_urls: blobs that the registry keeps elsewhere go on from there, and where it leads to
// another store the next time, whose ETags are others, the rest is all that is fetched again.
func TestDC10_signed_urls(t *testing.T) {
	s, f, ref := setup(t, registrytest.Options{})
	layer := f.layers[1]
	raw := f.store.blobs[layer.Digest]
	east := &blobServer{raw: raw, etag: always(`"east"`), cut: 1}
	west := &blobServer{raw: raw, etag: always(`"west"`)}
	for _, tt := range []struct {
		name   string
		second *blobServer
		want   int // requests to it
	}{{"the same store", east, 2}, {"another store", west, 2}} {
		t.Run(tt.name, func(t *testing.T) {
			east.cut, east.asked, west.asked = 1, nil, nil
			first, second := httptest.NewServer(http.HandlerFunc(east.serve)), httptest.NewServer(http.HandlerFunc(tt.second.serve))
			defer first.Close()
			defer second.Close()
			to := second.URL
			if tt.second == east {
				to = first.URL
			}
			s.Heal()
			s.Inject(registrytest.Rule{Path: layer.Digest.String(), Times: 1, Fault: registrytest.Redirect(first.URL)},
				registrytest.Rule{Path: layer.Digest.String(), Fault: registrytest.Redirect(to)})
			m := newMemory()
			res, err := pullInto(t, newClient(t, Options{}), ref, m, PullOptions{Jobs: 1})
			if err != nil || !bytes.Equal(m.blobs[layer.Digest], raw) {
				t.Fatalf("%v, or the blob is another", err)
			}
			if len(tt.second.asked) != tt.want {
				t.Errorf("%d requests to the second store, want %d: %v", len(tt.second.asked), tt.want, tt.second.asked)
			}
			var all int64
			for _, d := range append(f.layers, f.config, f.manifest, f.index) {
				all += d.Size
			}
			if res.BytesFetched != all {
				t.Errorf("fetched %d bytes, want %d: nothing twice", res.BytesFetched, all)
			}
			last := tt.second.asked[len(tt.second.asked)-1]
			if last.Get("Range") != "bytes=100000-" {
				t.Errorf("the last request is for %q", last.Get("Range"))
			}
		})
	}
}

// TestH80_etag_lies: a store whose ETag stays while its content is wrong is found by the digest.
func TestH80_etag_lies(t *testing.T) {
	s, f, ref := setup(t, registrytest.Options{})
	layer := f.layers[1]
	raw := bytes.Clone(f.store.blobs[layer.Digest])
	raw[200_000] ^= 1
	b := &blobServer{raw: raw, etag: always(`"v1"`), cut: 1}
	s.Inject(registrytest.Rule{Path: layer.Digest.String(), Fault: func(w http.ResponseWriter, r *http.Request, _ http.Handler) { b.serve(w, r) }})
	m := newMemory()
	if _, err := pullInto(t, newClient(t, Options{}), ref, m, PullOptions{Jobs: 1}); !errors.Is(err, image.ErrDigestMismatch) {
		t.Errorf("got %v", err)
	}
	if len(m.partial[layer.Digest]) > 0 || m.blobs[layer.Digest] != nil {
		t.Error("wrong bytes were kept")
	}
}
