package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack/internal/inflate"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: yardstick LAYOUT DIR")
		os.Exit(2)
	}
	if err := unpack(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "yardstick:", err)
		os.Exit(1)
	}
}

// unpack makes dir of the layout's image, the first if there are several.
func unpack(layout, dir string) error {
	layout, err := filepath.Abs(layout)
	if err != nil {
		return err
	}
	var index ispec.Index
	if err := readJSON(filepath.Join(layout, ispec.ImageIndexFile), &index); err != nil {
		return err
	}
	if len(index.Manifests) == 0 {
		return errors.New("no image in the layout")
	}
	var manifest ispec.Manifest
	if err := readJSON(blobPath(layout, index.Manifests[0].Digest), &manifest); err != nil {
		return err
	}
	var blobs []*os.File
	for _, layer := range manifest.Layers {
		f, err := os.Open(blobPath(layout, layer.Digest))
		if err != nil {
			return err
		}
		defer f.Close()
		blobs = append(blobs, f)
	}
	if err := enter(dir); err != nil {
		return err
	}
	for _, f := range blobs {
		if err := apply(f); err != nil {
			return fmt.Errorf("%s: %w", f.Name(), err)
		}
	}
	return nil
}

// enter makes dir and takes it for the root, so that no name and no link in the image leads out of it.
func enter(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Chroot(dir); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	unix.Umask(0)
	return os.Chdir("/")
}

func readJSON(name string, v any) error {
	raw, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, v)
}

func blobPath(layout string, d digest.Digest) string {
	return filepath.Join(layout, ispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

// apply makes the files of a layer in the current directory.
func apply(f *os.File) error {
	blob, plain := sha256.New(), sha256.New()
	br := bufio.NewReaderSize(io.TeeReader(f, blob), 256<<10)
	magic, err := br.Peek(4)
	if err != nil {
		return err
	}
	content := io.Reader(br)
	switch {
	case magic[0] == 0x1f && magic[1] == 0x8b:
		content = inflate.NewReader(br)
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
		if err != nil {
			return err
		}
		defer z.Close()
		content = z
	}
	// The buffer gives the hash and the tar reader large pieces.
	buffered := bufio.NewReaderSize(io.TeeReader(content, plain), 256<<10)
	w := writer{buf: make([]byte, 256<<10), times: map[string]unix.Timespec{}}
	for tr := tar.NewReader(buffered); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = w.entry(path.Clean(h.Name), h, tr)
		}
		if err != nil {
			return err
		}
	}
	for name, t := range w.times { // what is made in a directory changes its time
		if err := setTime(name, t); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	_, err = io.Copy(io.Discard, struct{ io.Reader }{buffered})
	return err
}

type writer struct {
	buf   []byte
	times map[string]unix.Timespec // of directories
}

// entry makes one file.
func (w *writer) entry(name string, h *tar.Header, r io.Reader) error {
	if hidden, ok := strings.CutPrefix(path.Base(name), ".wh."); ok {
		return whiteout(path.Dir(name), hidden)
	}
	mode := uint32(h.Mode & 0o7777)
	err := w.make(name, mode, h, r)
	for errors.Is(err, unix.EEXIST) && (h.Typeflag != tar.TypeDir || !isDir(name)) {
		if err := os.RemoveAll(name); err != nil {
			return err
		}
		err = w.make(name, mode, h, r)
	}
	if err != nil && !errors.Is(err, unix.EEXIST) || h.Typeflag == tar.TypeLink {
		return err
	}
	if h.Uid != 0 || h.Gid != 0 {
		if err := unix.Lchown(name, h.Uid, h.Gid); err != nil {
			return err
		}
	}
	if h.Typeflag != tar.TypeSymlink && (mode > 0o777 || err != nil) {
		if err := unix.Chmod(name, mode); err != nil {
			return err
		}
	}
	t, err := unix.TimeToTimespec(h.ModTime)
	if err != nil {
		return err
	}
	if h.Typeflag == tar.TypeDir {
		w.times[name] = t
		return nil
	}
	return setTime(name, t)
}

// make makes the name and the content.
func (w *writer) make(name string, mode uint32, h *tar.Header, r io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return unix.Mkdir(name, mode)
	case tar.TypeSymlink:
		return unix.Symlink(h.Linkname, name)
	case tar.TypeLink:
		return unix.Link(path.Clean(h.Linkname), name)
	case tar.TypeFifo:
		return unix.Mknod(name, unix.S_IFIFO|mode, 0)
	case tar.TypeChar:
		return unix.Mknod(name, unix.S_IFCHR|mode, int(unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))))
	case tar.TypeBlock:
		return unix.Mknod(name, unix.S_IFBLK|mode, int(unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))))
	}
	fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, mode&0o777)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for left := h.Size; left > 0; {
		n, err := io.ReadFull(r, w.buf[:min(left, int64(len(w.buf)))])
		if err != nil {
			return err
		}
		left -= int64(n)
		for b := w.buf[:n]; len(b) > 0; {
			m, err := unix.Write(fd, b)
			if err != nil {
				return err
			}
			b = b[m:]
		}
	}
	return nil
}

func setTime(name string, t unix.Timespec) error {
	return unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
}

func isDir(name string) bool {
	info, err := os.Lstat(name)
	return err == nil && info.IsDir()
}

// whiteout removes what a layer hides. That a layer never hides its own files is not minded.
func whiteout(dir, hidden string) error {
	if hidden != ".wh..opq" {
		return os.RemoveAll(path.Join(dir, hidden))
	}
	list, err := os.ReadDir(dir)
	for _, e := range list {
		err = errors.Join(err, os.RemoveAll(path.Join(dir, e.Name())))
	}
	return err
}
