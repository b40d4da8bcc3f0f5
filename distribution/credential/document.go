package credential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// document is a credential file whose keys are kept whether or not they are known.
type document struct {
	file
	all   map[string]json.RawMessage
	auths map[string]json.RawMessage
}

// open reads the file to change; an absent one is empty.
func (k *Keychain) open() (*document, error) {
	path := k.target()
	if path == "" {
		return nil, &Error{Op: "find", Subject: "a place for credentials", Err: fs.ErrNotExist}
	}
	return openDocument(path)
}

func openDocument(path string) (*document, error) {
	path, err := followed(path)
	if err != nil {
		return nil, &Error{Op: "read", Subject: path, Err: err}
	}
	d := &document{file: file{path: path}, all: map[string]json.RawMessage{}, auths: map[string]json.RawMessage{}}
	raw, err := readRaw(path)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err == nil {
		d.file, err = decodeFile(path, raw)
	}
	if err != nil {
		return nil, &Error{Op: "read", Subject: path, Err: err}
	}
	if len(strings.TrimSpace(string(raw))) == 0 {
		return d, nil
	}
	if err = json.Unmarshal(raw, &d.all); err == nil {
		if d.flat() {
			d.auths = d.all
		} else if len(d.all["auths"]) > 0 {
			err = json.Unmarshal(d.all["auths"], &d.auths)
		}
	}
	if err != nil || d.all == nil {
		return nil, &Error{Op: "read", Subject: path, Err: fmt.Errorf("%w: not JSON of the right shape", ErrFile)}
	}
	if d.auths == nil { // "auths": null
		d.auths = map[string]json.RawMessage{}
	}
	return d, nil
}

// maxLinks bounds a chain of symbolic links, as the kernel does (path_resolution(7)).
const maxLinks = 40

// followed gives the file that a path leads to, which may not be there yet: a link stays a link, and
// what it names is changed. Links are how people keep their configuration elsewhere.
func followed(path string) (string, error) {
	for range maxLinks {
		to, err := os.Readlink(path)
		if err != nil {
			return path, nil //nolint:nilerr // no link: a file, or nothing
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return path, fmt.Errorf("%w: more than %d symbolic links", ErrFile, maxLinks)
}

// change lets f alter the file at path while nobody else does, and writes it if f says so. The file is
// read after the lock is held: what another process stored a moment ago is kept.
func change(ctx context.Context, path string, f func(*document) (changed bool, err error)) error {
	path, err := followed(path)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err != nil {
		return &Error{Op: "write", Subject: path, Err: err}
	}
	unlock, err := lock(ctx, filepath.Dir(path))
	if err != nil {
		return &Error{Op: "lock", Subject: filepath.Dir(path), Err: err}
	}
	defer unlock()
	d, err := openDocument(path)
	if err != nil {
		return err
	}
	changed, err := f(d)
	if err != nil || !changed {
		return err
	}
	if err := d.write(); err != nil {
		return &Error{Op: "write", Subject: path, Err: err}
	}
	return nil
}

// write replaces the file at once, readable by its owner only.
func (d *document) write() error {
	if !d.flat() {
		auths, err := json.Marshal(d.auths)
		if err != nil {
			return err
		}
		d.all["auths"] = auths
	}
	raw, err := json.MarshalIndent(d.all, "", "\t")
	if err != nil {
		return err
	}
	dir, base := filepath.Split(d.path)
	pattern := "." + base + ".oci-"
	d.sweep(pattern)
	tmp, err := os.CreateTemp(filepath.Clean(dir+"."), pattern+"*") // of mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // gone after the rename
	if old, err := os.Lstat(d.path); err == nil {
		keepOwner(tmp, old)
	}
	_, err = tmp.Write(append(raw, '\n'))
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), d.path)
}

// sweep removes what a process that was killed between writing and renaming left: it holds secrets,
// and the lock says that nobody is writing now.
func (d *document) sweep(pattern string) {
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(d.path), pattern+"*"))
	for _, f := range left {
		_ = os.Remove(f)
	}
}
