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

// detect tells how the file is compressed, by its first bytes.
func detect(f *os.File) (image.Compression, error) {
	var magic [magicSize]byte
	n, err := f.ReadAt(magic[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return compressionOf(string(magic[:n]))
}

// magicSize is how many bytes tell a compression.
const magicSize = 6

// compressionOf tells a compression by the first bytes. Some are known by name only, to say what to do
// about them.
func compressionOf(head string) (image.Compression, error) {
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
func spool(ctx context.Context, from io.Reader, c image.Compression, free int64) (_ *os.File, err error) {
	packed := &countingReader{r: from}
	r, err := inflate(packed, c)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", image.ErrMalformed, hideEOF(err))
	}
	defer r.Close()
	out, err := unnamedFile()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			out.Close()
		}
	}()
	buf := make([]byte, copyBuffer)
	for total := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := r.Read(buf)
		total += int64(n)
		if c != image.Uncompressed && total > free+spoolRatio*packed.n {
			return nil, fmt.Errorf("%w: %d bytes of the archive inflate to more than %d", image.ErrTooLarge, packed.n, free+spoolRatio*packed.n)
		}
		if _, err := out.Write(buf[:n]); err != nil {
			return nil, err
		}
		if err == io.EOF { //nolint:errorlint // the decoders give it as it is
			_, err = out.Seek(0, io.SeekStart)
			return out, err
		}
		if err != nil && c == image.Uncompressed {
			return nil, err // of the reader itself
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", image.ErrMalformed, hideEOF(err))
		}
	}
}

// unnamedFile makes a temporary file that is gone when it is closed. Where an open file cannot be
// removed, it stays for the system to clear.
func unnamedFile() (*os.File, error) {
	f, err := os.CreateTemp("", "oci-archive-*")
	if err == nil {
		_ = os.Remove(f.Name())
	}
	return f, err
}

// countingReader counts what is read through it.
type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
