package verify_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
	"github.com/oci-pipeline/oci/unpack/verify"
)

// small is an image that anyone can unpack.
func small(tb testing.TB) (tartest.Blobs, image.Image) {
	tb.Helper()
	blobs := tartest.Blobs{}
	e := tartest.File("file", "content")
	return blobs, imageOf(tb, blobs.GzipTar(tartest.Archive(e)))
}

func find(tb testing.TB, r verify.Records, dir string) (*verify.Record, error) {
	tb.Helper()
	f, err := os.Open(dir)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	return r.Find(f)
}

// TestRecord_identity: a directory keeps its record when it is moved; what comes in its place, or is a copy, has none.
func TestRecord_identity(t *testing.T) {
	needRoot(t)
	blobs, img := small(t)
	u := unpackImage(t, img, blobs, unpack.Options{})
	moved := filepath.Join(filepath.Dir(u.dir), "moved")
	if err := errors.Join(os.Rename(u.dir, moved), os.Mkdir(u.dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	if _, err := find(t, u.records, u.dir); !errors.Is(err, verify.ErrNoRecord) {
		t.Errorf("another directory at the same path: %v", err)
	}
	r, err := find(t, u.records, moved)
	if err != nil || r.Path != moved || r.Image().Descriptor().Digest != img.Descriptor().Digest || r.Name != "test" {
		t.Fatalf("the moved directory: %+v, %v", r, err)
	}
	for range 200 { // inode numbers are used again
		if err := errors.Join(os.RemoveAll(moved), os.Mkdir(moved, 0o755)); err != nil {
			t.Fatal(err)
		}
		if _, err := find(t, u.records, moved); !errors.Is(err, verify.ErrNoRecord) {
			t.Fatalf("a directory made anew: %v", err)
		}
	}
}

// TestRecord_prune: records go with their directories, also those of directories that were moved, and drafts with their
// processes.
func TestRecord_prune(t *testing.T) {
	needRoot(t)
	blobs, img := small(t)
	u := unpackImage(t, img, blobs, unpack.Options{})
	prune := func(want ...string) {
		t.Helper()
		for _, dry := range []bool{true, false} {
			p, err := u.records.Prune(t.Context(), dry)
			if err != nil || !slices.Equal(p.Paths, want) || (p.Bytes > 0) != (len(want) > 0) {
				t.Errorf("dry %v: pruned %+v, %v, want %q", dry, p, err, want)
			}
		}
	}
	prune()
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.Rename(u.dir, moved); err != nil {
		t.Fatal(err)
	}
	prune() // by its handle: nobody has looked for it since
	if _, err := find(t, u.records, moved); err != nil {
		t.Errorf("the moved directory: %v", err)
	}
	if err := os.RemoveAll(moved); err != nil {
		t.Fatal(err)
	}
	prune(moved)

	d, err := u.records.Begin()
	if err != nil {
		t.Fatal(err)
	}
	prune() // it is being made
	if err := d.Abort(); err != nil {
		t.Error(err)
	}
	left := filepath.Join(filepath.Dir(u.dir), "records", ".new-123")
	if err := os.MkdirAll(filepath.Join(left, "old"), 0o700); err != nil {
		t.Fatal(err)
	}
	prune()
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Error("what a dead process left is there still")
	}
}

// TestRecord_damaged: a record that is not what was written is none, whatever it says, and goes.
func TestRecord_damaged(t *testing.T) {
	needRoot(t)
	blobs, img := small(t)
	for name, damage := range map[string]func(dir string) error{
		"cut":            func(dir string) error { return os.Truncate(filepath.Join(dir, "record.json"), 40) },
		"empty":          func(dir string) error { return os.Truncate(filepath.Join(dir, "record.json"), 0) },
		"no config":      func(dir string) error { return os.Remove(filepath.Join(dir, "config.json")) },
		"other config":   func(dir string) error { return os.WriteFile(filepath.Join(dir, "config.json"), []byte("{}"), 0o600) },
		"other manifest": func(dir string) error { return os.WriteFile(filepath.Join(dir, "manifest.json"), []byte("{}"), 0o600) },
		"other DiffID":   edit(func(m map[string]any) { m["diffIDs"] = []string{"sha256:" + strings.Repeat("0", 64)} }),
		"later version":  edit(func(m map[string]any) { m["version"] = 99 }),
		"other inode":    edit(func(m map[string]any) { m["identity"].(map[string]any)["inode"] = 1 }),
		"bad digest":     edit(func(m map[string]any) { m["manifest"].(map[string]any)["digest"] = "../../etc/passwd" }),
		"wrong type":     edit(func(m map[string]any) { m["diffIDs"] = 5 }),
		"long":           func(dir string) error { return os.Truncate(filepath.Join(dir, "record.json"), 1<<30) },
	} {
		t.Run(name, func(t *testing.T) {
			u := unpackImage(t, img, blobs, unpack.Options{})
			list, err := filepath.Glob(filepath.Join(filepath.Dir(u.dir), "records", "*"))
			if err != nil || len(list) != 1 {
				t.Fatalf("%q, %v", list, err)
			}
			if err := damage(list[0]); err != nil {
				t.Fatal(err)
			}
			_, err = find(t, u.records, u.dir)
			if !errors.Is(err, verify.ErrRecord) && !errors.Is(err, verify.ErrNoRecord) {
				t.Errorf("found: %v", err)
			}
			if _, err := u.records.Prune(t.Context(), false); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(list[0]); !errors.Is(err, os.ErrNotExist) {
				t.Error("the record is there still")
			}
		})
	}
}

// edit changes record.json.
func edit(change func(map[string]any)) func(string) error {
	return func(dir string) error {
		name := filepath.Join(dir, "record.json")
		raw, err := os.ReadFile(name)
		var m map[string]any
		if err == nil {
			err = json.Unmarshal(raw, &m)
		}
		if err != nil {
			return err
		}
		change(m)
		if raw, err = json.Marshal(m); err != nil {
			return err
		}
		return os.WriteFile(name, raw, 0o600)
	}
}

// TestRecord_again: who unpacks into a directory once more, as into a mount point, gives it another record.
func TestRecord_again(t *testing.T) {
	needRoot(t)
	blobs, img := small(t)
	u := unpackImage(t, img, blobs, unpack.Options{})
	other := imageOf(t, blobs.GzipTar(tartest.Archive(tartest.File("other", "x"))))
	d, err := u.records.Begin()
	if err == nil {
		err = d.Commit(u.dir, other, "again", verify.How{SingleID: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := find(t, u.records, u.dir)
	if err != nil || r.Name != "again" || !r.How.SingleID || len(r.Differences(img)) != 3 || len(r.Differences(other)) != 0 {
		t.Errorf("%+v, %v, %q", r, err, r.Differences(img))
	}
	if list, _ := filepath.Glob(filepath.Join(filepath.Dir(u.dir), "records", "*", "*")); len(list) != 3 {
		t.Errorf("of the first record something is left: %q", list)
	}
}
