package unpack

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack/internal/inflate"
)

// Compressions that are recognised only to be refused by name.
const (
	compressedXZ    image.Compression = "xz"
	compressedBzip2 image.Compression = "bzip2"
	compressedLZMA  image.Compression = "lzma"
)

// tarBlock is the size of a tar header.
const tarBlock = 512

// sniff tells the compression from the first bytes of a blob. A tar whose first name happens to
// start with another format's magic number is known by its header checksum.
func sniff(head []byte) image.Compression {
	switch {
	case isTarHeader(head):
		return image.Uncompressed
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return image.Gzip
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}),
		// A skippable frame, which zstd:chunked and pzstd put first.
		len(head) >= 4 && head[0]&0xf0 == 0x50 && bytes.HasPrefix(head[1:], []byte{0x2a, 0x4d, 0x18}):
		return image.Zstd
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return compressedXZ
	case bytes.HasPrefix(head, []byte("BZh")):
		return compressedBzip2
	case bytes.HasPrefix(head, []byte{0x5d, 0, 0}): // no magic number, but what every encoder writes
		return compressedLZMA
	}
	return image.Uncompressed
}

// isTarHeader tells whether b starts with a block whose checksum field holds its sum.
func isTarHeader(b []byte) bool {
	if len(b) < tarBlock {
		return false
	}
	sum, want := 0, 0
	for i, c := range b[:tarBlock] {
		if i >= 148 && i < 156 { // the checksum field counts as spaces
			c = ' '
		}
		sum += int(c)
	}
	for _, c := range bytes.Trim(b[148:156], " \x00") {
		if c < '0' || c > '7' {
			return false
		}
		want = want<<3 | int(c-'0')
	}
	return sum == want
}

// decompress gives the uncompressed bytes of r and the compression found. The bytes decide, not
// the media type, since mislabelled layers exist and the digests prove the content either way;
// the caller reports a difference. Close the result to release its memory.
func decompress(r io.Reader, limits Limits) (io.ReadCloser, image.Compression, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	head, err := br.Peek(tarBlock)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, image.Uncompressed, err
	}
	c := sniff(head)
	switch c {
	case image.Gzip:
		return gzipReader{inflate.NewReader(br)}, c, nil
	case image.Zstd:
		z, err := newZstd(br, limits.Window)
		return z, c, err
	case compressedXZ, compressedBzip2, compressedLZMA:
		return nil, c, fmt.Errorf("%w: %v layers are not supported; rebuild the image with gzip or zstd", ErrCompression, c)
	}
	return io.NopCloser(br), image.Uncompressed, nil
}

// gzipReader names the errors of the decoder. That one reads all members of a stream; after the last
// only zero bytes may follow: tape-style padding is common, anything else is garbage or an attack on
// readers that stop early.
type gzipReader struct{ z *inflate.Reader }

func (g gzipReader) Read(p []byte) (int, error) {
	n, err := g.z.Read(p)
	if err != nil && err != io.EOF {
		err = compressionError(image.Gzip, err)
	}
	return n, err
}

func (gzipReader) Close() error { return nil }

// zstdReader names the errors of the decoder.
type zstdReader struct {
	d      *zstd.Decoder
	window int64
}

// newZstd decodes in the calling goroutine. window bounds what a frame header of 14 bytes can make
// the decoder allocate; its own default would be 512 MiB.
func newZstd(r io.Reader, window int64) (io.ReadCloser, error) {
	d, err := zstd.NewReader(r,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(uint64(max(min(window, 1<<40), zstd.MinWindowSize))))
	if err != nil {
		return nil, compressionError(image.Zstd, err)
	}
	return &zstdReader{d, window}, nil
}

func (z *zstdReader) Read(p []byte) (int, error) {
	n, err := z.d.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = z.explain(err)
	}
	return n, err
}

// explain names an error. How large a window was asked for the decoder does not tell.
func (z *zstdReader) explain(err error) error {
	if errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		return Exceeded("window", z.window, 0, "zstd: a frame asks for a larger window")
	}
	return compressionError(image.Zstd, err)
}

func (z *zstdReader) Close() error {
	z.d.Close()
	return nil
}

// sourceError is an error of the blob, as opposed to one of its compression.
type sourceError struct{ error }

func (e sourceError) Unwrap() error { return e.error }

// sourceReader marks the errors of r, so that they pass through a decompressor recognised.
type sourceReader struct{ r io.Reader }

func (s sourceReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		err = sourceError{err}
	}
	return n, err
}

// compressionError names a failure of a decompressor. Errors of the blob itself stay what they are.
func compressionError(c image.Compression, err error) error {
	var src sourceError
	switch {
	case errors.As(err, &src):
		return src
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %s: the stream is cut short", ErrCompression, c)
	}
	return fmt.Errorf("%w: %s: %w", ErrCompression, c, err)
}
