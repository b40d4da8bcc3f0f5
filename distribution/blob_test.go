package distribution

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oci-pipeline/oci/distribution/registrytest"
	"github.com/oci-pipeline/oci/image"
)

func TestPullBlobLies(t *testing.T) {
	tests := []struct {
		name  string
		fault registrytest.Fault
		want  error
	}{
		{"H-70 flipped byte", registrytest.Flip(150_000), image.ErrDigestMismatch},
		{"H-70 first byte", registrytest.Flip(0), image.ErrDigestMismatch},
		{"H-70 short", registrytest.Short(1), image.ErrSizeMismatch},
		{"H-70 empty", registrytest.Short(1 << 30), image.ErrSizeMismatch},
		{"H-70 long", registrytest.Long(1), image.ErrSizeMismatch},
		{"H-70 endless", registrytest.Endless(), image.ErrSizeMismatch},
		{"H-81 gzip", registrytest.Gzip(), image.ErrSizeMismatch},
		{"DC-08 digest header", registrytest.Header("Docker-Content-Digest", "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"), image.ErrDigestMismatch},
		{"206 to no range", registrytest.WrongRange(0), ErrProtocol},
		{"404", registrytest.Status(404), ErrNotFound},
		{"403", registrytest.Status(403), ErrUnauthorized},
		{"500", registrytest.Status(500), ErrServer},
		{"429", registrytest.Status(429, "Retry-After", "3600"), ErrRateLimited},
		{"cut always at once", registrytest.Cut(0), ErrNetwork},
		{"cut always after a few", registrytest.Cut(100), ErrNetwork},
		{"dropped", registrytest.Drop(), ErrNetwork},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, f, ref := setup(t, registrytest.Options{})
			s.Inject(registrytest.Rule{Path: "/blobs/" + f.layers[1].Digest.String(), Fault: tt.fault})
			m := newMemory()
			_, err := pullInto(t, newClient(t, Options{}), ref, m, PullOptions{})
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if ok, _ := m.Has(t.Context(), f.layers[1]); ok {
				t.Error("the layer is in the sink")
			}
			if content := errors.Is(err, image.ErrDigestMismatch) || errors.Is(err, image.ErrSizeMismatch); content && len(m.partial[f.layers[1].Digest]) > 0 {
				t.Error("wrong bytes were kept for a later pull to go on with")
			}
			s.Heal()
			if _, err := pullInto(t, newClient(t, Options{}), ref, m, PullOptions{}); err != nil {
				t.Errorf("after the registry healed: %v", err)
			}
		})
	}
}

