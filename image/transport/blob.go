package transport

import (
	"context"
	"errors"
	"fmt"
	"io"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
)

// copyBuffer is how much is read and hashed at a time: large enough that system calls do not count,
// small enough to stay in the cache.
const copyBuffer = 256 << 10

// blob copies one blob unless the sink has it.
func (c *copier) blob(ctx context.Context, d ispec.Descriptor) error {
	has, err := c.sink.Has(ctx, d)
	if err != nil {
		return err
	}
	e := image.Event{Ref: c.o.Ref.String(), Descriptor: d, Total: d.Size}
	if has {
		return c.reuse(e)
	}
	resumed, err := c.fill(ctx, d, e)
	if resumed && errors.Is(err, image.ErrDigestMismatch) {
		// What an earlier run left may be what is wrong. It is gone now.
		e.Kind, e.Err = image.EventRetry, err
		c.o.Events.Emit(e)
		_, err = c.fill(ctx, d, e)
	}
	if err != nil {
		e.Kind, e.Err = image.EventFailed, err
		c.o.Events.Emit(e)
	}
	return err
}

func (c *copier) reuse(e image.Event) error {
	e.Kind, e.Bytes = image.EventReused, e.Total
	c.reused.Add(e.Total)
	c.o.Events.Emit(e)
	return nil
}

// fill copies the bytes that the sink lacks. resumed tells whether it had some.
func (c *copier) fill(ctx context.Context, d ispec.Descriptor, e image.Event) (resumed bool, err error) {
	in, err := c.sink.Ingest(ctx, d)
	if err != nil {
		return false, err
	}
	defer in.Close()
	offset := in.Offset()
	if offset == d.Size && d.Size > 0 { // another process has done it meanwhile, or all but the commit
		if err := in.Commit(ctx); err != nil {
			return true, err
		}
		return true, c.reuse(e)
	}
	r, err := c.openAt(ctx, d, offset)
	if err != nil {
		return offset > 0, err
	}
	defer r.Close()
	e.Kind, e.Bytes = image.EventStarted, offset
	c.o.Events.Emit(e)
	e.Kind = image.EventProgress
	buf := make([]byte, min(copyBuffer, d.Size-offset+1))
	for {
		if err := ctx.Err(); err != nil {
			return offset > 0, err
		}
		n, err := r.Read(buf)
		if n > 0 {
			if _, err := in.Write(buf[:n]); err != nil {
				return offset > 0, err
			}
			e.Bytes += int64(n)
			c.bytes.Add(int64(n))
			c.o.Events.Emit(e)
		}
		if err == io.EOF { //nolint:errorlint // the end of a file
			break
		}
		if err != nil {
			return offset > 0, err
		}
	}
	if err := in.Commit(ctx); err != nil {
		return offset > 0, err
	}
	e.Kind = image.EventDone
	c.o.Events.Emit(e)
	return offset > 0, nil
}

// openAt opens the content of d from offset on.
func (c *copier) openAt(ctx context.Context, d ispec.Descriptor, offset int64) (io.ReadCloser, error) {
	r, err := c.src.Open(ctx, d)
	if err != nil || offset == 0 {
		return r, err
	}
	if s, ok := r.(io.Seeker); ok {
		_, err = s.Seek(offset, io.SeekStart)
	} else {
		_, err = io.CopyN(io.Discard, r, offset)
	}
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("skip %d bytes: %w", offset, hideEOF(err))
	}
	return r, nil
}
