package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// bigImage is an image made for the measurement of this machine's own files, text and programs as
// they come: what an image of a distribution and a tool chain would hold. GNU tar and gzip -6
// write its layers, so that nothing of this project decides what they look like. It is made once.
type bigImage struct {
	name   string
	roots  []string // where the files are taken from, in this order
	files  int      // how many regular files at most
	bytes  int64    // how many bytes of content at most
	single int64    // the largest file that is taken
	layers int
}

func (o options) bigImages() []bigImage {
	const all = 1 << 40
	programs := []string{"/usr/bin", "/usr/lib", goroot(), "/usr/share", "/usr/include", "/usr/sbin"}
	text := []string{goroot(), "/usr/share", "/usr/include", "/usr/lib", "/usr/bin"}
	if o.quick {
		return []bigImage{
			{name: "big-quick", roots: programs, files: all, bytes: 128 << 20, single: 32 << 20, layers: 4},
			{name: "many-quick", roots: text, files: 6000, bytes: all, single: 64 << 10, layers: 3},
		}
	}
	return []bigImage{
		{name: "big", roots: programs, files: all, bytes: 1 << 30, single: 256 << 20, layers: 8},
		{name: "many", roots: text, files: 60_000, bytes: all, single: 64 << 10, layers: 5},
	}
}

func goroot() string {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "/usr/lib/go"
	}
	return strings.TrimSpace(string(out))
}

// ensure gives the layout of the image, made if it is not there, and what to call it.
func (i bigImage) ensure(ctx context.Context, o options) (layout, title string, err error) {
	layout = filepath.Join(o.cache, i.name)
	label := filepath.Join(layout, "title")
	if b, err := os.ReadFile(label); err == nil {
		return layout, string(b), nil
	}
	if why := absent("tar", "gzip"); why != "" {
		return "", "", errors.New(why)
	}
	fmt.Fprintf(os.Stderr, "bench: making the image %q, once: half a minute\n", i.name)
	if err := os.MkdirAll(o.cache, 0o755); err != nil {
		return "", "", err
	}
	partial, err := os.MkdirTemp(o.cache, "partial-")
	if err != nil {
		return "", "", err
	}
	defer os.RemoveAll(partial)
	if title, err = i.write(ctx, partial); err != nil {
		return "", "", err
	}
	return layout, title, errors.Join(os.RemoveAll(layout), os.Rename(partial, layout))
}

// write makes the layout in dir.
func (i bigImage) write(ctx context.Context, dir string) (title string, err error) {
	lists, files, size, err := i.choose()
	if err != nil {
		return "", err
	}
	made := make([]layoutLayer, len(lists))
	if err := makeLayout(dir); err != nil {
		return "", err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(goruntime.NumCPU())
	for n, list := range lists {
		g.Go(func() (err error) {
			made[n], err = packLayer(ctx, dir, list)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return "", err
	}
	title = fmt.Sprintf("%d MiB in %d files, %d layers", size>>20, files, len(lists))
	return title, errors.Join(finishLayout(dir, made), os.WriteFile(filepath.Join(dir, "title"), []byte(title), 0o644))
}

// choose walks the roots and parts what it takes into layers of about the same size. Directories
// come before what is in them, once.
func (i bigImage) choose() (lists [][]string, files int, size int64, err error) {
	lists = [][]string{nil}
	taken := map[string]bool{"/": true} // a root may lie in another
	layerFiles, layerBytes := 0, int64(0)
	take := func(path string) {
		var up []string
		for d := filepath.Dir(path); !taken[d]; d = filepath.Dir(d) {
			taken[d] = true
			up = append(up, d)
		}
		taken[path] = true
		slices.Reverse(up)
		last := &lists[len(lists)-1]
		*last = append(append(*last, up...), path)
	}
	for _, path := range starter() {
		if !taken[path] {
			take(path)
		}
	}
	done := errors.New("enough")
	visit := func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || taken[path] {
			return nil //nolint:nilerr // what cannot be read is left out
		}
		info, err := d.Info()
		if err != nil || strings.ContainsAny(path, "\n\x00") {
			return nil //nolint:nilerr // likewise
		}
		switch mode := info.Mode(); {
		case mode&fs.ModeSymlink != 0:
			take(path)
		case mode.IsRegular() && info.Size() <= i.single:
			take(path)
			files, layerFiles = files+1, layerFiles+1
			size, layerBytes = size+info.Size(), layerBytes+info.Size()
		}
		if files >= i.files || size >= i.bytes {
			return done
		}
		if layerFiles > i.files/i.layers || layerBytes > i.bytes/int64(i.layers) {
			lists = append(lists, nil)
			layerFiles, layerBytes = 0, 0
		}
		return nil
	}
	for _, root := range i.roots {
		if info, err := os.Lstat(root); err != nil || !info.IsDir() {
			continue
		}
		switch err := filepath.WalkDir(root, visit); {
		case errors.Is(err, done):
			return lists, files, size, nil
		case err != nil:
			return nil, 0, 0, err
		}
	}
	if files == 0 {
		return nil, 0, 0, fmt.Errorf("no files in %v", i.roots)
	}
	return lists, files, size, nil
}

// starter is what a container needs to run /usr/bin/true: the program, its libraries, and the links
// of a distribution that has merged /bin and /lib into /usr.
func starter() []string {
	var all []string
	for _, path := range []string{"/bin", "/lib", "/lib64"} {
		if target, err := os.Readlink(path); err == nil && target != "" {
			all = append(all, path)
		}
	}
	out, _ := exec.Command("ldd", "/usr/bin/true").Output() // none if it is static
	for _, path := range append(strings.Fields(string(out)), "/usr/bin/true") {
		real, err := filepath.EvalSymlinks(path)
		if !filepath.IsAbs(path) || err != nil {
			continue
		}
		// The directory of path may be a link, which cannot be a directory too.
		if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			all = append(all, filepath.Join(dir, filepath.Base(path)), real)
		}
	}
	return all
}

// packLayer has tar and gzip write a layer of the files in list.
func packLayer(ctx context.Context, dir string, list []string) (l layoutLayer, err error) {
	var names bytes.Buffer
	for _, path := range list {
		names.WriteString(strings.TrimPrefix(path, "/") + "\x00")
	}
	f, err := os.CreateTemp(dir, "layer-")
	if err != nil {
		return l, err
	}
	defer f.Close()
	blob, plain := digest.Canonical.Digester(), digest.Canonical.Digester()
	gzip := exec.CommandContext(ctx, "gzip", "-6", "-n")
	gzip.Stdout = io.MultiWriter(f, blob.Hash())
	in, err := gzip.StdinPipe()
	if err != nil {
		return l, err
	}
	if err := gzip.Start(); err != nil {
		return l, err
	}
	tar := exec.CommandContext(ctx, "tar", "-c", "-C", "/", "--no-recursion", "--numeric-owner", "--null", "-T", "-")
	tar.Stdin, tar.Stdout = &names, io.MultiWriter(in, plain.Hash())
	var said strings.Builder
	tar.Stderr = &said
	if err := tar.Run(); err != nil {
		err = fmt.Errorf("tar: %w: %s", err, said.String())
		return l, errors.Join(err, in.Close(), gzip.Wait())
	}
	if err := errors.Join(in.Close(), gzip.Wait()); err != nil {
		return l, fmt.Errorf("gzip: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return l, err
	}
	l.desc = ispec.Descriptor{MediaType: ispec.MediaTypeImageLayerGzip, Digest: blob.Digest(), Size: info.Size()}
	l.diffID = plain.Digest()
	return l, os.Rename(f.Name(), blobPath(dir, l.desc.Digest))
}
