package blackbox_test

import (
	"archive/tar"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	digest "github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// bad is an input that must be refused.
type bad struct {
	name    string
	entries []entry
	spoil   func(*testing.T, *faulty)
	unpack  bool // it is found out when it is unpacked, not when it is pulled
	status  int
	words   []string // of the message

	patience time.Duration // how long it may take; 0: patience
}

// hangPatience: the client waits for 30 s of silence, and tries again within two minutes.
const hangPatience = 170 * time.Second

// isBlob tells a request for a blob's contents.
func isBlob(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/")
}

func answer(status int, header ...string) func(*testing.T, *faulty) {
	return func(_ *testing.T, f *faulty) {
		f.before = func(w http.ResponseWriter, _ *http.Request) bool {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			return true
		}
	}
}

func badContent() []bad {
	return []bad{
		{name: "flipped byte in a layer", status: 6, words: []string{"digest"}, spoil: func(_ *testing.T, f *faulty) {
			b := append([]byte{}, f.layers[0]...)
			b[len(b)/2] ^= 1
			f.blobs[f.layer()] = b
		}},
		{name: "flipped byte in the config", status: 6, words: []string{"digest"}, spoil: func(_ *testing.T, f *faulty) {
			b := append([]byte{}, f.blobs[f.manifest.Config.Digest]...)
			b[len(b)/2] ^= 1
			f.blobs[f.manifest.Config.Digest] = b
		}},
		{name: "short body", status: 6, words: []string{"size"}, spoil: func(_ *testing.T, f *faulty) {
			f.blobs[f.layer()] = f.layers[0][:len(f.layers[0])-10]
		}},
		{name: "long body", status: 6, words: []string{"size"}, spoil: func(_ *testing.T, f *faulty) {
			f.blobs[f.layer()] = append(append([]byte{}, f.layers[0]...), "and more"...)
		}},
		{name: "endless config body", status: 6, words: []string{"size"}, spoil: func(_ *testing.T, f *faulty) {
			f.blobs[f.manifest.Config.Digest] = make([]byte, 256<<20)
		}},
		{name: "config of 1 GiB", status: 10, words: []string{"config"}, spoil: func(_ *testing.T, f *faulty) {
			f.manifest.Config.Size = 1 << 30
		}},
		{name: "wrong DiffID", unpack: true, status: 6, words: []string{"diffid"}, spoil: func(t *testing.T, f *faulty) {
			f.config.RootFS.DiffIDs[0] = digest.FromString("something else")
			f.seal(t)
		}},
		{name: "more DiffIDs than layers", status: 10, words: []string{"diff"}, spoil: func(t *testing.T, f *faulty) {
			f.config.RootFS.DiffIDs = append(f.config.RootFS.DiffIDs, digest.FromString("one more"))
			f.seal(t)
		}},
		{name: "wrong media type", status: 10, words: []string{"media type", "application/vnd.example.thing"}, spoil: func(_ *testing.T, f *faulty) {
			f.mediaType = "application/vnd.example.thing"
			f.manifest.MediaType = f.mediaType
		}},
		{name: "a page for a manifest", status: 10, spoil: func(_ *testing.T, f *faulty) {
			f.mediaType, f.raw = "text/html", []byte("<html><body>Please log in</body></html>")
		}},
		{name: "unknown algorithm", status: 10, words: []string{"algorithm", "blake3"}, spoil: func(_ *testing.T, f *faulty) {
			f.manifest.Layers[0].Digest = digest.Digest("blake3:" + f.layer().Encoded())
		}},
		{name: "digest with a path", status: 10, words: []string{"digest"}, spoil: func(_ *testing.T, f *faulty) {
			f.manifest.Layers[0].Digest = "sha256:../../../../outside"
		}},
		{name: "manifest nested too deep", status: 10, spoil: func(_ *testing.T, f *faulty) {
			f.raw = []byte(`{"schemaVersion":2,"x":` + strings.Repeat("[", 1<<20) + strings.Repeat("]", 1<<20) + "}")
		}},
		{name: "no such platform", status: 7, words: []string{"platform", "linux/amd64"}, spoil: func(_ *testing.T, f *faulty) {
			f.mediaType = ispec.MediaTypeImageIndex
			d := digest.FromString("manifest")
			f.raw = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":400,`+
				`"platform":{"os":"windows","architecture":"amd64"}},{"mediaType":%[2]q,"digest":%[3]q,"size":400,`+
				`"platform":{"os":"linux","architecture":"s390x"}}]}`, f.mediaType, ispec.MediaTypeImageManifest, d)
		}},
	}
}

