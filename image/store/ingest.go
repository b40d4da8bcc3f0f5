package store

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/internal/layout"
)

// Ingest is content on its way into the store. Exactly one of Commit, Close and Abort ends it (a
// Close after any of them does nothing, so that it can be deferred). It is for one goroutine.
//
// While it is open its content is locked: a goroutine should open one only after it has ended the
// one before, or two that want the same two blobs wait for each other.
type Ingest struct {
	s       *Store
	want    ispec.Descriptor
	name    string // in ingest/; "" if the blob was there already
	f       *os.File
	sum     hash.Hash
	n       int64 // bytes written and hashed
	saved   int64 // n at the last checkpoint
	resumed bool
	note    string
	bad     error // why nothing more is taken
	hold    *Hold
	ended   bool
}

// Ingest begins, or takes up, the ingest of the content that d describes. If another process or
// goroutine is at it, it waits until that one ends, or ctx. If the content is in the store, now or
// after the wait, Offset of what it gives is the whole size, and Commit has nothing to do.
func (s *Store) Ingest(ctx context.Context, d ispec.Descriptor) (*Ingest, error) {
	if err := s.writable("ingest", string(d.Digest)); err != nil {
		return nil, err
	}
	sum, err := s.hashes.New(d.Digest)
	if err == nil && d.Size < 0 {
		err = fmt.Errorf("%w: negative size %d", image.ErrMalformed, d.Size)
	}
	if err != nil {
		return nil, failed("ingest", string(d.Digest), err)
	}
	hold, err := s.Hold(ctx)
	if err != nil {
		return nil, err
	}
	in := &Ingest{s: s, want: d, sum: sum, hold: hold}
	if err := in.open(ctx); err != nil {
		in.end()
		return nil, failed("ingest", d.Digest.String(), err)
	}
	return in, nil
}

// open finds the blob, or locks its file in ingest/ and finds what is there of it.
func (in *Ingest) open(ctx context.Context) error {
	for {
		if ok, err := in.s.Has(ctx, in.want); err != nil || ok {
			in.n = in.want.Size
			return err
		}
		in.name = path.Join(ingestDir, in.want.Digest.Algorithm().String()+"-"+in.want.Digest.Encoded())
		f, err := in.s.dir.OpenFile(in.name, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return err
		}
		in.f = f
		if err := layout.Lock(ctx, f, layout.Exclusive); err != nil {
			if ctx.Err() != nil {
				err = fmt.Errorf("%w: %w", ErrBusy, err)
			}
			return err
		}
		// Who had the lock may have committed the file, which is a blob now, or deleted it: then this
		// descriptor is of no use. If the name still leads to it, it is ours.
		here, err := f.Stat()
		if err != nil {
			return err
		}
		if there, err := in.s.dir.Root().Lstat(in.name); err == nil && os.SameFile(here, there) {
			return in.found(ctx, here.Size())
		}
		in.f, in.name = nil, ""
		f.Close()
	}
}

// found is called with the lock held: the blob may have come while it was waited for.
func (in *Ingest) found(ctx context.Context, size int64) error {
	ok, err := in.s.Has(ctx, in.want)
	if err != nil {
		return err
	}
	if ok {
		in.n = in.want.Size
		in.remove()
		in.f.Close()
		in.f, in.name = nil, ""
		return nil
	}
	return in.resume(ctx, size)
}

// Offset gives how many bytes are there already: the next Write takes the byte at this offset.
func (in *Ingest) Offset() int64 { return in.n }

// Resumed tells whether bytes of an earlier ingest are part of this one. If Commit then finds a
// digest mismatch, those may be what is wrong: they are gone after it, and trying once more from the
// start is sensible.
func (in *Ingest) Resumed() bool { return in.resumed }

// Note gives what SetNote left beside the bytes that are there; "" if nothing.
func (in *Ingest) Note() string { return in.note }

// SetNote keeps a line of text beside the bytes, as the checkpoint of a later ingest: from where they
// came, for example. One of more than 2 KiB is not kept. Nothing depends on it.
func (in *Ingest) SetNote(line string) {
	if len(line) > maxNote {
		line = ""
	}
	in.note = line
}

