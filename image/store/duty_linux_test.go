package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store/storetest"
)

// TestH89_state_files_that_are_links: nothing of what the store writes beside its blobs is written
// through a link, nor read through one: not an unfinished blob, its checkpoint, the index, a lock.
func TestH89_state_files_that_are_links(t *testing.T) {
	d := storetest.Describe("content of a blob")
	partial := filepath.Join("ingest", d.Digest.Algorithm().String()+"-"+d.Digest.Encoded())
	for name, plant := range map[string]func(name, target string) error{
		"link":     func(name, target string) error { return os.Symlink(target, name) },
		"dangling": func(name, target string) error { return os.Symlink(target+"-none", name) },
		"fifo":     func(name, _ string) error { return unix.Mkfifo(name, 0o666) },
		"directory": func(name, _ string) error {
			return os.Mkdir(name, 0o777)
		},
	} {
		for _, file := range []string{partial, partial + checkpointSuffix, "index.json", "index.lock", "store.lock", "oci-layout"} {
			t.Run(name+" "+filepath.Base(file), func(t *testing.T) {
				root := filepath.Join(t.TempDir(), "store")
				s := open(t, root, Options{Checkpoint: 4})
				put(t, s, "a/b", "first")
				outside := t.TempDir()
				target := filepath.Join(outside, "target")
				write(t, target, "mine")
				at := filepath.Join(root, file)
				if err := os.Remove(at); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
				if err := plant(at, target); err != nil {
					t.Fatal(err)
				}
				use(t, root, d)
				if raw, err := os.ReadFile(target); err != nil || string(raw) != "mine" {
					t.Errorf("the target: %q, %v", raw, err)
				}
				if list, err := os.ReadDir(outside); err != nil || len(list) != 1 {
					t.Errorf("outside: %v, %v", list, err)
				}
			})
		}
	}
}

// use does what a pull does with a store. Whether it works is not asked: only what it touches.
func use(t *testing.T, root string, d ispec.Descriptor) {
	t.Helper()
	s, err := Open(t.Context(), root, Options{Checkpoint: 4})
	if err != nil {
		return
	}
	defer s.Close()
	for range 2 {
		in, err := s.Ingest(t.Context(), d)
		if err != nil {
			break
		}
		_, _ = io.WriteString(in, "content"[min(in.Offset(), 7):])
		_ = in.Close()
	}
	if in, err := s.Ingest(t.Context(), d); err == nil {
		_, _ = io.WriteString(in, "content of a blob"[in.Offset():])
		_ = in.Commit(t.Context())
		_ = in.Close()
	}
	if ok, err := s.Has(t.Context(), d); ok && err == nil {
		_ = s.Tag(t.Context(), "docker.io/library/x:latest", d)
	}
	_, _ = s.Check(t.Context())
	_, _ = s.Prune(t.Context(), PruneOptions{})
}

