package repack_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/repack"
	"github.com/oci-pipeline/oci/unpack/tartest"
	"github.com/oci-pipeline/oci/unpack/tree"
)

func write(tb testing.TB, path, text string) {
	tb.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		tb.Fatal(err)
	}
}

// planned plans a layer of all that is in dir.
func planned(tb testing.TB, dir string) *repack.Plan {
	tb.Helper()
	after := read(tb, dir)
	plan, err := repack.NewPlan(tree.New(), after, diff(tree.New(), after), repack.PlanOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return plan
}

// TestErrChanged: what becomes of a file between the plan and the writing is an error that names the file. A
// symbolic link in its place, or in that of a directory on the way, is not followed.
func TestErrChanged(t *testing.T) {
	for name, change := range map[string]func(file string) error{
		"content, same size and time": func(file string) error {
			info, err := os.Stat(file)
			return errors.Join(err, os.WriteFile(file, []byte("2"), 0o644), os.Chtimes(file, time.Time{}, info.ModTime()))
		},
		"larger":    func(file string) error { return os.WriteFile(file, []byte("12"), 0o644) },
		"smaller":   func(file string) error { return os.Truncate(file, 0) },
		"touched":   func(file string) error { return os.Chtimes(file, time.Unix(1, 0), time.Unix(1, 0)) },
		"removed":   os.Remove,
		"a symlink": func(file string) error { return errors.Join(os.Rename(file, file+"x"), os.Symlink("fx", file)) },
		"a FIFO":    func(file string) error { return errors.Join(os.Remove(file), unix.Mkfifo(file, 0o644)) },
		"a linked directory": func(file string) error {
			dir := filepath.Dir(file)
			return errors.Join(os.Rename(dir, dir+"x"), os.Symlink(filepath.Base(dir)+"x", dir))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir+"/d/f", "1")
			plan := planned(t, dir)
			if err := change(dir + "/d/f"); err != nil {
				t.Fatal(err)
			}
			_, err := plan.Write(context.Background(), open(t, dir), io.Discard, repack.Options{})
			var e *repack.Error
			if !errors.Is(err, repack.ErrChanged) || !errors.As(err, &e) || e.Subject != "d/f" {
				t.Fatalf("%v", err)
			}
		})
	}
}

// fullDisk takes so many bytes, and then has no room.
type fullDisk int

func (d *fullDisk) Write(p []byte) (int, error) {
	if *d -= fullDisk(len(p)); *d < 0 {
		return 0, syscall.ENOSPC
	}
	return len(p), nil
}

// TestH48_no_space_for_a_layer: the error of who takes the layer comes out of every compressor.
func TestH48_no_space_for_a_layer(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/f", strings.Repeat("x", 3<<20))
	plan := planned(t, dir)
	for _, c := range []image.Compression{image.Gzip, image.Zstd, image.Uncompressed} {
		disk := fullDisk(100)
		if _, err := plan.Write(context.Background(), open(t, dir), &disk, repack.Options{Compression: c}); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: %v", c, err)
		}
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cause := errors.New("enough")
	cancel(cause)
	if _, err := plan.Write(ctx, open(t, dir), io.Discard, repack.Options{}); !errors.Is(err, cause) {
		t.Errorf("broken off: %v", err)
	}
}

// TestEpoch: times after SOURCE_DATE_EPOCH become it, others stay.
func TestEpoch(t *testing.T) {
	dir := t.TempDir()
	for name, sec := range map[string]int64{"old": 100, "new": 300} {
		write(t, dir+"/"+name, "")
		if err := os.Chtimes(dir+"/"+name, time.Unix(sec, 5), time.Unix(sec, 5)); err != nil {
			t.Fatal(err)
		}
	}
	epoch := time.Unix(200, 0)
	var b bytes.Buffer
	if _, err := planned(t, dir).Write(context.Background(), open(t, dir), &b, repack.Options{Compression: image.Uncompressed, Epoch: &epoch}); err != nil {
		t.Fatal(err)
	}
	got := map[string]time.Time{}
	for tr := tar.NewReader(&b); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got[h.Name] = h.ModTime
	}
	if !got["old"].Equal(time.Unix(100, 5)) || !got["new"].Equal(epoch) || !got["./"].Equal(epoch) {
		t.Errorf("%v", got)
	}
}