// TestDC10_resume: whatever a registry makes of ranges, a pull that is cut goes on and ends right.
func TestDC10_resume(t *testing.T) {
	ranges := map[string]registrytest.Fault{
		"as it should":           nil,
		"H-80 200 to a range":    registrytest.IgnoreRange(),
		"H-80 another range":     registrytest.WrongRange(7),
		"H-80 no Content-Range":  registrytest.NoContentRange(),
		"H-80 odd Content-Range": registrytest.Header("Content-Range", "bytes 5-1/3"),
		"H-80 416":               registrytest.Status(416),
		"H-80 501":               registrytest.Status(501),
		"no length":              registrytest.Unsized(),
		"503 once":               registrytest.Status(503),
		"cut again":              registrytest.Cut(70_000),
		"dropped":                registrytest.Drop(),
	}
	for name, fault := range ranges {
		t.Run(name, func(t *testing.T) {
			s, f, ref := setup(t, registrytest.Options{})
			layer := f.layers[1]
			s.Inject(registrytest.Rule{Path: layer.Digest.String(), Times: 1, Fault: registrytest.Cut(100_000)})
			if fault != nil {
				s.Inject(registrytest.Rule{Path: layer.Digest.String(), Times: 1, Fault: fault})
			}
			m := newMemory()
			var mu sync.Mutex
			retries := 0
			_, err := pullInto(t, newClient(t, Options{}), ref, m, PullOptions{Events: func(e image.Event) {
				mu.Lock()
				defer mu.Unlock()
				if e.Kind == image.EventRetry {
					retries++
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(m.blobs[layer.Digest], f.store.blobs[layer.Digest]) {
				t.Error("the layer is not what it should be")
			}
			if retries == 0 {
				t.Error("no event tells of the retry")
			}
			var asked []string
			for _, r := range s.Requests() {
				if strings.Contains(r.Path, layer.Digest.String()) && r.Header.Get("Range") != "" {
					asked = append(asked, r.Header.Get("Range"))
				}
			}
			if len(asked) == 0 || asked[0] != "bytes=100000-" {
				t.Errorf("ranges asked for: %q", asked)
			}
		})
	}
}

func TestDC10_resume_in_a_later_process(t *testing.T) {
	s, f, ref := setup(t, registrytest.Options{})
	layer := f.layers[1]
	s.Inject(registrytest.Rule{Path: layer.Digest.String(), Times: 1, Fault: registrytest.Cut(200_000)},
		registrytest.Rule{Path: layer.Digest.String(), Fault: registrytest.Drop()})
	m := newMemory()
	if _, err := pullInto(t, newClient(t, Options{}), ref, m, PullOptions{}); !errors.Is(err, ErrNetwork) {
		t.Fatalf("got %v, want ErrNetwork", err)
	}
	if n := len(m.partial[layer.Digest]); n != 200_000 {
		t.Fatalf("kept %d bytes, want 200000", n)
	}
	s.Heal()
	s.Forget()
	res, err := pullInto(t, newClient(t, Options{}), ref, m, PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range s.Requests() {
		if strings.Contains(r.Path, layer.Digest.String()) && r.Header.Get("Range") != "bytes=200000-" {
			t.Errorf("asked for %q, want the rest only", r.Header.Get("Range"))
		}
	}
	if res.BytesFetched > layer.Size-200_000+f.layers[0].Size+f.layers[2].Size+f.config.Size {
		t.Errorf("fetched %d bytes again", res.BytesFetched)
	}

	// Everything is there, only the commit is missing.
	delete(m.blobs, layer.Digest)
	m.partial[layer.Digest] = bytes.Clone(f.store.blobs[layer.Digest])
	s.Forget()
	if _, err := pullInto(t, newClient(t, Options{}), ref, m, PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := s.Count("", "/blobs/"); n != 0 {
		t.Errorf("%d blobs were asked for, none is missing", n)
	}
}

func TestH83_wrong_checkpoint_is_discarded_once(t *testing.T) {
	s, f, ref := setup(t, registrytest.Options{})
	layer := f.layers[1]
	for name, partial := range map[string][]byte{
		"other bytes":  make([]byte, 1000),
		"of full size": make([]byte, layer.Size),
		"longer":       make([]byte, layer.Size+1),
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			m.partial[layer.Digest] = partial
			if _, err := pullInto(t, newClient(t, Options{}), ref, m, PullOptions{}); err != nil {
				t.Errorf("a stale checkpoint must not stop a pull: %v", err)
			}
		})
	}
	m := newMemory()
	m.partial[layer.Digest] = make([]byte, 1000)
	s.Forget()
	s.Inject(registrytest.Rule{Path: layer.Digest.String(), Fault: registrytest.Flip(5)})
	if _, err := pullInto(t, newClient(t, Options{}), ref, m, PullOptions{}); !errors.Is(err, image.ErrDigestMismatch) {
		t.Errorf("got %v", err)
	}
	if n := s.Count(http.MethodGet, layer.Digest.String()); n != 2 {
		t.Errorf("fetched %d times, want 2: the checkpoint and once from the start", n)
	}
}

func TestH80_signed_url_expires(t *testing.T) {
	s, f, ref := setup(t, registrytest.Options{})
	layer := f.layers[1]
	raw := f.store.blobs[layer.Digest]
	n := 0
	cdn := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n++; n {
		case 1:
			w.Header().Set("Content-Length", fmt.Sprint(len(raw)))
			_, _ = w.Write(raw[:100_000])
		case 2:
			w.WriteHeader(http.StatusForbidden)
		default:
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(raw))
		}
	}))
	defer cdn.Close()
	s.Inject(registrytest.Rule{Path: layer.Digest.String(), Fault: registrytest.Redirect(cdn.URL)})
	if _, err := pullInto(t, newClient(t, Options{}), ref, newMemory(), PullOptions{Jobs: 1}); err != nil {
		t.Errorf("got %v; a signed URL that ran out is asked for anew", err)
	}
}

