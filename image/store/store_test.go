package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store/storetest"
)

// contract gives a Store the shape that storetest wants.
type contract struct{ *Store }

func (c contract) Ingest(ctx context.Context, d ispec.Descriptor) (storetest.Ingest, error) {
	in, err := c.Store.Ingest(ctx, d)
	if err != nil {
		return nil, err
	}
	return in, nil
}

func open(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) func() storetest.Store {
		dir := t.TempDir()
		return func() storetest.Store { return contract{open(t, dir, Options{})} }
	}, ErrNotFound)
}

// put puts content into the store and gives its descriptor.
func put(t testing.TB, s *Store, mediaType, content string) ispec.Descriptor {
	t.Helper()
	d := ispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(content), Size: int64(len(content))}
	in, err := s.Ingest(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if in.Offset() == 0 {
		if _, err := io.WriteString(in, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := in.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

// putImage puts a small image, which differs by name, into the store.
func putImage(t testing.TB, s *Store, name string, p ispec.Platform) ispec.Descriptor {
	t.Helper()
	layer := put(t, s, ispec.MediaTypeImageLayer, "layer of "+name)
	config := put(t, s, ispec.MediaTypeImageConfig, fmt.Sprintf(`{"architecture":%q,"os":%q,"rootfs":{"type":"layers","diff_ids":[%q]}}`, p.Architecture, p.OS, layer.Digest))
	return put(t, s, ispec.MediaTypeImageManifest, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		ispec.MediaTypeImageManifest, config.MediaType, config.Digest, config.Size, layer.MediaType, layer.Digest, layer.Size))
}

var linuxAMD64 = ispec.Platform{OS: "linux", Architecture: "amd64"}

func blobFile(s *Store, d digest.Digest) string {
	return filepath.Join(s.Root(), "blobs", d.Algorithm().String(), d.Encoded())
}

func mustCheck(t *testing.T, s *Store) Report {
	t.Helper()
	r, err := s.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() {
		t.Fatalf("problems: %v", r.Problems)
	}
	return r
}

func TestOpen_IS_L1_is_a_layout(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "store")
	if _, err := Open(t.Context(), dir, Options{ReadOnly: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading an absent store: %v", err)
	}
	s := open(t, dir, Options{})
	for name, want := range map[string]string{"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "index.json": `{"manifests":[],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}`} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("CVE-2021-41103: the store is open to others: %v, %v", info.Mode(), err)
	}
	mustCheck(t, s)
	mustCheck(t, open(t, dir, Options{ReadOnly: true}))
}

func TestOpen_refuses(t *testing.T) {
	foreign := t.TempDir()
	write(t, filepath.Join(foreign, "thesis.tex"), "x")
	future := t.TempDir()
	write(t, filepath.Join(future, "oci-layout"), `{"imageLayoutVersion":"9.0.0"}`)
	linked := t.TempDir()
	if err := os.Symlink(filepath.Join(future, "oci-layout"), filepath.Join(linked, "oci-layout")); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]error{foreign: ErrNotStore, future: ErrNotStore, linked: ErrNotRegular} {
		if s, err := Open(t.Context(), dir, Options{}); !errors.Is(err, want) {
			t.Errorf("%v, %v, want %v", s, err, want)
		}
	}
	if list, err := os.ReadDir(foreign); err != nil || len(list) != 1 {
		t.Errorf("a foreign directory was changed: %v, %v", list, err)
	}
}

func write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// An Open that was killed leaves parts, and the next one completes them.
func TestOpen_completes_what_was_begun(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "index.lock"), "")
	write(t, filepath.Join(dir, "oci-layout.new"), `{"imageL`)
	write(t, filepath.Join(dir, "index.json.new"), `{`)
	mustCheck(t, open(t, dir, Options{}))
}

// Who only reads makes no store, and takes none that lost its marker, or something else, for an empty one.
func TestOpen_existing(t *testing.T) {
	empty, foreign, lost, half := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	write(t, filepath.Join(foreign, "thesis.tex"), "x")
	s := open(t, lost, Options{})
	put(t, s, ispec.MediaTypeImageLayer, "x")
	if err := os.Remove(filepath.Join(lost, "oci-layout")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(half, "index.json"), `{"manifests":[],"schemaVersion":2}`)
	for dir, want := range map[string]error{empty: fs.ErrNotExist, empty + "/absent": fs.ErrNotExist, half: fs.ErrNotExist, foreign: ErrNotStore, lost: ErrIncomplete} {
		for _, o := range []Options{{ReadOnly: true}, {Existing: true}} {
			if s, err := Open(t.Context(), dir, o); !errors.Is(err, want) || want != fs.ErrNotExist && errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%+v: %v, %v, want %v", o, s, err, want)
			}
		}
	}
	if list, err := os.ReadDir(empty); err != nil || len(list) != 0 {
		t.Errorf("made %v, %v", list, err)
	}
	mustCheck(t, open(t, lost, Options{})) // who writes mends it
	mustCheck(t, open(t, lost, Options{Existing: true}))
}