// FuzzCheckpoint: whatever a checkpoint says, and whatever the unfinished blob has, what is committed is
// what the digest names, and a good blob can be ingested over both.
func FuzzCheckpoint(f *testing.F) {
	const content = "the content of a blob that came in two parts"
	d := storetest.Describe(content)
	good := func(offset int) []byte {
		dir := f.TempDir()
		s := open(f, dir, Options{Checkpoint: 4})
		in, err := s.Ingest(f.Context(), d)
		if err != nil {
			f.Fatal(err)
		}
		_, _ = io.WriteString(in, content[:offset])
		if err := in.Close(); err != nil {
			f.Fatal(err)
		}
		raw, err := os.ReadFile(filepath.Join(dir, "ingest", "sha256-"+d.Digest.Encoded()+checkpointSuffix))
		if err != nil {
			f.Fatal(err)
		}
		return raw
	}
	f.Add(good(10), []byte(content[:10]))
	f.Add(good(10), []byte(content[:20]))
	f.Add(good(20), []byte("XXXXXXXXXX"))
	f.Add([]byte(`{"digest":"`+d.Digest.String()+`","size":44,"offset":9223372036854775807,"state":"","boot":"x"}`), []byte("x"))
	f.Add(bytes.Replace(good(20), []byte(`"offset":20`), []byte(`"offset":-1`), 1), []byte(content[:20]))
	f.Add([]byte(`{`), []byte(content))
	f.Add([]byte(``), []byte(content+"more"))
	root := f.TempDir()
	s := open(f, root, Options{Checkpoint: 8})
	partial := filepath.Join(root, "ingest", "sha256-"+d.Digest.Encoded())
	boot, err := json.Marshal(s.boot())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, checkpoint, there []byte) {
		if len(there) > 1<<16 {
			return
		}
		// The corpus is of another boot of the machine: what is fuzzed is of this one.
		var c map[string]json.RawMessage
		if json.Unmarshal(checkpoint, &c) == nil && c != nil {
			c["boot"] = boot
			checkpoint, _ = json.Marshal(c)
			// Within a boot the file is never behind its checkpoint: those bytes are the ones hashed.
			var offset int
			if json.Unmarshal(c["offset"], &offset) == nil && offset > 0 && offset <= min(len(there), len(content)) {
				there = append([]byte(content[:offset]), there[offset:]...)
			}
		}
		if err := errors.Join(os.WriteFile(partial, there, 0o600), os.WriteFile(partial+checkpointSuffix, checkpoint, 0o600)); err != nil {
			t.Fatal(err)
		}
		for try := range 2 {
			in, err := s.Ingest(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			off := in.Offset()
			if off < 0 || off > d.Size || off > int64(len(there)) || try == 1 && off != 0 {
				t.Fatalf("try %d: offset %d of %d, %d bytes are there", try, off, d.Size, len(there))
			}
			if _, err := io.WriteString(in, content[off:]); err != nil {
				t.Fatal(err)
			}
			err = in.Commit(t.Context())
			if err == nil {
				break
			}
			if !errors.Is(err, image.ErrDigestMismatch) || try == 1 {
				t.Fatalf("try %d: %v", try, err)
			}
		}
		raw, err := s.ReadBlob(t.Context(), d, 1<<10)
		if err != nil || string(raw) != content {
			t.Fatalf("committed: %q, %v", raw, err)
		}
		if err := s.Discard(t.Context(), d.Digest); err != nil {
			t.Fatal(err)
		}
	})
}

// TestIS_L2_a_blob_is_its_name: of both algorithms, at both parts of the path; a file that has another
// name than its content is found.
func TestIS_L2_a_blob_is_its_name(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	d := put(t, s, "a/b", "content")
	for name, want := range map[string]string{
		"blobs/sha256/" + strings.ToUpper(d.Digest.Encoded()): "content",
		"blobs/sha256/" + d.Digest.Encoded()[1:]:              "content",
		"blobs/md5/9a0364b9e99bb480dd25e1f0284c8555":          "content",
		"blobs/SHA256/" + d.Digest.Encoded():                  "content",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(s.Root(), name)), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(s.Root(), name), want)
	}
	r, err := s.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Blobs != 1 {
		t.Errorf("%d blobs, want the one whose name is a digest", r.Blobs)
	}
	other := storetest.Describe("another")
	write(t, filepath.Join(s.Root(), "blobs/sha256", other.Digest.Encoded()), "anothex")
	r, err = s.Check(t.Context())
	if err != nil || len(r.Problems) == 0 || !errors.Is(r.Problems[len(r.Problems)-1].Err, image.ErrDigestMismatch) {
		t.Errorf("content of another name: %v, %v", r.Problems, err)
	}
	if _, err := s.ReadBlob(t.Context(), other, 100); !errors.Is(err, image.ErrDigestMismatch) {
		t.Errorf("ReadBlob: %v", err)
	}
}
