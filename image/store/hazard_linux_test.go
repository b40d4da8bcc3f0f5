package store

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store/storetest"
)

// A blob that is no regular file is an error: it is not followed, not waited for, and not replaced.
func TestH73_blob_is_no_file(t *testing.T) {
	for kind, plant := range map[string]func(name string) error{
		"link to a file with the content": func(name string) error { return os.Symlink("../../elsewhere", name) },
		"dangling link":                   func(name string) error { return os.Symlink("/nowhere", name) },
		"directory":                       func(name string) error { return os.Mkdir(name, 0o755) },
		"fifo":                            func(name string) error { return unix.Mkfifo(name, 0o644) },
	} {
		t.Run(kind, func(t *testing.T) {
			s := open(t, t.TempDir(), Options{})
			put(t, s, "a/b", "first") // makes blobs/sha256
			d := storetest.Describe("content")
			write(t, filepath.Join(s.Root(), "elsewhere"), "content")
			if err := plant(blobFile(s, d.Digest)); err != nil {
				t.Fatal(err)
			}
			_, errHas := s.Has(t.Context(), d)
			_, errOpen := s.Open(t.Context(), d)
			_, errRead := s.ReadBlob(t.Context(), d, 100)
			_, errIngest := s.Ingest(t.Context(), d)
			for _, err := range []error{errHas, errOpen, errRead, errIngest} {
				if !errors.Is(err, ErrNotRegular) {
					t.Errorf("%v, want ErrNotRegular", err)
				}
			}
			if r, err := s.Check(t.Context()); err != nil || len(r.Problems) != 1 || !errors.Is(r.Problems[0].Err, ErrNotRegular) {
				t.Errorf("Check: %v, %v", r.Problems, err)
			}
		})
	}
}