func badLayers() []bad {
	dir := func(name string) entry { return entry{name: name, kind: tar.TypeDir} }
	file := func(name string) entry { return entry{name: name, kind: tar.TypeReg, body: "planted"} }
	link := func(name, to string) entry { return entry{name: name, link: to, kind: tar.TypeSymlink} }
	hard := func(name, to string) entry { return entry{name: name, link: to, kind: tar.TypeLink} }
	return []bad{
		{name: "file with ../", unpack: true, status: 10, words: []string{"../"}, entries: []entry{file("../outside/planted")}},
		{name: "file with ../ inside", unpack: true, status: 10, words: []string{".."}, entries: []entry{dir("a/"), file("a/../../outside/planted")}},
		{name: "symlinked parent that is a loop", unpack: true, status: 10, words: []string{"evil"}, entries: []entry{link("evil", "evil"), file("evil/planted")}},
		{name: "hard link to the outside", unpack: true, status: 10, words: []string{"evil"}, entries: []entry{hard("evil", "../outside/canary")}},
		{name: "whiteout with ../", unpack: true, status: 10, entries: []entry{file("../outside/.wh.canary")}},
		{name: "root replaced by a link", unpack: true, status: 10, entries: []entry{link("./", "OUTSIDE"), file("planted")}},
	}
}

func badHangs() []bad {
	hang := func(inBlob bool) func(*testing.T, *faulty) {
		return func(t *testing.T, f *faulty) {
			f.before = func(w http.ResponseWriter, r *http.Request) bool {
				if inBlob && (!isBlob(r) || !strings.HasSuffix(r.URL.Path, f.layer().Encoded())) {
					return false
				}
				if inBlob {
					w.Header().Set("Content-Length", fmt.Sprint(len(f.layers[0])))
					_, _ = w.Write(f.layers[0][:10])
					_ = http.NewResponseController(w).Flush()
				}
				select {
				case <-r.Context().Done():
				case <-t.Context().Done():
				}
				return true
			}
		}
	}
	return []bad{
		{name: "hangs", status: 8, words: []string{"timed out"}, spoil: hang(false), patience: hangPatience},
		{name: "hangs within a blob", status: 8, words: []string{"timed out"}, spoil: hang(true), patience: hangPatience},
	}
}

func badRegistries() []bad {
	return []bad{
		{name: "401 with Basic", status: 4, words: []string{"401"}, spoil: answer(401, "WWW-Authenticate", `Basic realm="r"`)},
		{name: "401 without a challenge", status: 4, words: []string{"401"}, spoil: answer(401)},
		{name: "403", status: 4, words: []string{"403"}, spoil: answer(403)},
		{name: "404", status: 3, words: []string{"faulty/image", "latest"}, spoil: answer(404)},
		{name: "429", status: 5, words: []string{"429"}, spoil: answer(429, "Retry-After", "1")},
		{name: "429 for an hour", status: 5, words: []string{"429"}, spoil: answer(429, "Retry-After", "3600")},
		{name: "500", status: 8, words: []string{"500"}, spoil: answer(500)},
		{name: "cuts every body off", status: 8, spoil: func(_ *testing.T, f *faulty) {
			f.before = func(w http.ResponseWriter, r *http.Request) bool {
				if !isBlob(r) || !strings.HasSuffix(r.URL.Path, f.layer().Encoded()) {
					return false
				}
				w.Header().Set("Content-Length", fmt.Sprint(len(f.layers[0])))
				_, _ = w.Write(f.layers[0][:20])
				panic(http.ErrAbortHandler)
			}
		}},
	}
}

// Every bad input gives a typed error: its own status, a message that says what is wrong and with
// what, a store that is still sound and nothing changed around it.
func TestBad_content(t *testing.T) { testBad(t, badContent()) }

// A layer that reaches out of the root file system is refused, and reaches nothing.
func TestBad_layers(t *testing.T) {
	needRoot(t)
	testBad(t, badLayers())
}

// A registry that refuses, fails or hangs gives the status of its kind within a bounded time.
func TestBad_registries(t *testing.T) { testBad(t, badRegistries()) }