func TestBlobReader(t *testing.T) {
	s, f, ref := setup(t, registrytest.Options{})
	c := newClient(t, Options{})
	layer := f.layers[1]
	raw := f.store.blobs[layer.Digest]
	for _, off := range []int64{0, 1, layer.Size - 1, layer.Size} {
		r, err := c.Blob(t.Context(), ref, layer, off)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, raw[off:]) {
			t.Errorf("offset %d: got %d bytes, %v", off, len(got), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if _, err := r.Read(make([]byte, 1)); err == nil {
			t.Error("a closed blob can be read")
		}
	}
	for _, off := range []int64{-1, layer.Size + 1} {
		if _, err := c.Blob(t.Context(), ref, layer, off); !errors.Is(err, image.ErrSizeMismatch) {
			t.Errorf("offset %d: got %v", off, err)
		}
	}
	empty := f.layers[0]
	empty.Digest, empty.Size = "sha256:../../x", 5
	if _, err := c.Blob(t.Context(), ref, empty, 0); !errors.Is(err, image.ErrDigestInvalid) {
		t.Errorf("H-72: got %v", err)
	}
	s.Inject(registrytest.Rule{Fault: registrytest.Status(404)})
	if _, err := c.Blob(t.Context(), ref, layer, 0); !errors.Is(err, ErrNotFound) {
		t.Errorf("404: got %v", err)
	}
}

// inMemory runs f in a bubble where waiting takes no time, with a registry on pipes.
func inMemory(t *testing.T, o Options, f func(t *testing.T, s *registrytest.Server, c *Client, fx *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, shut := registrytest.NewInMemory(t, registrytest.Options{})
		fx := newFixture(t)
		fx.fill(t, s.Backend, "team/app")
		o.Dial = s.Dial
		c, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		f(t, s, c, fx)
		_ = c.Close()
		shut()
	})
}

func TestH82_hang_is_a_timeout(t *testing.T) {
	for name, fault := range map[string]registrytest.Fault{"no answer": registrytest.Hang(), "stalled body": registrytest.Stall(100)} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, Options{}, func(t *testing.T, s *registrytest.Server, c *Client, f *fixture) {
				ref := mustRef(t, s.Host+"/team/app:latest")
				s.Inject(registrytest.Rule{Path: f.layers[1].Digest.String(), Fault: fault})
				began := time.Now()
				_, err := c.Pull(t.Context(), ref, newMemory(), PullOptions{Platform: testPlatform()})
				if !errors.Is(err, ErrTimeout) {
					t.Errorf("got %v, want ErrTimeout", err)
				}
				if d := time.Since(began); d < 30*time.Second || d > 5*time.Minute {
					t.Errorf("gave up after %s", d)
				}
			})
		})
	}
}

func TestH82_stalled_body_is_resumed(t *testing.T) {
	inMemory(t, Options{}, func(t *testing.T, s *registrytest.Server, c *Client, f *fixture) {
		ref := mustRef(t, s.Host+"/team/app:latest")
		s.Inject(registrytest.Rule{Path: f.layers[1].Digest.String(), Times: 1, Fault: registrytest.Stall(100_000)})
		began := time.Now()
		if _, err := c.Pull(t.Context(), ref, newMemory(), PullOptions{Platform: testPlatform()}); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d < 30*time.Second || d > 31*time.Second {
			t.Errorf("took %s, want the idle timeout and one short wait", d)
		}
	})
}

