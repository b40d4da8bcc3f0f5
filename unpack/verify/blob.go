package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/oci-pipeline/oci/unpack"
)

// hiddenContent gives the content of those files of a layer that are not on disk, in the order of the tar, from the blob.
type hiddenContent struct {
	r    *io.PipeReader
	done chan error
	buf  []byte
}

// errNoMore: who reads the hidden content needs no more of it.
var errNoMore = errors.New("no more is needed")

// openHidden starts to read the blob of a layer.
func openHidden(ctx context.Context, v *verifier, m *layerModel) *hiddenContent {
	r, w := io.Pipe()
	h := &hiddenContent{r: r, done: make(chan error, 1), buf: make([]byte, bufferBytes)}
	wanted := map[int]bool{}
	for position, number := range m.entries {
		if _, ok := m.paths[position]; !ok {
			wanted[number] = true
		}
	}
	go func() {
		number := -1
		err := readBlob(ctx, v, m, func(_ *unpack.Entry, content io.Reader) error {
			number++
			if !wanted[number] {
				return nil
			}
			_, err := io.Copy(w, content)
			return err
		})
		w.CloseWithError(err)
		h.done <- err
	}()
	return h
}

// copy gives the next size bytes.
func (h *hiddenContent) copy(ctx context.Context, w io.Writer, size int64) error {
	if err := copySize(ctx, w, io.LimitReader(h.r, size), size, h.buf); err != nil && !errors.Is(err, errChanging) {
		return err
	} else if err != nil {
		return errors.New("log and blob of the layer do not belong together")
	}
	return nil
}

// end reads the blob to its end, and gives what was wrong with it.
func (h *hiddenContent) end() error {
	if h == nil {
		return nil
	}
	n, err := io.Copy(io.Discard, h.r)
	if err == nil && n > 0 {
		err = errors.New("log and blob of the layer do not belong together")
	}
	return err
}

// close ends the reading and waits for it.
func (h *hiddenContent) close() {
	if h == nil {
		return
	}
	h.r.CloseWithError(errNoMore)
	<-h.done
}

// readBlob reads and proves the blob of a layer.
func readBlob(ctx context.Context, v *verifier, m *layerModel, each func(*unpack.Entry, io.Reader) error) error {
	if v.o.Blobs == nil {
		return ErrNoSource
	}
	_, err := unpack.ReadLayer(ctx, m.layer, v.o.Blobs, unpack.Options{Limits: v.o.Limits, Index: m.index}, each)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", ErrNoSource, err)
	}
	return err
}

// compareBlob compares the files on disk that come from a layer with its blob, byte for byte. With count they are counted.
func compareBlob(ctx context.Context, v *verifier, m *layerModel, d *disk, count bool) error {
	paths := map[int]string{}
	for position, path := range m.paths {
		paths[m.entries[position]] = path
	}
	other := make([]byte, bufferBytes)
	number := -1
	var differs []compared
	var files int
	var size int64
	err := readBlob(ctx, v, m, func(e *unpack.Entry, content io.Reader) error {
		number++
		path, ok := paths[number]
		if !ok {
			return nil
		}
		want, got := v.want.Lookup(path), v.got.Lookup(path)
		f, err := d.open(path, e.Size)
		if err != nil {
			v.unread(path, err)
			return nil
		}
		defer f.Close()
		same, err := sameBytes(f, content, d.buf, other)
		if err != nil {
			return err
		}
		files, size = files+1, size+e.Size
		if !same {
			differs = append(differs, compared{path, want, got})
		}
		return nil
	})
	if err != nil {
		return err // who knows what it was compared with
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if count {
		v.report.Files, v.report.Bytes = v.report.Files+files, v.report.Bytes+size
	}
	for _, c := range differs {
		v.note(c)
	}
	return nil
}

// sameBytes compares a file with what it should be.
func sameBytes(got, want io.Reader, a, b []byte) (bool, error) {
	for {
		m, errWant := io.ReadFull(want, b)
		if errWant != nil && !errors.Is(errWant, io.EOF) && !errors.Is(errWant, io.ErrUnexpectedEOF) {
			return false, errWant
		}
		n, err := io.ReadFull(got, a)
		if !bytes.Equal(a[:n], b[:m]) {
			return false, nil
		}
		if errWant != nil {
			return true, nil
		}
		if err != nil { // the file ends, or cannot be read: it is not what it should be
			return false, nil //nolint:nilerr // see above
		}
	}
}