func TestDelete(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	d := putImage(t, s, "one", linuxAMD64)
	if err := s.Tag(t.Context(), "one", d); err != nil {
		t.Fatal(err)
	}
	loose := put(t, s, ispec.MediaTypeImageLayer, "loose")
	layer := digest.FromString("layer of one")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	hold, err := s.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, loose.Digest); !errors.Is(err, ErrBusy) {
		t.Errorf("under a hold: %v", err)
	}
	hold.Release()
	for _, c := range []struct {
		d    digest.Digest
		want error
	}{{layer, ErrInUse}, {d.Digest, ErrInUse}, {loose.Digest, nil}, {loose.Digest, ErrNotFound}, {"sha256:x", image.ErrDigestInvalid}} {
		if err := s.Delete(t.Context(), c.d); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.d, err, c.want)
		}
	}
	if err := s.Untag(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), layer); err != nil {
		t.Error(err)
	}
}

func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	d := putImage(t, open(t, dir, Options{}), "x", linuxAMD64)
	s := open(t, dir, Options{ReadOnly: true})
	if _, err := s.ReadBlob(t.Context(), d, 1000); err != nil {
		t.Error(err)
	}
	_, errIngest := s.Ingest(t.Context(), d)
	_, errPrune := s.Prune(t.Context(), PruneOptions{})
	for _, err := range []error{errIngest, errPrune, s.Tag(t.Context(), "x", d), s.Untag(t.Context(), "x"), s.Discard(t.Context(), d.Digest)} {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("%v, want ErrReadOnly", err)
		}
	}
}

func TestImage(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	ctx := t.Context()
	arm := ispec.Platform{OS: "linux", Architecture: "arm64"}
	amdDesc, armDesc := putImage(t, s, "amd", linuxAMD64), putImage(t, s, "arm", arm)
	entry := func(d ispec.Descriptor, platform string) string {
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d%s}`, d.MediaType, d.Digest, d.Size, platform)
	}
	index := func(entries ...string) ispec.Descriptor {
		return put(t, s, ispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[`+strings.Join(entries, ",")+`]}`)
	}
	named := index(entry(armDesc, `,"platform":{"os":"linux","architecture":"arm64"}`), entry(amdDesc, `,"platform":{"os":"linux","architecture":"amd64"}`))
	bare := index(entry(armDesc, ""), entry(amdDesc, ""))
	nested := index(entry(bare, ""))
	if _, err := s.Image(ctx, index(entry(armDesc, ""), entry(armDesc, "")), linuxAMD64); !errors.Is(err, image.ErrNoPlatform) {
		t.Errorf("a manifest that is listed twice: %v", err)
	}
	for name, root := range map[string]ispec.Descriptor{"named": named, "without platforms": bare, "nested": nested} {
		for p, want := range map[string]digest.Digest{"linux/amd64": amdDesc.Digest, "linux/arm64": armDesc.Digest} {
			platform, err := image.ParsePlatform(p)
			if err != nil {
				t.Fatal(err)
			}
			img, err := s.Image(ctx, root, platform)
			if err != nil || img.Descriptor().Digest != want {
				t.Errorf("%s, %s: %v, %v", name, p, img.Descriptor().Digest, err)
			}
		}
		if _, err := s.Image(ctx, root, ispec.Platform{OS: "plan9", Architecture: "386"}); !errors.Is(err, image.ErrNoPlatform) {
			t.Errorf("%s: %v, want ErrNoPlatform", name, err)
		}
	}
	if _, err := s.Image(ctx, armDesc, ispec.Platform{}); err != nil {
		t.Errorf("a manifest that is named directly: %v", err)
	}
	if _, err := s.Image(ctx, armDesc, linuxAMD64); !errors.Is(err, image.ErrNoPlatform) {
		t.Errorf("a manifest for another platform: %v", err)
	}
	deep := named
	for range image.MaxIndexDepth + 1 {
		deep = index(entry(deep, ""))
	}
	if _, err := s.Image(ctx, deep, linuxAMD64); !errors.Is(err, image.ErrMalformed) {
		t.Errorf("deep indexes: %v", err)
	}
}

// A config that claims 1 GiB is refused before anything is read or allocated for it.
func TestImage_H76_huge_config(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	config := digest.FromString("config")
	m := put(t, s, ispec.MediaTypeImageManifest, fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[]}`, ispec.MediaTypeImageConfig, config, 1<<30))
	if err := os.WriteFile(blobFile(s, config), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(blobFile(s, config), 1<<30); err != nil {
		t.Fatal(err)
	}
	allocated := testing.AllocsPerRun(1, func() {
		if _, err := s.Image(t.Context(), m, ispec.Platform{}); !errors.Is(err, image.ErrTooLarge) {
			t.Errorf("%v, want ErrTooLarge", err)
		}
	})
	if allocated > 1000 {
		t.Errorf("%v allocations", allocated)
	}
}

// TestProved: a Store vouches for what came through itself alone, and only for what was right.
func TestProved(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	d := put(t, s, ispec.MediaTypeImageLayer, "content")
	longer := d
	longer.Size++
	if !s.Proved(d) || s.Proved(longer) {
		t.Errorf("proved %v, with another size %v", s.Proved(d), s.Proved(longer))
	}
	if open(t, dir, Options{}).Proved(d) {
		t.Error("proved by a Store that did not bring it in")
	}
	bad := ispec.Descriptor{MediaType: ispec.MediaTypeImageLayer, Digest: digest.FromString("this"), Size: 4}
	in, err := s.Ingest(t.Context(), bad)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("that")); err != nil {
		t.Fatal(err)
	}
	if err := in.Commit(t.Context()); !errors.Is(err, image.ErrDigestMismatch) || s.Proved(bad) {
		t.Errorf("%v, proved %v", err, s.Proved(bad))
	}
}