// A registry that hangs is given up in the end. The cases run side by side, for they only wait.
func TestBad_hangs(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short: the waits take two minutes")
	}
	var wait sync.WaitGroup
	for _, c := range badHangs() {
		wait.Go(func() { c.try(t) })
	}
	wait.Wait()
}

func testBad(t *testing.T, cases []bad) {
	t.Parallel()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.try(t)
		})
	}
}

// canary makes a directory beside the store that nothing may touch.
func (s *sandbox) canary(t *testing.T) (outside string) {
	t.Helper()
	outside = filepath.Join(s.dir, "outside")
	check(t, os.Mkdir(outside, 0o755))
	check(t, os.WriteFile(filepath.Join(outside, "canary"), []byte("alive"), 0o600))
	return outside
}

// around describes what there is beside the store and the state.
func (s *sandbox) around(t *testing.T) map[string]string {
	t.Helper()
	all := tree(t, s.dir)
	for path := range all {
		if path == "" || strings.HasPrefix(path, "/store") || strings.HasPrefix(path, "/state") {
			delete(all, path)
		}
	}
	return all
}

// A symbolic link as a parent is nothing wrong in itself: layers write through /lib and /var/run. It
// is resolved inside the root file system, wherever it points, or refused; nothing outside changes.
func TestBad_symlinked_parent(t *testing.T) {
	t.Parallel()
	needRoot(t)
	for _, to := range []string{"/ABSOLUTE/outside", "../outside", "../../../../../../../../../../../../etc"} {
		s := newSandbox(t)
		s.canary(t)
		to = strings.Replace(to, "/ABSOLUTE", s.dir, 1)
		f := newFaulty(t, entry{name: "evil", link: to, kind: tar.TypeSymlink}, entry{name: "evil/planted-by-a-layer", kind: tar.TypeReg, body: "planted"})
		dir := filepath.Join(s.dir, "rootfs")
		before := s.around(t)
		r := s.run("unpack", f.ref(), dir)
		inside := 0
		after := s.around(t)
		for path := range after {
			if strings.HasPrefix(path, "/rootfs") {
				delete(after, path)
				if strings.HasSuffix(path, "/planted-by-a-layer") {
					inside++
				}
			}
		}
		same(t, "around the rootfs", after, before)
		if !(r.status == 10 && inside == 0 || r.status == 0 && inside == 1) {
			t.Errorf("a link to %s: %d files inside: %v", to, inside, r)
		}
		if _, err := os.Lstat("/etc/planted-by-a-layer"); err == nil {
			t.Error("the layer wrote to /etc of this machine")
		}
		s.clean(t)
	}
}

func (c bad) try(t *testing.T) {
	s := newSandbox(t)
	outside := s.canary(t)
	entries := slices.Clone(c.entries)
	for i := range entries {
		entries[i].link = strings.Replace(entries[i].link, "OUTSIDE", outside, 1)
	}
	f := newFaulty(t, entries...)
	if c.spoil != nil {
		c.spoil(t, f)
	}
	before := s.around(t)
	args := []string{"pull", f.ref()}
	if c.unpack {
		args = []string{"unpack", f.ref(), filepath.Join(s.dir, "rootfs")}
	}
	s.patience = c.patience
	s.fails(t, c.status, c.words, args...)
	if n := f.sent.Load(); n > 64<<20 {
		t.Errorf("it read %d bytes", n)
	}
	same(t, "around the store", s.around(t), before)
	if out := s.run("images"); strings.Contains(out.stdout, "faulty/image") && !c.unpack {
		t.Errorf("images lists what was refused:\n%s", out.stdout)
	}
	s.clean(t)
}

// A sound image of the same registry is pulled: the tests above fail for their reason alone. And a
// refused one does not stand in the way of a sound one.
func TestBad_then_good(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	f := newFaulty(t)
	b := append([]byte{}, f.layers[0]...)
	b[len(b)/2] ^= 1
	f.blobs[f.layer()] = b
	s.fails(t, 6, nil, "pull", f.ref())
	f.blobs[f.layer()] = f.layers[0]
	s.ok(t, "pull", f.ref())
	s.clean(t)
	if os.Geteuid() == 0 {
		s.ok(t, "unpack", f.ref(), filepath.Join(s.dir, "rootfs"))
	}
}
