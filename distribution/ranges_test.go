package distribution

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oci-pipeline/oci/distribution/registrytest"
	"github.com/oci-pipeline/oci/image"
)

// far gives a client for which the server is on the internet, and small parts are worth it.
func far(t *testing.T, s *registrytest.Server) *Client {
	t.Helper()
	c := newClient(t, Options{Insecure: true, Dial: dialTo(s.Host)})
	c.rangeMin, c.rangeSize, c.rangeFast = 100_000, 64_000, 1<<62 // nothing is fast enough
	return c
}

const farApp = "far.example/team/app:latest"

// ranged counts the requests for parts of a blob.
func ranged(s *registrytest.Server, d string) int {
	n := 0
	for _, r := range s.Requests() {
		if v := r.Header.Get("Range"); strings.Contains(r.Path, d) && v != "" && !strings.HasSuffix(v, "-") {
			n++
		}
	}
	return n
}

func TestRangesOfOneLargeBlob(t *testing.T) {
	s, f, _ := setup(t, registrytest.Options{}, 1000, 1_000_001, 20_000)
	big := f.layers[1]
	m := newMemory()
	res, err := pullInto(t, far(t, s), mustRef(t, farApp), m, PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(m.blobs[big.Digest], f.store.blobs[big.Digest]) {
		t.Error("the blob is another")
	}
	if n := ranged(s, big.Digest.String()); n != 16 {
		t.Errorf("%d parts, want 16", n)
	}
	var sum int64
	for _, d := range append(f.layers, f.config, f.manifest, f.index) {
		sum += d.Size
	}
	if res.BytesFetched != sum {
		t.Errorf("fetched %d bytes, want %d: nothing twice", res.BytesFetched, sum)
	}
	// It goes on from a checkpoint too.
	s.Forget()
	m = newMemory()
	m.partial[big.Digest] = bytes.Clone(f.store.blobs[big.Digest][:500_000])
	if res, err = pullInto(t, far(t, s), mustRef(t, farApp), m, PullOptions{}); err != nil || res.BytesReused != 500_000 || ranged(s, big.Digest.String()) != 8 {
		t.Errorf("from a checkpoint: reused %d in %d parts, %v", res.BytesReused, ranged(s, big.Digest.String()), err)
	}
}

// TestRangesOfAFastRegistry: after a first part that was fast the rest comes over one connection.
func TestRangesOfAFastRegistry(t *testing.T) {
	s, f, _ := setup(t, registrytest.Options{}, 1000, 1_000_001, 20_000)
	big := f.layers[1]
	c, m := far(t, s), newMemory()
	c.rangeFast = 1
	retries := 0
	res, err := pullInto(t, c, mustRef(t, farApp), m, PullOptions{Events: func(e image.Event) {
		if e.Kind == image.EventRetry {
			retries++
		}
	}})
	if err != nil || retries > 0 || !bytes.Equal(m.blobs[big.Digest], f.store.blobs[big.Digest]) {
		t.Fatalf("%v, %d retries, or the blob is another", err, retries)
	}
	var got []string
	var sum int64
	for _, r := range s.Requests() {
		if strings.Contains(r.Path, big.Digest.String()) {
			got = append(got, r.Header.Get("Range"))
		}
	}
	for _, d := range append(f.layers, f.config, f.manifest, f.index) {
		sum += d.Size
	}
	if strings.Join(got, " ") != "bytes=0-63999 bytes=64000-" || res.BytesFetched != sum {
		t.Errorf("asked for %q, fetched %d bytes of %d", got, res.BytesFetched, sum)
	}
}

// TestRangesNotWorthIt: beside us, for blobs of a size, for one job.
func TestRangesNotWorthIt(t *testing.T) {
	s, _, ref := setup(t, registrytest.Options{}, 1000, 1_000_001, 20_000)
	near := newClient(t, Options{})
	near.rangeMin, near.rangeSize = 100_000, 64_000
	if _, err := pullInto(t, near, ref, newMemory(), PullOptions{}); err != nil || ranged(s, "") != 0 {
		t.Errorf("on loopback: %d parts, %v", ranged(s, ""), err)
	}
	if _, err := pullInto(t, far(t, s), mustRef(t, farApp), newMemory(), PullOptions{Jobs: 1}); err != nil || ranged(s, "") != 0 {
		t.Errorf("for one job: %d parts, %v", ranged(s, ""), err)
	}
	s, _, _ = setup(t, registrytest.Options{}, 300_000, 301_000, 20_000)
	if _, err := pullInto(t, far(t, s), mustRef(t, farApp), newMemory(), PullOptions{}); err != nil || ranged(s, "") != 0 {
		t.Errorf("for two blobs of a size: %d parts, %v", ranged(s, ""), err)
	}
}

// TestRangesFail: whatever is wrong with parts, one connection does the rest.
func TestRangesFail(t *testing.T) {
	for name, tt := range map[string]struct {
		fault registrytest.Fault
		skip  int
		times int
		want  error
	}{
		"ranges are ignored":     {registrytest.IgnoreRange(), 0, 0, nil},
		"ranges are wrong":       {registrytest.WrongRange(7), 0, 2, nil},
		"no Content-Range":       {registrytest.NoContentRange(), 0, 2, nil},
		"a part is cut":          {registrytest.Cut(5000), 5, 1, nil},
		"a part is refused":      {registrytest.Status(http.StatusServiceUnavailable), 6, 1, nil},
		"a part is limited":      {registrytest.Status(http.StatusTooManyRequests, "Retry-After", "1"), 3, 1, nil},
		"a part is wrong":        {registrytest.Flip(10), 4, 1, nil},
		"everything is wrong":    {registrytest.Flip(10), 0, 0, image.ErrDigestMismatch},
		"everything is refused":  {registrytest.Status(http.StatusNotFound), 0, 0, ErrNotFound},
		"ranges are not allowed": {onlyWithoutRange, 0, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, f, _ := setup(t, registrytest.Options{}, 1000, 1_000_001, 20_000)
			big := f.layers[1]
			s.Inject(registrytest.Rule{Method: "GET", Path: "/blobs/" + big.Digest.String(), Skip: tt.skip, Times: tt.times, Fault: tt.fault})
			m := newMemory()
			_, err := pullInto(t, far(t, s), mustRef(t, farApp), m, PullOptions{})
			if tt.want == nil && err != nil || !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err == nil && !bytes.Equal(m.blobs[big.Digest], f.store.blobs[big.Digest]) {
				t.Error("the blob is another")
			}
		})
	}
}

