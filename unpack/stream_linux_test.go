package unpack_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/vbatts/tar-split/tar/asm"
	"github.com/vbatts/tar-split/tar/storage"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func xor(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

// streamCase is a blob, the tar that its DiffID names, and what must become of it.
type streamCase struct {
	name, mediaType string
	blob, tar       []byte
	limits          unpack.Limits
	err             error
	warn            bool // about the media type
}

// TestHazardStreams is a table of blobs: how they are compressed, cut, padded and mislabelled.
func TestHazardStreams(t *testing.T) {
	needRoot(t)
	tar := tartest.Archive(file("f", strings.Repeat("content ", 1000)), file("g", "x"))
	gz, zs := tartest.Gzip(tar), tartest.Zstd(tar)
	half := len(tar) / 2
	skippable := []byte{0x52, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 'a', 'b', 'c', 'd'}
	bigWindow := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 19 << 3, 1, 0, 0} // 14 bits more than is needed: 512 MiB
	dictionary := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x23, 0x01, 0, 0, 0, 0x10, 0x81, 0, 0}
	zeros := make([]byte, 4<<20)
	bomb := tartest.Archive(file("zeros", string(zeros)))
	const tgz, tzst, ttar = ispec.MediaTypeImageLayerGzip, ispec.MediaTypeImageLayerZstd, ispec.MediaTypeImageLayer
	cases := []streamCase{
		{name: "IS-M4 gzip", mediaType: tgz, blob: gz, tar: tar},
		{name: "IS-M4 zstd", mediaType: tzst, blob: zs, tar: tar},
		{name: "IS-M4 tar", mediaType: ttar, blob: tar, tar: tar},
		{name: "IS-X4 docker gzip", mediaType: image.DockerLayerGzip, blob: gz, tar: tar},
		{name: "IS-T8 foreign gzip", mediaType: image.DockerForeignGzip, blob: gz, tar: tar},
		{name: "unknown media type", mediaType: "application/json", blob: gz, tar: tar, err: image.ErrMediaType},
		{name: "H-49 no end", mediaType: tgz, blob: tartest.Gzip(tar[:len(tar)-1024]), tar: tar[:len(tar)-1024]},
		{name: "H-49 one zero block", mediaType: tgz, blob: tartest.Gzip(tar[:len(tar)-512]), tar: tar[:len(tar)-512]},
		{name: "H-49 entries after the end", mediaType: tgz, blob: tartest.Gzip(cat(tar, tar)), tar: cat(tar, tar)},
		{name: "empty layer", mediaType: tgz, blob: tartest.Gzip(nil), tar: nil},
		{name: "H-50 trailing data", mediaType: tgz, blob: tartest.Gzip(cat(tar, bytes.Repeat([]byte("x"), 1<<20))), tar: cat(tar, bytes.Repeat([]byte("x"), 1<<20))},
		{name: "H-52 cut header", mediaType: ttar, blob: tar[:300], tar: tar[:300], err: unpack.ErrTar},
		{name: "H-52 cut content", mediaType: ttar, blob: tar[:3000], tar: tar[:3000], err: unpack.ErrTar},
		{name: "H-52 bad checksum", mediaType: tgz, blob: tartest.Gzip(xor(tar, 3)), tar: xor(tar, 3), err: unpack.ErrTar},
		{name: "H-60 members", mediaType: tgz, blob: cat(tartest.Gzip(tar[:half]), tartest.Gzip(nil), tartest.Gzip(tar[half:])), tar: tar},
		{name: "H-61 zeros after the last member", mediaType: tgz, blob: cat(gz, make([]byte, 3000)), tar: tar},
		{name: "H-61 garbage after the last member", mediaType: tgz, blob: cat(gz, []byte("garbage")), tar: tar, err: unpack.ErrCompression},
		{name: "H-61 garbage after zeros", mediaType: tgz, blob: cat(gz, make([]byte, 30), []byte{1}), tar: tar, err: unpack.ErrCompression},
		{name: "H-62 gzip cut", mediaType: tgz, blob: gz[:len(gz)-9], tar: tar, err: unpack.ErrCompression},
		{name: "H-62 gzip crc", mediaType: tgz, blob: xor(gz, len(gz)-6), tar: tar, err: unpack.ErrCompression},
		{name: "H-62 gzip size", mediaType: tgz, blob: xor(gz, len(gz)-2), tar: tar, err: unpack.ErrCompression},
		{name: "H-62 gzip cut in the header", mediaType: tgz, blob: gz[:6], tar: tar, err: unpack.ErrCompression},
		{name: "H-62 zstd cut", mediaType: tzst, blob: zs[:len(zs)-5], tar: tar, err: unpack.ErrCompression},
		{name: "H-63 bomb", mediaType: tgz, blob: tartest.Gzip(bomb), tar: bomb, limits: unpack.Limits{RatioFrom: 1 << 20}, err: unpack.ErrLimit},
		{name: "H-63 zeros are legal", mediaType: tgz, blob: tartest.Gzip(bomb), tar: bomb},
		{name: "H-64 window", mediaType: tzst, blob: bigWindow, tar: tar, err: unpack.ErrLimit},
		{name: "H-65 skippable first", mediaType: tzst, blob: cat(skippable, zs), tar: tar},
		{name: "H-65 frames", mediaType: tzst, blob: cat(tartest.Zstd(tar[:half]), skippable, tartest.Zstd(tar[half:])), tar: tar},
		{name: "H-65 checksum", mediaType: tzst, blob: xor(zs, len(zs)-1), tar: tar, err: unpack.ErrCompression},
		{name: "H-65 dictionary", mediaType: tzst, blob: dictionary, tar: tar, err: unpack.ErrCompression},
		{name: "H-66 gzip that is plain", mediaType: tgz, blob: tar, tar: tar, warn: true},
		{name: "H-66 gzip that is zstd", mediaType: tgz, blob: zs, tar: tar, warn: true},
		{name: "H-66 plain that is gzip", mediaType: ttar, blob: gz, tar: tar, warn: true},
		{name: "H-68 xz", mediaType: tgz, blob: []byte("\xfd7zXZ\x00\x00\x04"), tar: tar, err: unpack.ErrCompression},
		{name: "H-68 lzma", mediaType: tgz, blob: []byte("\x5d\x00\x00\x80\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00"), tar: tar, err: unpack.ErrCompression},
		{name: "H-63 gzip in gzip", mediaType: tgz, blob: tartest.Gzip(tartest.Gzip(bomb)), tar: tartest.Gzip(bomb), err: unpack.ErrTar},
		{name: "H-68 bzip2", mediaType: tgz, blob: []byte("BZh91AY&SY"), tar: tar, err: unpack.ErrCompression},
		{name: "H-71 DiffID", mediaType: tgz, blob: gz, tar: []byte("other"), err: unpack.ErrDiffID},
		{name: "H-71 DiffID of a plain layer", mediaType: ttar, blob: tar, tar: []byte("other"), err: unpack.ErrDiffID},
	}
	for _, c := range cases {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), c.run)
	}
}

