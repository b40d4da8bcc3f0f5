package unpack

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/oci-pipeline/oci/image"
)

// ErrSpace: what is to be written is known not to fit. A file system that fills up meanwhile is what the
// kernel says, ENOSPC or EDQUOT.
var ErrSpace = errors.New("not enough free space")

// SpaceError says what does not fit. It is ErrSpace.
type SpaceError struct {
	Dir  string // on the file system in question
	Need uint64 // bytes that are known to be needed; 0 if inodes are what lacks
	Keep uint64 // bytes that must stay free beside them, by Limits.FreeBytes
	Have uint64 // bytes that are free to this process
}

// Error gives "not enough free space: the layers have 5368709120 bytes, and 1048576 are free where "dir" is".
func (e *SpaceError) Error() string {
	switch {
	case e.Need == 0:
		return fmt.Sprintf("%v: no inode is free where %q is", ErrSpace, e.Dir)
	case e.Keep > 0:
		return fmt.Sprintf("%v: the layers have %d bytes, %d are to stay free, and %d are free where %q is", ErrSpace, e.Need, e.Keep, e.Have, e.Dir)
	}
	return fmt.Sprintf("%v: the layers have %d bytes, and %d are free where %q is", ErrSpace, e.Need, e.Have, e.Dir)
}

// Is makes it an ErrSpace.
func (e *SpaceError) Is(target error) bool { return target == ErrSpace }

// compare judges what is known against what there is.
func (e *SpaceError) compare() error {
	if e.Need > e.Have || e.Keep > e.Have-e.Need {
		return e
	}
	return nil
}

// knownSizes adds up what is known of the uncompressed sizes of layers without decompressing them. What
// files take is about that: headers and what a later layer replaces are in it, the rest of a last block and
// inodes are not.
func knownSizes(ctx context.Context, layers []image.Layer, blobs Blobs) (uint64, error) {
	var sum uint64
	for i, layer := range layers {
		n, err := knownSize(ctx, layer, blobs)
		if err != nil {
			return 0, Locate(err, layer.Descriptor.Digest, i+1)
		}
		sum += n
	}
	return sum, nil
}

// knownSize gives a lower bound of the size of one layer's tar.
func knownSize(ctx context.Context, layer image.Layer, blobs Blobs) (uint64, error) {
	c, err := image.LayerCompression(layer.Descriptor.MediaType)
	if err != nil {
		return 0, err
	}
	size := layer.Descriptor.Size
	if c == image.Uncompressed {
		return uint64(max(size, 0)), nil
	}
	rc, err := blobs.Open(ctx, layer.Descriptor)
	if err != nil {
		return 0, notEOF(err)
	}
	defer rc.Close()
	at, ok := rc.(io.ReaderAt)
	if !ok {
		return 0, nil // it is still on its way
	}
	// What a blob says of itself is believed as far as it can be true: nothing is proved here.
	if c == image.Gzip {
		const most = 1032 // RFC 1951: 258 bytes of two bits
		if n := gzipSize(at, size); n <= uint64(size)*most {
			return n, nil
		}
		return 0, nil
	}
	const most = 128 << 10 / 4 // RFC 8878: a block of one repeated byte
	if n := zstdSize(at); n <= uint64(size)*most {
		return n, nil
	}
	return 0, nil
}

// gzipSize gives the size in the last four bytes (RFC 1952, ISIZE): that of the last member, modulo 2^32,
// and so never more than there is.
func gzipSize(r io.ReaderAt, size int64) uint64 {
	var isize [4]byte
	if _, err := r.ReadAt(isize[:], size-4); size < 18 || err != nil && err != io.EOF {
		return 0
	}
	return uint64(binary.LittleEndian.Uint32(isize[:]))
}

// zstdSize gives the content size of the first frame, if it has one.
func zstdSize(r io.ReaderAt) uint64 {
	head := make([]byte, zstd.HeaderMaxSize)
	n, err := r.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return 0
	}
	var h zstd.Header
	if h.Decode(head[:n]) != nil || !h.HasFCS {
		return 0
	}
	return h.FrameContentSize
}