func onlyWithoutRange(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if r.Header.Get("Range") != "" {
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return
	}
	next.ServeHTTP(w, r)
}

// TestRangesCancelled: a pull that is broken off ends, and what came in order is kept.
func TestRangesCancelled(t *testing.T) {
	s, f, _ := setup(t, registrytest.Options{}, 1000, 1_000_001, 20_000)
	big := f.layers[1]
	s.Inject(registrytest.Rule{Method: "GET", Path: "/blobs/" + big.Digest.String(), Skip: 6, Fault: registrytest.Hang()})
	ctx, cancel := context.WithCancel(t.Context())
	m := newMemory()
	c := far(t, s)
	_, err := c.Pull(ctx, mustRef(t, farApp), m, PullOptions{Platform: testPlatform(), Events: func(e image.Event) {
		if e.Kind == image.EventStarted && e.Descriptor.Digest == big.Digest {
			go func() {
				for s.Count("GET", big.Digest.String()) < 7 && ctx.Err() == nil {
					time.Sleep(time.Millisecond)
				}
				cancel()
			}()
		}
	}})
	cancel()
	if !errors.Is(err, context.Canceled) || m.open != 0 {
		t.Errorf("got %v with %d open", err, m.open)
	}
	if got := m.partial[big.Digest]; len(got)%64_000 != 0 || !bytes.HasPrefix(f.store.blobs[big.Digest], got) {
		t.Errorf("%d bytes were kept", len(got))
	}
}
