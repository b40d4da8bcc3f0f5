package unpack

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/oci-pipeline/oci/unpack/internal/isocrc"
)

// LogFile is the content of an entry that a tar-split log leaves to a file.
type LogFile struct {
	Position int    // of the entry in the log, as in Entry.Position
	Size     int64  // bytes; never 0
	Sum      uint64 // CRC-64 of the content, which finds accidents only
}

// ReplayLog reads a tar-split log (compressed or not, as for RebuildTar) for who puts the tar
// together by other means: it calls segment with each run of bytes that the log holds, valid until it
// returns, and file where the content of a file belongs, in the order of the tar. An error of these ends
// the reading and is returned as it is. Nothing is proved. Of the options Limits and Index count.
func ReplayLog(ctx context.Context, log io.Reader, o Options, segment func([]byte) error, file func(LogFile) error) error {
	o.Limits = o.Limits.WithDefaults()
	fail := func(err error) error { return &Error{Op: "read log", Layer: o.Index, Err: notEOF(err)} }
	r, _, err := decompress(log, o.Limits)
	if err != nil {
		return fail(err)
	}
	defer r.Close()
	s := newLogStream(r, &o.Limits)
	for n := int64(0); ; n++ {
		if n%1024 == 0 && context.Cause(ctx) != nil {
			return fail(context.Cause(ctx))
		}
		item, err := s.next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return fail(err)
		}
		switch {
		case !item.file:
			err = segment(item.raw)
		case item.size > 0:
			if len(item.sum) != isocrc.Size {
				return fail(fmt.Errorf("the sum of a file has %d bytes", len(item.sum)))
			}
			err = file(LogFile{item.position, item.size, binary.BigEndian.Uint64(item.sum)})
		}
		if err != nil {
			return err
		}
	}
}
