package verify

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
)

// draftPrefix begins the name of a record that is being made.
const draftPrefix = ".new-"

// Records is a directory of records. Several processes may use it at once.
type Records struct{ dir string }

// OpenRecords gives the records in dir, which is made when the first of them is.
func OpenRecords(dir string) Records { return Records{dir} }

// Draft is the record of an unpacking that is going on. Commit or Abort ends it; what a process that dies
// leaves behind, Prune removes.
type Draft struct {
	records Records
	dir     string
	lock    *os.File
	mu      sync.Mutex
	leftOut map[string]bool
}

// Begin starts a record.
func (r Records) Begin() (*Draft, error) {
	fail := func(err error) (*Draft, error) { return nil, &Error{Op: "write record", Subject: r.dir, Err: err} }
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return fail(err)
	}
	for { // a Prune may take the directory before it is locked
		dir, err := os.MkdirTemp(r.dir, draftPrefix)
		if err != nil {
			return fail(err)
		}
		lock, err := lockDir(dir)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errLocked) {
			continue
		}
		if err != nil {
			return fail(errors.Join(err, os.Remove(dir)))
		}
		return &Draft{records: r, dir: dir, lock: lock, leftOut: map[string]bool{}}, nil
	}
}

// Logs is for unpack.Options: it keeps the log of each layer.
func (d *Draft) Logs(index int, _ image.Layer) (io.WriteCloser, error) {
	f, err := os.OpenFile(filepath.Join(d.dir, logName(index)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	w, err := unpack.NewLogWriter(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return logFile{w, f}, nil
}

// logFile closes the compressor, then the file.
type logFile struct {
	*unpack.LogWriter
	f *os.File
}

func (l logFile) Close() error { return errors.Join(l.LogWriter.Close(), l.f.Close()) }

// LeftOut is for unpack.Options: it notes what is not on disk.
func (d *Draft) LeftOut(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leftOut[what] = true
}

// Abort forgets the record.
func (d *Draft) Abort() error {
	return errors.Join(os.RemoveAll(d.dir), d.lock.Close())
}

// Commit publishes the record of the directory dir, which now has the root file system of img. name is what
// the image was asked for by. LeftOut of how is added by itself. After an error the draft is gone.
func (d *Draft) Commit(dir string, img image.Image, name string, how How) error {
	err := d.commit(dir, img, name, how)
	if err == nil {
		return d.lock.Close()
	}
	return errors.Join(&Error{Op: "write record", Subject: dir, Err: err}, d.Abort())
}

func (d *Draft) commit(dir string, img image.Image, name string, how How) error {
	path, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := &Record{
		Version: recordVersion, Name: name, Config: img.ID(), Path: path, Created: time.Now().UTC().Truncate(time.Second), How: how,
		Manifest: ispec.Descriptor{MediaType: img.Descriptor().MediaType, Digest: img.Descriptor().Digest, Size: img.Descriptor().Size},
	}
	if r.Identity, err = identify(f); err != nil {
		return err
	}
	r.Handle = handleOf(f)
	for _, l := range img.Layers() {
		r.DiffIDs = append(r.DiffIDs, l.DiffID)
	}
	for what := range d.leftOut {
		r.How.LeftOut = append(r.How.LeftOut, what)
	}
	slices.Sort(r.How.LeftOut)
	err = errors.Join(
		os.WriteFile(filepath.Join(d.dir, manifestFile), img.ManifestRaw(), 0o600),
		os.WriteFile(filepath.Join(d.dir, configFile), img.ConfigRaw(), 0o600),
		r.write(d.dir))
	if err != nil {
		return err
	}
	return d.publish(filepath.Join(d.records.dir, r.Identity.id()))
}

// publish gives the draft its name. A record that has it is of the same directory, unpacked anew.
func (d *Draft) publish(dir string) error {
	err := os.Rename(d.dir, dir)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	old := filepath.Join(d.dir, "old")
	if err := os.Rename(dir, old); err != nil {
		return err
	}
	if err := os.Rename(d.dir, dir); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(dir, "old"))
}

// write writes record.json, whole or not at all.
func (r *Record) write(dir string) error {
	raw, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, recordFile)
	if err != nil {
		return err
	}
	_, err = f.Write(append(raw, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, recordFile))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// Find gives the record of an open directory, ErrNoRecord if there is none. A directory that was moved since
// is recorded at its new place, if its Name is its path and the record can be written.
func (r Records) Find(dir *os.File) (*Record, error) {
	fail := func(err error) (*Record, error) {
		return nil, &Error{Op: "find record", Subject: dir.Name(), Err: err}
	}
	id, err := identify(dir)
	if err != nil {
		return fail(err)
	}
	rec, err := readRecord(filepath.Join(r.dir, id.id()))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail(ErrNoRecord)
	case err != nil:
		return nil, err
	case rec.Identity != id:
		return fail(ErrNoRecord)
	}
	if path, err := filepath.Abs(dir.Name()); err == nil && path != rec.Path {
		rec.Path = path
		_ = rec.write(rec.dir) // it is found by its identity, wherever it says that it is
	}
	return rec, nil
}

// Pruned says what Prune removed.
type Pruned struct {
	Paths []string // that the directories had
	Bytes int64    // on disk
}

// Prune removes the records whose directory is gone, and what processes that died have left. A directory that
// was moved is asked for by its handle, which needs privileges (CAP_DAC_READ_SEARCH): without them it counts as gone,
// unless Find has seen it at its new place.
func (r Records) Prune(ctx context.Context, dryRun bool) (Pruned, error) {
	var p Pruned
	entries, err := os.ReadDir(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	for _, e := range entries {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			break
		}
		err = r.prune(filepath.Join(r.dir, e.Name()), dryRun, &p)
	}
	if err != nil {
		return p, &Error{Op: "prune", Subject: r.dir, Err: err}
	}
	return p, nil
}

func (r Records) prune(dir string, dryRun bool, p *Pruned) error {
	draft := strings.HasPrefix(filepath.Base(dir), draftPrefix)
	if draft {
		lock, err := lockDir(dir)
		if err != nil {
			return nil //nolint:nilerr // its process is at work, or it is gone
		}
		defer lock.Close()
	}
	rec, err := readRecord(dir)
	if !draft && (err == nil && rec.present() || err != nil && !errors.Is(err, ErrRecord) && !errors.Is(err, fs.ErrNotExist)) {
		return nil
	}
	bytes := size(dir)
	if !dryRun {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	p.Bytes += bytes
	if !draft && err == nil {
		p.Paths = append(p.Paths, rec.Path)
	}
	return nil
}

// size gives the bytes of the files in a record.
func size(dir string) (n int64) {
	entries, _ := os.ReadDir(dir) // unreadable: nothing to count
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
	}
	return n
}

// errLocked: another process has the lock.
var errLocked = errors.New("another process is at work on it")