// Write implements io.Writer. A byte over the size gives image.ErrSizeMismatch, and the ingest cannot
// be committed any more.
func (in *Ingest) Write(p []byte) (int, error) {
	if in.ended {
		return 0, failed("ingest", in.want.Digest.String(), ErrClosed)
	}
	if in.bad != nil {
		return 0, in.bad
	}
	if int64(len(p)) > in.want.Size-in.n {
		in.bad = failed("ingest", in.want.Digest.String(),
			fmt.Errorf("%w: more than the %d bytes announced", image.ErrSizeMismatch, in.want.Size))
		return 0, in.bad
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := in.f.Write(p)
	in.sum.Write(p[:n])
	in.n += int64(n)
	if err != nil {
		return n, failed("ingest", in.want.Digest.String(), err)
	}
	if in.n-in.saved >= in.s.o.Checkpoint && in.n < in.want.Size {
		err = failed("ingest", in.want.Digest.String(), in.checkpoint())
	}
	return n, err
}

// Commit proves size and digest and puts the content into the store. Content that is short gives
// image.ErrSizeMismatch and stays for a later ingest to complete; what cannot become right any more
// (image.ErrDigestMismatch, too long) is deleted.
func (in *Ingest) Commit(_ context.Context) error {
	if in.ended {
		return failed("commit", in.want.Digest.String(), ErrClosed)
	}
	if in.name == "" {
		return in.Close()
	}
	if err := in.prove(); err != nil {
		err = failed("commit", in.want.Digest.String(), err)
		if in.bad == nil && in.n < in.want.Size {
			return errors.Join(err, in.Close())
		}
		return errors.Join(err, in.Abort())
	}
	to := layout.BlobPath(in.want.Digest)
	err := in.s.dir.Root().Mkdir(path.Dir(to), 0o700)
	if err == nil || errors.Is(err, fs.ErrExist) {
		err = in.s.dir.Root().Rename(in.name, to)
	}
	if err != nil {
		return errors.Join(failed("commit", in.want.Digest.String(), err), in.Close())
	}
	in.s.proved.Store(in.want.Digest, in.want.Size)
	in.removeCheckpoint()
	return failed("commit", in.want.Digest.String(), in.end())
}

// Proved tells that this Store, not another process or an earlier one, has proved the content and brought it in.
func (s *Store) Proved(d ispec.Descriptor) bool {
	size, ok := s.proved.Load(d.Digest)
	return ok && size == d.Size
}

func (in *Ingest) prove() error {
	if in.bad != nil {
		return in.bad
	}
	if in.n != in.want.Size {
		return fmt.Errorf("%w: got %d bytes of %d", image.ErrSizeMismatch, in.n, in.want.Size)
	}
	if got := digest.NewDigest(in.want.Digest.Algorithm(), in.sum); got != in.want.Digest {
		return fmt.Errorf("%w: content is %s", image.ErrDigestMismatch, got)
	}
	return nil
}

// Close ends the ingest and keeps what is there for a later one to take up.
func (in *Ingest) Close() error {
	if in.ended {
		return nil
	}
	var err error
	switch {
	case in.name == "":
	case in.n == 0 || in.bad != nil:
		in.remove()
	default:
		err = in.checkpoint()
	}
	return failed("close ingest", in.want.Digest.String(), errors.Join(err, in.end()))
}

// Abort ends the ingest and deletes what is there of it.
func (in *Ingest) Abort() error {
	if in.ended {
		return nil
	}
	if in.name != "" {
		in.remove()
	}
	return failed("abort ingest", in.want.Digest.String(), in.end())
}

// end gives up lock and hold. The names have been seen to before.
func (in *Ingest) end() error {
	in.ended = true
	var err error
	if in.f != nil {
		err = in.f.Close()
	}
	in.hold.Release()
	return err
}

// remove deletes the files of the ingest. The checkpoint goes first: one without content is ignored
// anyway, content without one is hashed again.
func (in *Ingest) remove() {
	in.removeCheckpoint()
	in.s.dir.Root().Remove(in.name) // what cannot be deleted is found by Check and by Prune
}

func (in *Ingest) removeCheckpoint() {
	in.s.dir.Root().Remove(in.name + checkpointSuffix) // most have none
}

var _ io.Writer = (*Ingest)(nil)
