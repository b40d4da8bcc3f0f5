package store

import (
	"context"
	"encoding"
	"encoding/json"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/image"
)

const (
	checkpointSuffix = ".json"
	maxNote          = 2 << 10
	maxCheckpoint    = 16 << 10 // bytes; the state of sha512 has 210, and JSON may need six for one of the note
)

// checkpoint is what lies beside an unfinished ingest: the state of its hash after so many bytes. It
// saves hashing them again, and nothing depends on it.
type checkpoint struct {
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
	Offset int64         `json:"offset"`
	State  []byte        `json:"state"` // of the hash of the standard library (encoding.BinaryMarshaler)
	Boot   string        `json:"boot"`  // the boot in which it was written
	Note   string        `json:"note,omitempty"`
}

// checkpoint saves the state of the hash. The bytes were written before, so within this boot of the
// machine the file is never behind it.
func (in *Ingest) checkpoint() error {
	m, ok := in.sum.(encoding.BinaryMarshaler)
	if !ok {
		return nil
	}
	state, err := m.MarshalBinary()
	if err != nil {
		return err
	}
	raw, err := json.Marshal(checkpoint{in.want.Digest, in.want.Size, in.n, state, in.s.boot(), in.note})
	if err != nil {
		return err
	}
	in.saved = in.n
	return in.s.dir.Replace(in.name+checkpointSuffix, raw, 0o644)
}

// resume takes up what is in the file: from the checkpoint if there is one to trust, and the bytes
// after it, or all of them, by reading them. An ingest that was killed thus loses nothing.
func (in *Ingest) resume(ctx context.Context, size int64) error {
	if size > in.want.Size {
		return in.f.Truncate(0)
	}
	if size == 0 {
		return nil
	}
	in.resumed = true
	offset := in.restore(size)
	if offset == 0 {
		in.sum.Reset()
	}
	if err := in.rehash(ctx, offset, size); err != nil {
		return err
	}
	in.n, in.saved = size, offset
	_, err := in.f.Seek(size, io.SeekStart)
	return err
}

// restore sets the hash to the checkpoint and gives its offset, or 0 if there is none to trust. One
// of another boot is not trusted: a power failure can lose bytes that were written before it.
func (in *Ingest) restore(size int64) int64 {
	raw, err := in.s.dir.ReadFile(in.name+checkpointSuffix, maxCheckpoint)
	if err != nil {
		return 0
	}
	var c checkpoint
	if json.Unmarshal(raw, &c) != nil || c.Digest != in.want.Digest || c.Size != in.want.Size ||
		c.Offset <= 0 || c.Offset > size || c.Boot == "" || c.Boot != in.s.boot() {
		return 0
	}
	u, ok := in.sum.(encoding.BinaryUnmarshaler)
	if !ok || u.UnmarshalBinary(c.State) != nil {
		return 0
	}
	in.note = c.Note
	return c.Offset
}

// rehash hashes the bytes from offset to size.
func (in *Ingest) rehash(ctx context.Context, offset, size int64) error {
	r := io.NewSectionReader(in.f, offset, size-offset)
	buf := make([]byte, min(1<<20, size-offset))
	for offset < size {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(buf)
		in.sum.Write(buf[:n])
		offset += int64(n)
		if err != nil && offset < size {
			return fmt.Errorf("%w: the partial file ends at byte %d", image.ErrSizeMismatch, offset)
		}
	}
	return nil
}
