package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPublish(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "out")
	partial := filepath.Join(parent, ".out.partial")
	write := func(p string) error { return os.WriteFile(filepath.Join(p, "file"), nil, 0o600) }

	// What fails leaves nothing, and its error names the target.
	failed := errors.New("no")
	err := publish(dir, func(p string) error { return errors.Join(write(p), &os.PathError{Op: "x", Path: p, Err: failed}) })
	if !errors.Is(err, failed) || !strings.Contains(err.Error(), "x "+dir) {
		t.Errorf("got %v", err)
	}
	if entries, _ := os.ReadDir(parent); len(entries) != 0 {
		t.Errorf("left: %v", entries)
	}

	// What a killed process left does not stand in the way; what another one is writing does.
	if err := os.MkdirAll(filepath.Join(partial, "old"), 0o700); err != nil {
		t.Fatal(err)
	}
	err = publish(dir, func(p string) error {
		if err := publish(dir, write); !errors.Is(err, errBusy) {
			t.Errorf("at once: %v", err)
		}
		return write(p)
	})
	if err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(parent); len(entries) != 1 {
		t.Errorf("left: %v", entries)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 || entries[0].Name() != "file" {
		t.Errorf("got %v", entries)
	}

	// A directory with something in it is refused, an empty one is filled.
	if err := publish(dir, write); err == nil {
		t.Error("wrote over a directory that is not empty")
	}
	if err := os.Remove(filepath.Join(dir, "file")); err != nil {
		t.Fatal(err)
	}
	if err := publish(dir, write); err != nil {
		t.Error(err)
	}
}