func (c streamCase) run(t *testing.T) {
	before := goruntime.NumGoroutine()
	blobs := tartest.Blobs{}
	layer := blobs.Add(c.mediaType, c.blob, c.tar)
	s := tartest.NewCanary(t)
	var log bytes.Buffer
	_, err := unpack.Unpack(t.Context(), []image.Layer{layer}, blobs, s.Target, unpack.Options{Limits: c.limits, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	s.Check(t)
	if !errors.Is(err, c.err) || c.err == nil && err != nil {
		t.Fatalf("error %v, want %v", err, c.err)
	}
	if errors.Is(err, io.EOF) {
		t.Errorf("the error reads as success: %v", err)
	}
	if _, serr := os.Stat(s.Target); (serr == nil) != (c.err == nil) {
		t.Errorf("target: %v", serr)
	}
	if got := strings.Contains(log.String(), "media type"); got != c.warn {
		t.Errorf("warned: %v: %s", got, log.String())
	}
	if n := goroutines(before); n > before {
		t.Errorf("%d goroutines are left, %d before", n, before)
	}
	if c.err == nil {
		rebuilds(t, blobs, layer)
	}
}

// goroutines waits for goroutines to end.
func goroutines(want int) int {
	for range 50 {
		if goruntime.NumGoroutine() <= want {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return goruntime.NumGoroutine()
}

// TestH70_blob: a blob that is not the one asked for is reported as that, whatever it breaks first.
func TestH70_blob(t *testing.T) {
	needRoot(t)
	tar := tartest.Archive(file("f", strings.Repeat("content ", 100000)))
	for name, blob := range map[string][]byte{"tar": tar, "gzip": tartest.Gzip(tar), "zstd": tartest.Zstd(tar)} {
		wrong := map[string][]byte{
			"flipped start": xor(blob, 1), "flipped middle": xor(blob, len(blob)/2), "flipped end": xor(blob, len(blob)-1),
			"short": blob[:len(blob)-1], "empty": {}, "long": cat(blob, []byte{0}), "other": bytes.Repeat([]byte("no tar "), len(blob)/7+1)[:len(blob)],
		}
		for how, bad := range wrong {
			blobs := tartest.Blobs{}
			layer := blobs.Add(ispec.MediaTypeImageLayer, blob, tar)
			blobs[layer.Descriptor.Digest] = bad
			s := tartest.NewCanary(t)
			_, err := unpack.Unpack(t.Context(), []image.Layer{layer}, blobs, s.Target, unpack.Options{})
			if !errors.Is(err, image.ErrDigestMismatch) && !errors.Is(err, image.ErrSizeMismatch) {
				t.Errorf("%s, %s: %v", name, how, err)
			}
			s.Check(t)
			if _, err := os.Stat(s.Target); err == nil {
				t.Errorf("%s, %s: the target is there", name, how)
			}
		}
	}
	_, err := unpack.Unpack(t.Context(), []image.Layer{{Descriptor: ispec.Descriptor{MediaType: ispec.MediaTypeImageLayer}}}, tartest.Blobs{}, filepath.Join(t.TempDir(), "r"), unpack.Options{})
	if !errors.Is(err, unpack.ErrDescriptor) {
		t.Errorf("a layer without DiffID: %v", err)
	}
}

// proved are blobs that a store vouches for.
type proved struct{ tartest.Blobs }

func (proved) Proved(ispec.Descriptor) bool { return true }

// TestH70_proved_before: a blob that was proved when it came is not hashed again, and nothing that it
// changed into since is taken for the layer: the DiffID is proved, and where it is the blob's own digest, the blob.
func TestH70_proved_before(t *testing.T) {
	needRoot(t)
	tar := tartest.Archive(file("f", strings.Repeat("content ", 100000)))
	other := tartest.Archive(file("f", strings.Repeat("another ", 100000)))
	for name, c := range map[string]struct{ blob, bad []byte }{
		"tar": {tar, other}, "tar, flipped": {tar, xor(tar, 600)},
		"gzip": {tartest.Gzip(tar), tartest.Gzip(other)}, "gzip, flipped": {tartest.Gzip(tar), xor(tartest.Gzip(tar), 40)},
		"gzip, short": {tartest.Gzip(tar), tartest.Gzip(tar)[:1000]}, "zstd": {tartest.Zstd(tar), tartest.Zstd(other)},
	} {
		blobs := tartest.Blobs{}
		layer := blobs.Add(ispec.MediaTypeImageLayer, c.blob, tar)
		s := tartest.NewCanary(t)
		if _, err := unpack.Unpack(t.Context(), []image.Layer{layer}, proved{blobs}, s.Target, unpack.Options{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		blobs[layer.Descriptor.Digest] = c.bad
		s = tartest.NewCanary(t)
		_, err := unpack.Unpack(t.Context(), []image.Layer{layer}, proved{blobs}, s.Target, unpack.Options{})
		want := []error{unpack.ErrDiffID, unpack.ErrCompression}
		if strings.HasPrefix(name, "tar") {
			want = []error{image.ErrDigestMismatch}
		}
		if !slices.ContainsFunc(want, func(w error) bool { return errors.Is(err, w) }) {
			t.Errorf("%s: %v", name, err)
		}
		s.Check(t)
	}
	// The digest and the size that the blob has by itself do not matter any more.
	blobs := tartest.Blobs{}
	layer := blobs.Add(ispec.MediaTypeImageLayerGzip, tartest.Gzip(tar), tar)
	blobs[layer.Descriptor.Digest] = tartest.Gzip(cat(tar[:512], tar[512:]))
	blobs[layer.Descriptor.Digest][4] = 1 // the time in its header, which nothing covers
	s := tartest.NewCanary(t)
	if _, err := unpack.Unpack(t.Context(), []image.Layer{layer}, proved{blobs}, s.Target, unpack.Options{}); err != nil {
		t.Errorf("hashed again: %v", err)
	}
}

// TestErrors: an error says which layer and which entry, quoted.
func TestErrors(t *testing.T) {
	needRoot(t)
	blobs := tartest.Blobs{}
	layers := []image.Layer{blobs.Layer(file("ok", "")), blobs.Layer(file("\x1b[31m/../x", ""))}
	_, err := unpack.Unpack(t.Context(), layers, blobs, filepath.Join(t.TempDir(), "r"), unpack.Options{})
	var e *unpack.Error
	if !errors.As(err, &e) || e.Layer != 2 || e.Digest != layers[1].Descriptor.Digest || e.Clause.ID != "IS-T1" {
		t.Fatalf("%#v", err)
	}
	if want := `apply "\x1b[31m/../x" (layer 2 ` + layers[1].Descriptor.Digest.String() + `): unsafe path: `; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%s\nwant %s", err, want)
	}
	layers[1] = blobs.Layer(file("also ok", ""))
	_, err = unpack.Unpack(t.Context(), layers, blobs, filepath.Join(t.TempDir(), "r"), unpack.Options{Limits: unpack.Limits{TotalBytes: 3000}})
	if !errors.Is(err, unpack.ErrLimit) {
		t.Errorf("total limit: %v", err)
	}
}

func TestTarget(t *testing.T) {
	needRoot(t)
	blobs := tartest.Blobs{}
	good, bad := []image.Layer{blobs.Layer(file("f", ""))}, []image.Layer{blobs.Layer(file("d/f", "")), blobs.Layer(file("..", ""))}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := unpack.Unpack(t.Context(), good, blobs, full, unpack.Options{}); !errors.Is(err, unpack.ErrNotEmpty) {
		t.Errorf("a full directory: %v", err)
	}
	if _, err := os.Stat(filepath.Join(full, "mine")); err != nil {
		t.Errorf("the file that was there: %v", err)
	}
	if _, err := unpack.Unpack(t.Context(), good, blobs, filepath.Join(full, "mine"), unpack.Options{}); !errors.Is(err, unpack.ErrNotEmpty) && err == nil {
		t.Errorf("a file: %v", err)
	}
	empty := t.TempDir()
	if _, err := unpack.Unpack(t.Context(), bad, blobs, empty, unpack.Options{}); !errors.Is(err, unpack.ErrUnsafePath) {
		t.Errorf("a bad layer: %v", err)
	}
	if names, err := os.ReadDir(empty); err != nil || len(names) != 0 {
		t.Errorf("the empty directory holds %v, %v", names, err)
	}
	res, err := unpack.Unpack(t.Context(), good, blobs, empty, unpack.Options{})
	if err != nil || res.Dir() != empty || len(res.Layers()) != 1 || res.Layers()[0].Entries != 1 {
		t.Errorf("%+v, %v", res, err)
	}
}

// slowBlobs gives blobs that block until they are closed.
type slowBlobs struct{ opened chan struct{} }

func (b slowBlobs) Open(context.Context, ispec.Descriptor) (io.ReadCloser, error) {
	r, w := io.Pipe()
	go func() { w.Write(tartest.Entries(file("f", strings.Repeat("x", 5000)))[:4000]) }()
	close(b.opened)
	return r, nil
}

func TestCancel(t *testing.T) {
	needRoot(t)
	before := goruntime.NumGoroutine()
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	b := slowBlobs{make(chan struct{})}
	go func() {
		<-b.opened
		cancel(cause)
	}()
	layer := tartest.Blobs{}.Layer(file("f", strings.Repeat("x", 5000)))
	dir := filepath.Join(t.TempDir(), "r")
	if _, err := unpack.Unpack(ctx, []image.Layer{layer}, b, dir, unpack.Options{}); !errors.Is(err, cause) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the target is there")
	}
	if n := goroutines(before); n > before {
		t.Errorf("%d goroutines are left, %d before", n, before)
	}
}

// TestIS_C5_rebuild: the tar comes back bit for bit from files and log, also where tar-split's own
// packer gives up.
func TestIS_C5_rebuild(t *testing.T) {
	needRoot(t)
	big := strings.Repeat("0123456789", 100000)
	for name, list := range map[string]entries{
		"plain":          {dir("d"), file("d/f", big), sym("l", "d"), link("h", "d/f"), file("empty", "")},
		"H-44 same name": {file("a", "1"), file("a", big), file("./a", "3")},
		"replaced":       {file("a", "1"), dir("a"), file("a/b", "2"), file("a", "3"), file("d/x", "4"), sym("d", "a"), file("x", "5"), link("x", "a")},
		"whiteouts":      {file(".wh.x", "content"), file("d/.wh..wh..opq", "more"), file(".wh..wh.plnk/1", "linked"), link("h", ".wh..wh.plnk/1")},
		"skipped":        {tartest.Global(map[string]string{"a": "b"}), {Name: "V", Type: 'V', Body: "volume"}, file("f", "x")},
		"odd names":      {file("\xff", "1"), file("<&>\n\"\\\u2028é", "2"), tartest.GNULong('L', strings.Repeat("n", 150)+"/"+strings.Repeat("n", 150)), {Name: "n", Body: "3", Magic: "ustar  \x00"}},
		"H-46 trailing":  {{Name: "t/", Body: "1"}, {Name: "d//f//", Body: "2"}},
		"through a link": {dir("d"), sym("l", "/d"), file("l/f", "1"), dir("l"), file("l/f", "2")},
	} {
		t.Run(name, func(t *testing.T) {
			blobs := tartest.Blobs{}
			rebuilds(t, blobs, blobs.Layer(list...))
		})
	}
}

// TestLogFormat: the log is the one that tar-split writes, and tar-split reads.
func TestLogFormat(t *testing.T) {
	needRoot(t)
	list := entries{dir("d"), file("d/f", "content"), file("\xff<&>\"", "x"), sym("l", "d"), file("empty", "")}
	tar := tartest.Archive(list...)
	blobs := tartest.Blobs{}
	layer := blobs.Tar(tar)
	root, err := unpack.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var got, want bytes.Buffer
	if _, err := unpack.ApplyLayer(t.Context(), layer, blobs, root, unpack.Overlay, unpack.Options{Log: &got}); err != nil {
		t.Fatal(err)
	}
	r, done, err := asm.NewInputTarStreamWithDone(bytes.NewReader(tar), storage.NewJSONPacker(&want), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got.String() != want.String() {
		t.Errorf("log\n%s\ntar-split's\n%s", got.String(), want.String())
	}
	files := storage.NewBufferFileGetPutter()
	files.Put("d/f", strings.NewReader("content"))
	files.Put("\xff<&>\"", strings.NewReader("x"))
	out := asm.NewOutputTarStream(files, storage.NewJSONUnpacker(&got))
	defer out.Close()
	if sum, err := digest.FromReader(out); err != nil || sum != layer.DiffID {
		t.Errorf("tar-split rebuilds %s, %v", sum, err)
	}
}

func TestH33_owners(t *testing.T) {
	needRoot(t)
	blobs := tartest.Blobs{}
	layers := []image.Layer{blobs.Layer(tartest.Entry{Name: "d/", Type: '5', UID: 1, GID: 1}, tartest.Entry{Name: "d/f", UID: 999, GID: 5, Mode: 0o4755}, tartest.Entry{Name: "x/y/z"})}
	maps := []unpack.IDMap{{ContainerID: 0, HostID: 100000, Size: 1000}}
	target := filepath.Join(t.TempDir(), "r")
	if _, err := unpack.Unpack(t.Context(), layers, blobs, target, unpack.Options{UIDMap: maps, GIDMap: maps}); err != nil {
		t.Fatal(err)
	}
	nodes := tree(t, target)
	for path, want := range map[string]string{".": "100000:100000", "d": "100001:100001", "d/f": "100999:100005", "x": "100000:100000", "x/y/z": "100000:100000"} {
		if got := fmt.Sprintf("%d:%d", nodes[path].UID, nodes[path].GID); got != want {
			t.Errorf("%s is owned by %s, want %s", path, got, want)
		}
	}
	if nodes["d/f"].Mode != 0o4755 {
		t.Errorf("mode %o", nodes["d/f"].Mode)
	}
	maps[0].Size = 999
	_, err := unpack.Unpack(t.Context(), layers, blobs, filepath.Join(t.TempDir(), "r"), unpack.Options{UIDMap: maps, GIDMap: maps})
	if !errors.Is(err, unpack.ErrOwner) || !strings.Contains(err.Error(), `"d/f"`) || !strings.Contains(err.Error(), "uid 999") {
		t.Errorf("outside of the map: %v", err)
	}
	target = filepath.Join(t.TempDir(), "r")
	if _, err := unpack.Unpack(t.Context(), layers, blobs, target, unpack.Options{SingleID: true}); err != nil {
		t.Fatal(err)
	}
	for path, n := range tree(t, target) {
		if n.UID != 0 || n.GID != 0 {
			t.Errorf("%s is owned by %d:%d", path, n.UID, n.GID)
		}
	}
}