// TestDescriptor: digest, size, DiffID and media type of every compression, for OCI and for Docker.
func TestDescriptor(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/f", strings.Repeat("text ", 1<<18))
	plan := planned(t, dir)
	for _, c := range []struct {
		o    repack.Options
		want string
	}{
		{repack.Options{}, ispec.MediaTypeImageLayerGzip},
		{repack.Options{Compression: image.Gzip, Level: 9}, ispec.MediaTypeImageLayerGzip},
		{repack.Options{Compression: image.Zstd, Level: 19}, ispec.MediaTypeImageLayerZstd},
		{repack.Options{Compression: image.Uncompressed}, ispec.MediaTypeImageLayer},
		{repack.Options{Docker: true}, image.DockerLayerGzip},
		{repack.Options{Docker: true, Compression: image.Zstd}, image.DockerLayerZstd},
		{repack.Options{Docker: true, Compression: image.Uncompressed}, image.DockerLayer},
	} {
		var b bytes.Buffer
		layer, err := plan.Write(context.Background(), open(t, dir), &b, c.o)
		if err != nil {
			t.Fatal(err)
		}
		d := layer.Descriptor
		compression, err := image.LayerCompression(d.MediaType)
		if err != nil || d.MediaType != c.want {
			t.Errorf("%+v: media type %s, want %s", c.o, d.MediaType, c.want)
		}
		plain, err := io.ReadAll(inflated(t, b.Bytes(), compression))
		if err != nil {
			t.Fatal(err)
		}
		if d.Digest != digest.FromBytes(b.Bytes()) || d.Size != int64(b.Len()) || layer.DiffID != digest.FromBytes(plain) || layer.Bytes != int64(len(plain)) {
			t.Errorf("%+v: %+v", c.o, layer)
		}
	}
	for _, o := range []repack.Options{{Level: 10}, {Level: -1}, {Compression: image.Zstd, Level: 23}} {
		if _, err := plan.Write(context.Background(), open(t, dir), io.Discard, o); !errors.Is(err, repack.ErrChange) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := plan.Write(context.Background(), open(t, dir), io.Discard, repack.Options{Compression: "lzip"}); !errors.Is(err, image.ErrMediaType) {
		t.Errorf("lzip: %v", err)
	}
}

// TestGNUTar: GNU tar unpacks what we write to the same tree, odd names, times, xattrs and all. It cannot set
// xattrs of symbolic links, so there are none; whiteouts are not in the first layer.
func TestGNUTar(t *testing.T) {
	needRoot(t)
	if _, err := exec.LookPath("tar"); err != nil {
		t.Skip("no tar")
	}
	dir, to := t.TempDir(), t.TempDir()
	write(t, dir+"/"+strings.Repeat("long/", 60)+"f\xff\n", "1")
	write(t, dir+"/é", "2")
	steps := []error{
		os.Link(dir+"/é", dir+"/z"), os.Symlink(strings.Repeat("t", 200), dir+"/s"),
		unix.Mknod(dir+"/dev", unix.S_IFBLK|0o640, int(unix.Mkdev(259, 70000))), unix.Mkfifo(dir+"/p", 0o600),
		unix.Lchown(dir+"/s", 3_000_000, 70_000), unix.Chmod(dir+"/é", 0o6711),
		unix.Setxattr(dir+"/é", "user.x", []byte("\x00\n="), 0), unix.Setxattr(dir+"/é", "security.capability", capability, 0),
		os.Chtimes(dir+"/é", time.Unix(-3, 7), time.Unix(-3, 7)), os.Chtimes(dir, time.Unix(5, 0), time.Unix(5, 0)),
	}
	if err := errors.Join(steps...); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := planned(t, dir).Write(context.Background(), open(t, dir), &b, repack.Options{}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("tar", "-xzpf", "-", "--xattrs", "--xattrs-include=*", "--numeric-owner", "--warning=no-timestamp", "-C", to)
	cmd.Stdin = &b
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	if d := diff(read(t, to), read(t, dir)); len(d) > 0 {
		t.Errorf("GNU tar made another tree:\n%s", lines(d))
	}
}

// TestContent_unknown: a file whose sum no log has, as one that is sparse in the tar, is not taken for unchanged; one
// that changes meanwhile is an error; and logs that are not there are told.
func TestContent_unknown(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/f", "1")
	before, after := read(t, dir), read(t, dir)
	if _, known, err := (repack.Sums{}).Diff(context.Background(), open(t, dir), before, after); known || err != nil {
		t.Errorf("known %v, %v", known, err)
	}
	blobs := tartest.Blobs{}
	layer := blobs.Layer(tartest.File("f", "1"))
	gone := func(image.Layer) (io.ReadCloser, error) { return nil, fs.ErrNotExist }
	if _, err := repack.ReadSums(context.Background(), []image.Layer{layer}, gone, unpack.Limits{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	logs, target := logStore{}, filepath.Join(t.TempDir(), "r")
	if _, err := unpack.Unpack(context.Background(), []image.Layer{layer}, blobs, target, unpack.Options{Logs: logs.create, SingleID: os.Geteuid() != 0}); err != nil {
		t.Fatal(err)
	}
	sums, err := repack.ReadSums(context.Background(), []image.Layer{layer}, logs.open, unpack.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	before, err = tree.OfLayers(context.Background(), []image.Layer{layer}, nil, tree.Options{Logs: logs.open})
	if err != nil {
		t.Fatal(err)
	}
	after = read(t, target)
	if changes, known, err := sums.Diff(context.Background(), open(t, target), before, after); len(changes) > 0 || !known || err != nil {
		t.Errorf("unchanged: %v, known %v, %v", changes, known, err)
	}
	if err := os.Truncate(target+"/f", 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := sums.Diff(context.Background(), open(t, target), before, after); !errors.Is(err, repack.ErrChanged) {
		t.Errorf("changed meanwhile: %v", err)
	}
}

// logged unpacks a layer into a new directory, and gives what its log tells: the tree and the sums.
func logged(t *testing.T, entries ...tartest.Entry) (target string, before *tree.Tree, sums repack.Sums) {
	t.Helper()
	blobs, logs, target := tartest.Blobs{}, logStore{}, filepath.Join(t.TempDir(), "r")
	layers := []image.Layer{blobs.Layer(entries...)}
	_, err := unpack.Unpack(context.Background(), layers, blobs, target, unpack.Options{Logs: logs.create, SingleID: os.Geteuid() != 0})
	if err == nil {
		sums, err = repack.ReadSums(context.Background(), layers, logs.open, unpack.Limits{})
	}
	if err == nil {
		before, err = tree.OfLayers(context.Background(), layers, nil, tree.Options{Logs: logs.open})
	}
	if err != nil {
		t.Fatal(err)
	}
	return target, before, sums
}

// TestSums_names: new content of a file with several names is a change of each, whichever of them are masked; and a path
// that has it, and other attributes too, is one change.
func TestSums_names(t *testing.T) {
	needRoot(t)
	target, before, sums := logged(t, tartest.File("a", "old"), tartest.Link("b", "a"), tartest.File("c", "old"))
	for _, name := range []string{"a", "c"} {
		write(t, target+"/"+name, "new")
		if err := os.Chtimes(target+"/"+name, time.Unix(before.Lookup(name).Sec, 0), time.Unix(before.Lookup(name).Sec, int64(before.Lookup(name).Nsec))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(target+"/c", 0o600); err != nil {
		t.Fatal(err)
	}
	after := read(t, target)
	changes, known, err := sums.Diff(context.Background(), open(t, target), before, after)
	if err != nil || !known {
		t.Fatalf("known %v, %v", known, err)
	}
	plan, err := repack.NewPlan(before, after, changes, repack.PlanOptions{Masks: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	names := repack.Names(plan)
	if plan.Changes() != 2 || !slices.Contains(names, "b") || slices.Contains(names, "a") {
		t.Errorf("%d changes: %s; %q", plan.Changes(), lines(changes), names)
	}
}

// TestInterrupted: a file is read no further than until somebody asks to end, however much of it is a hole.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/f", "")
	if err := os.Truncate(dir+"/f", 1<<43); err != nil {
		t.Skipf("a sparse file: %v", err)
	}
	after, err := tree.OfDir(context.Background(), open(t, dir), tree.DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := repack.NewPlan(tree.New(), after, tree.Diff(tree.New(), after, tree.DiffOptions{}), repack.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	read := 0
	w := writerFunc(func(p []byte) (int, error) {
		if read += len(p); read > 1<<20 {
			cancel()
		}
		return len(p), nil
	})
	if _, err := plan.Write(ctx, open(t, dir), w, repack.Options{Compression: image.Uncompressed}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if read > 8<<20 {
		t.Errorf("%d bytes were read", read)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