func TestH73_linked_directories(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	outside := t.TempDir()
	d := storetest.Describe("content")
	if err := os.Symlink(outside, filepath.Join(s.Root(), "blobs", "sha256")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(outside, d.Digest.Encoded()), "content")
	if _, err := s.Open(t.Context(), d); !errors.Is(err, ErrNotRegular) {
		t.Errorf("%v, want ErrNotRegular", err)
	}
	if err := os.Remove(filepath.Join(s.Root(), "ingest")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(s.Root(), "ingest")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Ingest(t.Context(), storetest.Describe("other")); err == nil {
		t.Error("ingest writes through a link")
	}
	if list, err := os.ReadDir(outside); err != nil || len(list) != 1 {
		t.Errorf("outside: %v, %v", list, err)
	}
}

// A blob of the wrong size is not trusted, and replaced by the next ingest.
func TestH74_wrong_size_is_replaced(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	d := put(t, s, "a/b", "content")
	for _, damaged := range []string{"", "cont", "content and more"} {
		write(t, blobFile(s, d.Digest), damaged)
		if ok, err := s.Has(t.Context(), d); ok || err != nil {
			t.Errorf("%q: %v, %v", damaged, ok, err)
		}
		if _, err := s.Open(t.Context(), d); !errors.Is(err, image.ErrSizeMismatch) {
			t.Errorf("%q: %v, want ErrSizeMismatch", damaged, err)
		}
		put(t, s, "a/b", "content")
		mustCheck(t, s)
	}
}

func TestH70_flipped_byte_at_rest(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	d := put(t, s, "a/b", "content")
	write(t, blobFile(s, d.Digest), "c0ntent")
	if _, err := s.ReadBlob(t.Context(), d, 100); !errors.Is(err, image.ErrDigestMismatch) {
		t.Errorf("%v, want ErrDigestMismatch", err)
	}
	r, err := s.Check(t.Context())
	if err != nil || len(r.Problems) != 1 || !errors.Is(r.Problems[0].Err, image.ErrDigestMismatch) {
		t.Errorf("%v, %v", r.Problems, err)
	}
	if err := s.Discard(t.Context(), d.Digest); err != nil {
		t.Error(err)
	}
	if err := s.Discard(t.Context(), d.Digest); err != nil {
		t.Errorf("discard of what is absent: %v", err)
	}
	put(t, s, "a/b", "content")
	mustCheck(t, s)
}

// begin starts an ingest and leaves it with some bytes, as a killed process does: no Close.
func begin(t *testing.T, s *Store, d ispec.Descriptor, content string) {
	t.Helper()
	in, err := s.Ingest(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, content); err != nil {
		t.Fatal(err)
	}
	in.f.Close() // the kernel does no more when a process dies
	in.hold.Release()
}

func TestH83_resume(t *testing.T) {
	content := strings.Repeat("0123456789", 100)
	d := storetest.Describe(content)
	wide := d
	wide.Digest = digest.SHA512.FromString(content)
	name := func(d ispec.Descriptor) string {
		return "ingest/" + d.Digest.Algorithm().String() + "-" + d.Digest.Encoded()
	}
	for what, c := range map[string]struct {
		d      ispec.Descriptor
		damage func(t *testing.T, s *Store)
		offset int64
		want   error
	}{
		"as it was":         {d, func(*testing.T, *Store) {}, 500, nil},
		"sha512":            {wide, func(*testing.T, *Store) {}, 500, nil},
		"no checkpoint":     {d, func(t *testing.T, s *Store) { remove(t, s, name(d)+".json") }, 500, nil},
		"broken checkpoint": {d, func(t *testing.T, s *Store) { write(t, filepath.Join(s.Root(), name(d)+".json"), "{") }, 500, nil},
		"huge checkpoint": {d, func(t *testing.T, s *Store) {
			write(t, filepath.Join(s.Root(), name(d)+".json"), strings.Repeat("x", 1<<20))
		}, 500, nil},
		"checkpoint is a link": {d, func(t *testing.T, s *Store) {
			remove(t, s, name(d)+".json")
			if err := os.Symlink("/etc/passwd", filepath.Join(s.Root(), name(d)+".json")); err != nil {
				t.Fatal(err)
			}
		}, 500, nil},
		"checkpoint of another": {d, func(t *testing.T, s *Store) {
			begin(t, s, wide, content[:500])
			raw, err := os.ReadFile(filepath.Join(s.Root(), name(wide)+".json"))
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(s.Root(), name(d)+".json"), string(raw))
		}, 500, nil},
		"file behind checkpoint": {d, func(t *testing.T, s *Store) { truncate(t, s, name(d), 100) }, 100, nil},
		"file lost":              {d, func(t *testing.T, s *Store) { remove(t, s, name(d)) }, 0, nil},
		"file too long":          {d, func(t *testing.T, s *Store) { truncate(t, s, name(d), 2000) }, 0, nil},
		"another boot, bytes lost": {d, func(t *testing.T, s *Store) {
			truncate(t, s, name(d), 0)
			truncate(t, s, name(d), 500)
			s.boot = func() string { return "another" }
		}, 500, image.ErrDigestMismatch},
		"another boot": {d, func(_ *testing.T, s *Store) { s.boot = func() string { return "another" } }, 500, nil},
	} {
		t.Run(what, func(t *testing.T) {
			s := open(t, t.TempDir(), Options{Checkpoint: 128})
			begin(t, s, c.d, content[:500])
			c.damage(t, s)
			in, err := s.Ingest(t.Context(), c.d)
			if err != nil {
				t.Fatal(err)
			}
			if in.Offset() != c.offset || in.Resumed() != (c.offset > 0) {
				t.Errorf("resumed %v at %d, want %d", in.Resumed(), in.Offset(), c.offset)
			}
			if _, err := io.WriteString(in, content[in.Offset():]); err != nil {
				t.Fatal(err)
			}
			if err := in.Commit(t.Context()); !errors.Is(err, c.want) || err != nil && c.want == nil {
				t.Errorf("%v, want %v", err, c.want)
			}
			if c.want != nil { // what was wrong is gone, and once more is right
				if d := put(t, s, "a/b", content); d.Digest != c.d.Digest {
					t.Fatal(d)
				}
			}
			if list, err := os.ReadDir(filepath.Join(s.Root(), "ingest")); what != "checkpoint of another" && (err != nil || len(list) != 0) {
				t.Errorf("left behind: %v, %v", list, err)
			}
			mustCheck(t, s)
		})
	}
}

func remove(t *testing.T, s *Store, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(s.Root(), name)); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, s *Store, name string, size int64) {
	t.Helper()
	if err := os.Truncate(filepath.Join(s.Root(), name), size); err != nil {
		t.Fatal(err)
	}
}

