package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/runtime"
)

// record is what this program keeps of a container that it made from an image, beside the
// runtime's own state: containers/<id>/container.json in the store.
type record struct {
	ID      string    `json:"id"`
	Image   string    `json:"image"`   // the name it was made from
	Digest  string    `json:"digest"`  // of the manifest
	Command []string  `json:"command"` // process.args
	Created time.Time `json:"created"`
	Remove  bool      `json:"remove,omitempty"` // --rm
	Storage string    `json:"storage"`          // how its root file system was made: overlay or copy

	StopSignal string `json:"stopSignal,omitempty"` // --stop-signal, else the image's; a valid one

	StopTimeout *time.Duration `json:"stopTimeout,omitempty"` // --stop-timeout, in nanoseconds

	// Layers are the DiffIDs of its root file system: prune keeps them while the container exists, unless it
	// has a copy.
	Layers []digest.Digest `json:"layers"`
	// Mounted are those of images that it has mounted.
	Mounted []digest.Digest `json:"mounted,omitempty"`
	Volumes []string        `json:"volumes,omitempty"` // of the store, by name
	Shared  []specs.Mount   `json:"shared,omitempty"`  // what --volumes-from takes: its volumes, and directories of the host
}

// exitRecord is containers/<id>/exit.json, written when the container has ended.
type exitRecord struct {
	Status   int       `json:"status"`
	Finished time.Time `json:"finished"`
}

// Files and directories of a container's directory, which is also its bundle: config.json and an empty rootfs
// to mount on are there too.
const (
	recordFile = "container.json"
	exitFile   = "exit.json"
	logFile    = "log"
	upperDir   = "upper"
	workDir    = "work"
)

// maxRecordSize bounds the files above: a command line may be 128 KiB an argument (execve(2)).
const maxRecordSize = 4 << 20

// containerDir is the directory of one container; it belongs to the process that made it.
type containerDir struct {
	path string
}

// newContainerID is random: 12 hexadecimal digits.
func newContainerID() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// checkContainerID refuses what the runtime would, before anything is made.
func checkContainerID(id string) error {
	if !runtime.ValidID(id) {
		return fmt.Errorf("%w: %q", runtime.ErrInvalidID, id)
	}
	return nil
}

// createContainerDir makes the directory of a new container below parent.
func createContainerDir(parent, id string) (containerDir, error) {
	if err := checkContainerID(id); err != nil {
		return containerDir{}, err
	}
	if err := os.MkdirAll(parent, 0o711); err != nil {
		return containerDir{}, fmt.Errorf("create container %s: %w", id, err)
	}
	c := containerDir{filepath.Join(parent, id)}
	switch err := os.Mkdir(c.path, 0o711); {
	case errors.Is(err, fs.ErrExist):
		return c, fmt.Errorf("create container %s: %w", id, runtime.ErrExist)
	case err != nil:
		return c, fmt.Errorf("create container %s: %w", id, err)
	}
	return c, nil
}

func (c containerDir) join(name string) string { return filepath.Join(c.path, name) }

// remove deletes the directory and all in it. It goes under another name first, so that the process
// that waits for the container does not write into what is being deleted.
func (c containerDir) remove() error {
	id := filepath.Base(c.path)
	gone := filepath.Join(filepath.Dir(c.path), removedPrefix+id+"-"+newContainerID())
	err := os.Rename(c.path, gone)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.RemoveAll(gone)
	}
	if err != nil {
		return fmt.Errorf("remove container %s: %w", id, err)
	}
	return nil
}

// removedPrefix begins the names of directories that are being deleted; an ID may begin with a
// full stop too, but not hold what follows it here.
const removedPrefix = ".removed:"

// containerDirs lists the containers below a directory, without those that are being deleted.
func containerDirs(parent string) ([]containerDir, error) {
	entries, err := os.ReadDir(parent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var dirs []containerDir
	for _, e := range entries {
		if e.IsDir() && runtime.ValidID(e.Name()) {
			dirs = append(dirs, containerDir{filepath.Join(parent, e.Name())})
		}
	}
	return dirs, err
}

// save writes v as name, whole or not at all.
func (c containerDir) save(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("save %s: %w", name, err)
	}
	tmp := c.join("." + name)
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return fmt.Errorf("save %s: %w", name, err)
	}
	if err := os.Rename(tmp, c.join(name)); err != nil {
		return fmt.Errorf("save %s: %w", name, err)
	}
	return nil
}

// load reads name into v; runtime.ErrNotExist when there is none.
func (c containerDir) load(name string, v any) error {
	info, err := os.Stat(c.join(name))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", filepath.Base(c.path), runtime.ErrNotExist)
	}
	if err == nil && info.Size() > maxRecordSize {
		err = fmt.Errorf("%d bytes are too many", info.Size())
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(c.join(name))
	}
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return fmt.Errorf("load %s of container %s: %w", name, filepath.Base(c.path), err)
	}
	return nil
}

// leftoverAge is how long a directory may be without a record before it counts as left over: the
// record is written right after the directory is made.
const leftoverAge = 10 * time.Minute

// sweepContainers deletes what killed processes left below a directory of containers.
func sweepContainers(parent string, dryRun bool) error {
	entries, err := os.ReadDir(parent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var errs []error
	for _, e := range entries {
		dir := containerDir{filepath.Join(parent, e.Name())}
		info, errInfo := e.Info()
		_, errRecord := os.Lstat(dir.join(recordFile))
		switch {
		case errInfo != nil || dryRun:
		case strings.HasPrefix(e.Name(), removedPrefix):
			errs = append(errs, os.RemoveAll(dir.path))
		case errors.Is(errRecord, fs.ErrNotExist) && time.Since(info.ModTime()) > leftoverAge:
			errs = append(errs, dir.remove())
		}
	}
	return errors.Join(append(errs, err)...)
}
