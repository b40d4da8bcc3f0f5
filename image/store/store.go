package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/internal/layout"
)

// The names in the root of a store, beside those of the layout.
const (
	ingestDir     = "ingest"
	layersDir     = "layers"
	containersDir = "containers"
	recordsDir    = "rootfs"
	indexLock     = "index.lock"
	storeLock     = "store.lock"
)

// DefaultCheckpoint is how many bytes an ingest takes between two checkpoints.
const DefaultCheckpoint = 16 << 20

// Options of Open. The zero value opens a store for reading and writing and makes it if it is absent.
type Options struct {
	ReadOnly   bool  // change nothing, take no locks; the store must exist
	Existing   bool  // the store must exist, as for ReadOnly, but may be changed and is locked
	Checkpoint int64 // bytes between checkpoints of an ingest; 0 means DefaultCheckpoint
}

// Store is an open store. Its methods may be called by several goroutines at once.
type Store struct {
	path string
	dir  *layout.Dir
	o    Options
	// media is why nothing can come in: directories are absent, and cannot be made.
	media error
	boot  func() string // identifies the boot of the machine; "" if not known

	hashes image.Hashes // of the ingests
	proved sync.Map     // digests of what this Store has proved and committed, with the sizes
}

// Open opens the store in the directory root. It is private to its owner (mode 0700) if it is made
// here: layers have setuid programs in them (CVE-2021-41103).
//
// An existing directory must be an OCI image layout, or hold nothing but what an interrupted Open
// left; ErrNotStore otherwise. For ReadOnly and Existing it is an error that matches fs.ErrNotExist
// if there is nothing yet, and ErrIncomplete if there is content without the file oci-layout.
func Open(ctx context.Context, root string, o Options) (*Store, error) {
	path, err := filepath.Abs(root)
	if err != nil {
		return nil, failed("open store", root, err)
	}
	if o.Checkpoint <= 0 {
		o.Checkpoint = DefaultCheckpoint
	}
	make := !o.ReadOnly && !o.Existing
	if make {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return nil, failed("open store", path, err)
		}
	}
	dir, err := layout.OpenDir(path)
	if err != nil {
		return nil, failed("open store", path, err)
	}
	s := &Store{path: path, dir: dir, o: o, boot: bootID}
	err = s.checkMarker(ctx)
	absent := errors.Is(err, fs.ErrNotExist)
	switch {
	case err == nil && !o.ReadOnly:
		if err = s.makeDirs(); errors.Is(err, syscall.EROFS) {
			s.media, err = err, nil // it can be read all the same
		}
	case absent && make:
		err = s.create(ctx)
	case absent:
		if errUsed := s.refuseContent(); errUsed != nil {
			err = errUsed
			break
		}
		err = &Error{Op: "open", Subject: ispec.ImageLayoutFile, Clause: spec.LayoutFiles, Err: fmt.Errorf("%w: %w", ErrNotStore, err)}
	}
	if err != nil {
		dir.Close()
		return nil, failed("open store", path, err)
	}
	return s, nil
}

// Close closes the store. Ingests and holds that are open must be closed by themselves.
func (s *Store) Close() error { return s.dir.Close() }

// Root gives the absolute path of the store.
func (s *Store) Root() string { return s.path }

// LayersDir gives the absolute path of the directory for unpacked layers.
func (s *Store) LayersDir() string { return filepath.Join(s.path, layersDir) }

// ContainersDir gives the absolute path of the directory for containers.
func (s *Store) ContainersDir() string { return filepath.Join(s.path, containersDir) }

// RecordsDir gives the absolute path of the directory for records of root file systems that were unpacked elsewhere.
func (s *Store) RecordsDir() string { return filepath.Join(s.path, recordsDir) }

func (s *Store) checkMarker(ctx context.Context) error {
	raw, err := s.dir.Document(ctx, ispec.ImageLayoutFile, layout.MaxMarkerSize)
	if err != nil {
		return err
	}
	return layout.CheckMarker(raw)
}

// makeDirs makes what a layout that another tool wrote lacks.
func (s *Store) makeDirs() error {
	for _, name := range [...]string{ispec.ImageBlobsDir, ingestDir, layersDir, containersDir} {
		if err := s.dir.Root().Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// create makes the store. The marker comes last: what has one is complete.
func (s *Store) create(ctx context.Context) error {
	if err := s.refuseForeign(); err != nil {
		return err
	}
	unlock, err := s.lock(ctx, indexLock, layout.Exclusive)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.makeDirs(); err != nil {
		return err
	}
	if _, err := s.dir.Root().Lstat(ispec.ImageIndexFile); errors.Is(err, fs.ErrNotExist) {
		raw, err := layout.NewIndex().Encode()
		if err == nil {
			err = s.dir.Replace(ispec.ImageIndexFile, raw, 0o644)
		}
		if err != nil {
			return err
		}
	}
	if s.checkMarker(ctx) == nil {
		return nil // another process was faster
	}
	return s.dir.Replace(ispec.ImageLayoutFile, []byte(layout.Marker), 0o644)
}

// refuseForeign keeps a mistaken root, such as a home directory, from becoming a store.
func (s *Store) refuseForeign() error {
	list, err := fs.ReadDir(s.dir.Root().FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range list {
		switch e.Name() {
		case ispec.ImageBlobsDir, ingestDir, layersDir, containersDir, recordsDir, indexLock, storeLock, originsFile, originsFile + ".new",
			lastIndex, lastIndex + ".new", lostIndex, lostIndex + ".new",
			ispec.ImageIndexFile, ispec.ImageIndexFile + ".new", ispec.ImageLayoutFile, ispec.ImageLayoutFile + ".new":
		default:
			return fmt.Errorf("%w: the directory is in use for something else (it has %q)", ErrNotStore, e.Name())
		}
	}
	return nil
}

// refuseContent tells a directory that was never a store, or whose making was broken off, from one
// that has lost its marker, and from one of something else.
func (s *Store) refuseContent() error {
	if err := s.refuseForeign(); err != nil {
		return err
	}
	raw, err := s.dir.ReadFile(ispec.ImageIndexFile, image.MaxManifestSize)
	if err == nil {
		x, err := layout.DecodeIndex(raw)
		if err != nil || len(x.Entries()) > 0 {
			return incomplete(ispec.ImageIndexFile)
		}
	}
	list, err := s.files()
	if err == nil && len(list) > 0 {
		return incomplete(ispec.ImageBlobsDir)
	}
	return nil
}

func incomplete(has string) error {
	return &Error{Op: "open", Subject: ispec.ImageLayoutFile, Clause: spec.LayoutFiles, Err: fmt.Errorf("%w, and %s is not empty", ErrIncomplete, has)}
}

// writable refuses what a store that is open for reading cannot do.
func (s *Store) writable(op, subject string) error {
	if s.o.ReadOnly {
		return failed(op, subject, ErrReadOnly)
	}
	if op == "ingest" {
		return failed(op, subject, s.media)
	}
	return nil
}

// bootID identifies the boot of the machine, "" where that is not known.
func bootID() string {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || len(raw) < 36 {
		return ""
	}
	return string(raw[:36])
}