// A disk that is full is an error that says so, and what is there stays valid.
func TestH48_no_space(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	d := storetest.Describe("content")
	in, err := s.Ingest(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full on this system")
	}
	defer full.Close()
	file := in.f
	in.f = full
	_, err = io.WriteString(in, "content")
	in.f = file
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("%v, want ENOSPC", err)
	}
	if err := in.Commit(t.Context()); !errors.Is(err, image.ErrSizeMismatch) {
		t.Errorf("commit of what could not be written: %v", err)
	}
	mustCheck(t, s)
}

func TestCheck_finds(t *testing.T) {
	for what, c := range map[string]struct {
		damage func(t *testing.T, s *Store, d ispec.Descriptor)
		want   error
	}{
		"IS_L1_marker": {func(t *testing.T, s *Store, _ ispec.Descriptor) {
			write(t, filepath.Join(s.Root(), "oci-layout"), "{}")
		}, ErrNotStore},
		"IS_L1_no_index": {func(t *testing.T, s *Store, _ ispec.Descriptor) { remove(t, s, "index.json") }, os.ErrNotExist},
		"IS_L1_bad_index": {func(t *testing.T, s *Store, _ ispec.Descriptor) {
			write(t, filepath.Join(s.Root(), "index.json"), "[]")
		}, image.ErrMalformed},
		"IS_L2_name": {func(t *testing.T, s *Store, _ ispec.Descriptor) {
			write(t, filepath.Join(s.Root(), "blobs/sha256/x"), "x")
		}, image.ErrDigestInvalid},
		"IS_L2_stray_file": {func(t *testing.T, s *Store, _ ispec.Descriptor) { write(t, filepath.Join(s.Root(), "blobs/x"), "x") }, image.ErrDigestInvalid},
		"name_of_nothing":  {func(t *testing.T, s *Store, d ispec.Descriptor) { os.Remove(blobFile(s, d.Digest)) }, ErrNotFound},
		"layer_gone": {func(t *testing.T, s *Store, _ ispec.Descriptor) {
			os.Remove(blobFile(s, digest.FromString("layer of x")))
		}, ErrNotFound},
	} {
		t.Run(what, func(t *testing.T) {
			s := open(t, t.TempDir(), Options{})
			d := putImage(t, s, "x", linuxAMD64)
			if err := s.Tag(t.Context(), "x", d); err != nil {
				t.Fatal(err)
			}
			mustCheck(t, s)
			c.damage(t, s, d)
			r, err := s.Check(t.Context())
			if err != nil || len(r.Problems) != 1 || !errors.Is(r.Problems[0].Err, c.want) {
				t.Errorf("%v, %v, want %v", r.Problems, err, c.want)
			}
		})
	}
}

func TestCheck_notes(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	begin(t, s, storetest.Describe("unfinished"), "unf")
	layer := digest.FromString("x")
	for _, dir := range []string{"blobs/blake3", "layers/sha256/" + layer.Encoded(), "layers/sha256/odd", "layers/staging/sha256-1", "layers/locks", "layers/chains/x"} {
		if err := os.MkdirAll(filepath.Join(s.Root(), dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(s.Root(), "layers/sha256", layer.Encoded(), "layer.json"), `{"version":1,"diffID":"`+layer.String()+`"}`)
	write(t, filepath.Join(s.Root(), "blobs/blake3/abc"), "x")
	if r := mustCheck(t, s); len(r.Notes) != 4 || r.Layers != 1 {
		t.Errorf("%d layers, %q", r.Layers, r.Notes)
	}
}

// A layer directory is published whole: one without the record of its layer, or of another, is wrong.
func TestCheck_layers(t *testing.T) {
	layer := digest.FromString("x")
	for what, marker := range map[string]string{"none": "", "broken": "{", "of another": `{"diffID":"` + digest.FromString("y").String() + `"}`} {
		s := open(t, t.TempDir(), Options{})
		dir := filepath.Join(s.LayersDir(), "sha256", layer.Encoded())
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if marker != "" {
			write(t, filepath.Join(dir, "layer.json"), marker)
		}
		if r, err := s.Check(t.Context()); err != nil || len(r.Problems) != 1 {
			t.Errorf("%s: %v, %v", what, r.Problems, err)
		}
	}
}
