package layout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
)

// ErrContended: others change index.json faster than it can be changed here.
var ErrContended = errors.New("other programs keep changing it")

// Other tools take no lock, and skopeo writes index.json and oci-layout in place: for a moment there is
// half of a document. settle is how long such a moment is waited for, in all.
const settle = 300 * time.Millisecond

// maxEdits bounds how often an edit is done again because another tool was in its way.
const maxEdits = 200

// Settled reads a JSON document that may just be being written. What is still no JSON after a while is
// given as it is, for its reader to refuse.
func Settled(ctx context.Context, read func() ([]byte, error)) ([]byte, error) {
	wait := time.Millisecond
	for waited := time.Duration(0); ; {
		raw, err := read()
		if err != nil || json.Valid(raw) || waited >= settle {
			return raw, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(wait):
		}
		waited += wait
		wait *= 2
	}
}

// Document reads a JSON document at most limit bytes long, once it is whole.
func (d *Dir) Document(ctx context.Context, name string, limit int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return Settled(ctx, func() ([]byte, error) { return d.ReadFile(name, limit) })
}

// EditIndex changes index.json. Only one EditIndex of a layout may be at work; other tools, which know no
// lock, may write it at any time. What they have written is not lost: the new file takes the place of
// the old one by an exchange of names, and if the one that comes back is not the one that was read, the
// change is made to that one. (Only a tool that is inside open(2) just then, its lookup done and its truncation
// not, can still write into the old file when nobody looks any more.) before, if not nil, gets the bytes before they are visible.
func (d *Dir) EditIndex(ctx context.Context, change func(*Index) error, before func([]byte) error) error {
	base, err := d.Document(ctx, ispec.ImageIndexFile, image.MaxManifestSize)
	there := base  // what the file holds, as far as is known
	apart := false // base is not in the file: it has to get there, whatever happens
	for range maxEdits {
		if err != nil {
			break
		}
		var next []byte
		if next, err = edited(base, change); err == nil && before != nil {
			err = before(next)
		}
		if err != nil {
			break
		}
		var was, is []byte
		if was, is, err = d.exchange(ctx, ispec.ImageIndexFile, there, next); err != nil {
			break
		}
		if bytes.Equal(was, there) && bytes.Equal(is, next) {
			return nil
		}
		base, there, apart = was, is, !bytes.Equal(was, is) // of another tool, whose change comes first then
	}
	if err == nil {
		err = &Error{Op: "edit", Subject: ispec.ImageIndexFile, Clause: spec.LayoutFiles, Err: ErrContended}
	}
	if apart {
		err = errors.Join(err, d.Replace(ispec.ImageIndexFile, base, 0o644))
	}
	return err
}

func edited(raw []byte, change func(*Index) error) ([]byte, error) {
	x, err := DecodeIndex(raw)
	if err == nil {
		err = change(x)
	}
	if err != nil {
		return nil, err
	}
	return x.Encode()
}

// exchange puts next in place of the file name, and gives what was there, and what is there now. What was
// there need not be want: then another has written it since, and it is nowhere but in what is given.
func (d *Dir) exchange(ctx context.Context, name string, want, next []byte) (was, is []byte, err error) {
	perm := fs.FileMode(0o644)
	if info, err := d.root.Lstat(name); err == nil {
		perm = info.Mode().Perm() // umoci makes it for its owner alone
	}
	if err := d.writeNext(name, next, perm); err != nil {
		return nil, nil, err
	}
	// One who writes often is seen here, before names are exchanged.
	now, err := d.Document(ctx, name, image.MaxManifestSize)
	if err != nil || !bytes.Equal(now, want) {
		return now, now, errors.Join(err, d.removeNext(name))
	}
	err = d.swap(name+nextSuffix, name)
	if errors.Is(err, errors.ErrUnsupported) {
		// Between the look and this rename a change of another tool can still be lost.
		return now, next, d.root.Rename(name+nextSuffix, name)
	}
	if err != nil {
		return nil, nil, err
	}
	// A tool that had opened the file before the exchange writes what it has to write to what is next
	// to it now.
	if was, err = d.Document(ctx, name+nextSuffix, image.MaxManifestSize); err != nil {
		return nil, nil, err
	}
	return was, next, d.removeNext(name)
}
