package verify

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// errChanging: a file is not what it was when the tree was read.
var errChanging = errors.New("the file is being changed")

// contents proves the content of files: by their sha256 where the image's is known, else by rebuilding.
func (v *verifier) contents(ctx context.Context) error {
	hash, twins := v.pair()
	if err := v.hash(ctx, hash); err != nil {
		return err
	}
	if err := v.proveLayers(ctx); err != nil {
		return err
	}
	return v.compareTwins(ctx, twins)
}

// pair finds for each file of the image the one on disk that can have its content. Two files on disk for one of the
// image are twins: a hardlink was broken.
func (v *verifier) pair() (hash []compared, twins [][2]compared) {
	first := map[*tree.Node]compared{}
	v.names = map[*tree.Node][]string{}
	_ = v.want.Walk(func(path string, n *tree.Node) error { // the function gives no error
		if n.Kind != unpack.Regular || n.Size == 0 || v.skip(path) {
			return nil
		}
		on := v.got.Lookup(path)
		if on == nil || on.Mount || on.Kind != unpack.Regular || on.Size != n.Size {
			return nil // told already, or not seen; another name of the file may be what it was
		}
		c := compared{path, n, on}
		if n.Names > 1 {
			v.names[on] = append(v.names[on], path)
			if other, ok := first[n]; ok {
				if other.got != on && v.names[on][0] == path {
					twins = append(twins, [2]compared{other, c})
				}
				return nil
			}
			first[n] = c
		}
		if n.Digest != "" {
			hash = append(hash, c)
		}
		if n.Position >= 0 && n.Layer > 0 {
			v.layers[n.Layer-1].paths[n.Position] = path
		}
		return nil
	})
	return hash, twins
}

// compareTwins compares the second of two files with the first, of which the layers have told what it is.
func (v *verifier) compareTwins(ctx context.Context, twins [][2]compared) error {
	if len(twins) == 0 {
		return nil
	}
	d, err := v.newDisk()
	if err != nil {
		return err
	}
	defer d.close()
	other := make([]byte, bufferBytes)
	for _, t := range twins {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		want, err := d.open(t[0].path, t[0].want.Size)
		if err != nil {
			continue // told already
		}
		got, err := d.open(t[1].path, t[1].want.Size)
		same := false
		if err == nil {
			same, err = sameBytes(got, want, d.buf, other)
			got.Close()
		}
		want.Close()
		v.compared(t[1], same, err)
	}
	return nil
}

// compared is a file to compare.
type compared struct {
	path      string
	want, got *tree.Node
}

// hash compares files by their digests.
func (v *verifier) hash(ctx context.Context, list []compared) error {
	jobs := make(chan compared)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(jobs)
		for _, c := range list {
			select {
			case jobs <- c:
			case <-gctx.Done():
				return context.Cause(gctx)
			}
		}
		return nil
	})
	for range v.workers {
		g.Go(func() error {
			d, err := v.newDisk()
			if err != nil {
				return err
			}
			defer d.close()
			for c := range jobs {
				h := sha256.New()
				err := d.copy(gctx, c.path, c.want.Size, h)
				if err != nil && gctx.Err() != nil {
					return context.Cause(gctx)
				}
				v.compared(c, digest.NewDigest(digest.SHA256, h) == c.want.Digest, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// compared notes the result for a file.
func (v *verifier) compared(c compared, same bool, err error) {
	if err != nil {
		v.unread(c.path, err)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.Files++
	v.report.Bytes += c.want.Size
	if !same {
		v.note(c)
	}
}

// note notes that the content of a file differs, for each of its names. The caller has the lock.
func (v *verifier) note(c compared) {
	v.report.note(c.path, c.want, c.got)
	for _, name := range v.names[c.got] {
		v.report.note(name, v.want.Lookup(name), c.got)
	}
}

// disk reads files of the root file system; it is for one goroutine.
type disk struct {
	root *unpack.Root
	buf  []byte
}

func (v *verifier) newDisk() (*disk, error) {
	root, err := unpack.RootOf(v.root)
	return &disk{root, make([]byte, bufferBytes)}, err
}

func (d *disk) close() { _ = d.root.Close() }

// open opens a file that must have a size.
func (d *disk) open(path string, size int64) (*os.File, error) {
	f, err := d.root.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() != size {
		err = errChanging
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// copy gives the content of a file, which must have size bytes, no more and no less, to w.
func (d *disk) copy(ctx context.Context, path string, size int64, w io.Writer) error {
	f, err := d.open(path, size)
	if err != nil {
		return err
	}
	defer f.Close()
	return copySize(ctx, w, f, size, d.buf)
}

// copySize copies size bytes, after which r must end.
func copySize(ctx context.Context, w io.Writer, r io.Reader, size int64, buf []byte) error {
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		n, err := r.Read(buf)
		if size -= int64(n); size < 0 {
			return errChanging
		}
		if _, werr := w.Write(buf[:n]); werr != nil {
			return werr
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if size > 0 {
		return fmt.Errorf("%w: it has %d bytes less", errChanging, size)
	}
	return nil
}
