package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oci-pipeline/oci/runtime"
)

func TestContainerDir(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "containers")
	for _, id := range []string{"", ".", "..", "a/b", "a b", "a:b", string(make([]byte, 1025))} {
		if _, err := createContainerDir(parent, id); !errors.Is(err, runtime.ErrInvalidID) {
			t.Errorf("%q: got %v", id, err)
		}
	}
	c, err := createContainerDir(parent, "one")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := createContainerDir(parent, "one"); !errors.Is(err, runtime.ErrExist) {
		t.Errorf("twice: got %v", err)
	}
	if err := c.load(recordFile, &record{}); !errors.Is(err, runtime.ErrNotExist) {
		t.Errorf("no record: got %v", err)
	}
	if err := c.save(recordFile, record{ID: "one", Layers: nil}); err != nil {
		t.Fatal(err)
	}
	var r record
	if err := c.load(recordFile, &r); err != nil || r.ID != "one" {
		t.Errorf("got %+v, %v", r, err)
	}
	if err := os.Truncate(c.join(recordFile), maxRecordSize+1); err != nil {
		t.Fatal(err)
	}
	if err := c.load(recordFile, &r); err == nil {
		t.Error("a record of any size is read")
	}
	if err := errors.Join(c.remove(), c.remove()); err != nil {
		t.Error(err)
	}
	if err := c.save(exitFile, exitRecord{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("saved in a removed directory: %v", err)
	}
}

func TestSweepContainers(t *testing.T) {
	parent := t.TempDir()
	old := time.Now().Add(-2 * leftoverAge)
	for name, age := range map[string]time.Time{"young": time.Now(), "stale": old, "kept": old, removedPrefix + "x-1": time.Now()} {
		dir := filepath.Join(parent, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if name == "kept" {
			if err := (containerDir{dir}).save(recordFile, record{ID: name}); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(dir, age, age); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(sweepContainers(parent, false), sweepContainers(filepath.Join(parent, "absent"), false)); err != nil {
		t.Fatal(err)
	}
	dirs, err := containerDirs(parent)
	if err != nil || len(dirs) != 2 {
		t.Errorf("left: %v, %v", dirs, err)
	}
	if entries, _ := os.ReadDir(parent); len(entries) != 2 {
		t.Errorf("left: %v", entries)
	}
}