func TestSlowBodyIsNoTimeout(t *testing.T) {
	inMemory(t, Options{}, func(t *testing.T, s *registrytest.Server, c *Client, f *fixture) {
		ref := mustRef(t, s.Host+"/team/app:latest")
		s.Inject(registrytest.Rule{Path: f.layers[1].Digest.String(), Fault: registrytest.Slow(20, 20*time.Second)})
		if _, err := c.Pull(t.Context(), ref, newMemory(), PullOptions{Platform: testPlatform()}); err != nil {
			t.Error(err)
		}
		if n := s.Count(http.MethodGet, f.layers[1].Digest.String()); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestDC57_retry_after(t *testing.T) {
	for name, value := range map[string]func() string{
		"seconds": func() string { return "42" },
		"date":    func() string { return time.Now().Add(42 * time.Second).UTC().Format(http.TimeFormat) },
	} {
		for _, status := range []int{429, 503} {
			t.Run(fmt.Sprintf("%s %d", name, status), func(t *testing.T) {
				inMemory(t, Options{}, func(t *testing.T, s *registrytest.Server, c *Client, f *fixture) {
					ref := mustRef(t, s.Host+"/team/app:latest")
					s.Inject(registrytest.Rule{Path: "/manifests/latest", Times: 1, Fault: registrytest.Status(status, "Retry-After", value())})
					began := time.Now()
					if _, err := c.Resolve(t.Context(), ref); err != nil {
						t.Fatal(err)
					}
					if d := time.Since(began); d < 41*time.Second || d > 43*time.Second {
						t.Errorf("waited %s, want 42 s", d)
					}
				})
			})
		}
	}
}

func TestDC57_retry_after_is_for_the_host(t *testing.T) {
	inMemory(t, Options{}, func(t *testing.T, s *registrytest.Server, c *Client, f *fixture) {
		ref := mustRef(t, s.Host+"/team/app:latest")
		s.Inject(registrytest.Rule{Path: f.layers[1].Digest.String(), Times: 1, Fault: registrytest.Status(429, "Retry-After", "60")})
		var wg sync.WaitGroup
		wg.Go(func() {
			r, err := c.Blob(t.Context(), ref, f.layers[1], 0)
			if err != nil {
				t.Error(err)
				return
			}
			_ = r.Close()
		})
		time.Sleep(time.Second) // by now the registry has refused the other
		began := time.Now()
		if _, err := c.Resolve(t.Context(), ref); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d < 55*time.Second {
			t.Errorf("another request went out after %s", d)
		}
		wg.Wait()
	})
}

func TestDC57_retry_after_is_bounded(t *testing.T) {
	inMemory(t, Options{}, func(t *testing.T, s *registrytest.Server, c *Client, f *fixture) {
		ref := mustRef(t, s.Host+"/team/app:latest")
		s.Inject(registrytest.Rule{Path: "/manifests/", Fault: registrytest.Status(429, "Retry-After", "999999999999")},
			registrytest.Rule{Path: "/manifests/", Fault: registrytest.Status(429, "Retry-After", "7200")})
		began := time.Now()
		_, err := c.Resolve(t.Context(), ref)
		if !errors.Is(err, ErrRateLimited) {
			t.Errorf("got %v, want ErrRateLimited", err)
		}
		if d := time.Since(began); d > 2*time.Minute {
			t.Errorf("waited %s", d)
		}
		s.Heal()
		s.Inject(registrytest.Rule{Path: "/manifests/", Fault: registrytest.Status(429, "Retry-After", "7200")})
		began = time.Now()
		_, err = c.Resolve(t.Context(), ref)
		if !errors.Is(err, ErrRateLimited) || !strings.Contains(err.Error(), "2h0m0s") {
			t.Errorf("got %v, want ErrRateLimited that tells when to come back", err)
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("waited %s for what cannot come in time", d)
		}
	})
}

func TestCancelledPullKeepsWhatCame(t *testing.T) {
	inMemory(t, Options{}, func(t *testing.T, s *registrytest.Server, c *Client, f *fixture) {
		ref := mustRef(t, s.Host+"/team/app:latest")
		s.Inject(registrytest.Rule{Path: f.layers[1].Digest.String(), Fault: registrytest.Stall(100_000)})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		m := newMemory()
		_, err := c.Pull(ctx, ref, m, PullOptions{Platform: testPlatform()})
		if !errors.Is(err, ctx.Err()) || ctx.Err() == nil {
			t.Errorf("got %v, want %v", err, ctx.Err())
		}
		if n := len(m.partial[f.layers[1].Digest]); n != 100_000 {
			t.Errorf("kept %d bytes, want 100000", n)
		}
	})
}
