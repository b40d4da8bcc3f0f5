package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/oci-pipeline/oci/image"
)

// Bounds of a compressed archive: what it may grow to whatever its size, and how many times its size
// beyond that. Images shrink to a third or so.
const (
	spoolFree  = 1 << 30
	spoolRatio = 100
)

// detect tells how the file is compressed, by its first bytes. Some compressions are known by name
// only, to say what to do about them.
func detect(f *os.File) (image.Compression, error) {
	var magic [6]byte
	n, err := f.ReadAt(magic[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	head := string(magic[:n])
	switch {
	case strings.HasPrefix(head, gzipMagic):
		return image.Gzip, nil
	case strings.HasPrefix(head, zstdMagic):
		return image.Zstd, nil
	case strings.HasPrefix(head, "BZh"):
		return "", fmt.Errorf("%w (bzip2): unpack it with bunzip2 first", ErrCompressed)
	case strings.HasPrefix(head, "\xfd7zXZ\x00"):
		return "", fmt.Errorf("%w (xz): unpack it with unxz first", ErrCompressed)
	}
	return image.Uncompressed, nil
}

// The first bytes of RFC 1952 and RFC 8878.
const (
	gzipMagic = "\x1f\x8b"
	zstdMagic = "\x28\xb5\x2f\xfd"
)

// spool gives a compressed archive (docker save | gzip) as a plain one, in which members can be found:
// a temporary file that has no name any more, where the system allows that. free is spoolFree.
func spool(ctx context.Context, f *os.File, c image.Compression, free int64) (_ *os.File, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	r, err := inflate(f, c)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", image.ErrMalformed, hideEOF(err))
	}
	defer r.Close()
	out, err := os.CreateTemp("", "oci-archive-*")
	if err != nil {
		return nil, err
	}
	os.Remove(out.Name()) // where it cannot be removed while it is open, it stays for the system to clear
	defer func() {
		if err != nil {
			out.Close()
		}
	}()
	limit := free + spoolRatio*info.Size()
	buf := make([]byte, copyBuffer)
	for total := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := r.Read(buf)
		if total += int64(n); total > limit {
			return nil, fmt.Errorf("%w: the archive of %d bytes inflates to more than %d", image.ErrTooLarge, info.Size(), limit)
		}
		if _, err := out.Write(buf[:n]); err != nil {
			return nil, err
		}
		if err == io.EOF { //nolint:errorlint // the decoders give it as it is
			_, err = out.Seek(0, io.SeekStart)
			return out, err
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", image.ErrMalformed, hideEOF(err))
		}
	}
}
