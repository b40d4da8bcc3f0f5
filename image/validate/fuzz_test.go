package validate

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// documentTypes are the types of documents that Document knows.
func documentTypes() []string {
	return []string{
		ispec.MediaTypeImageManifest, ispec.MediaTypeImageIndex, ispec.MediaTypeImageConfig, ispec.MediaTypeDescriptor, ispec.MediaTypeLayoutHeader,
		image.DockerManifest, image.DockerManifestList, image.DockerConfig, "",
	}
}

// FuzzDocument: whatever the bytes are, Document ends with a bounded number of problems, each with a place, a clause and a hint, and finds
// some in everything that the strict decoders of package image refuse.
func FuzzDocument(f *testing.F) {
	seen := map[string]bool{}
	for _, r := range matrix(f) {
		for name, text := range r.Bad.build(f).files {
			if len(text) < 2000 && strings.HasPrefix(text, "{") && !seen[text] {
				seen[text] = true
				f.Add([]byte(text), byte(len(name)))
			}
		}
	}
	for _, s := range []string{"", "null", "[]", "{", `{"a":1,"a":2}`, `{"layers":null}`, `{"manifests":[{"platform":null}]}`, "{}x", `{"config":{"Labels":{"a":1,"a":1}}}`} {
		f.Add([]byte(s), byte(len(s)))
	}
	f.Fuzz(func(t *testing.T, raw []byte, which byte) {
		mediaType := documentTypes()[int(which)%len(documentTypes())]
		rep, _ := Document(raw, mediaType)
		if len(rep.Problems) > 3*maxProblems || len(rep.Problems) > rep.Must+rep.Should+rep.May {
			t.Fatalf("%d problems of %d, %d, %d", len(rep.Problems), rep.Must, rep.Should, rep.May)
		}
		for _, p := range rep.Problems {
			if p.Clause.ID == "" && !errors.Is(p.Err, ErrTooLarge) || p.Err == nil || p.Hint == "" || p.Error() == "" {
				t.Fatalf("%+v", p)
			}
		}
		var err error
		switch {
		case image.IsManifest(mediaType):
			_, err = image.DecodeManifest(raw, mediaType)
		case image.IsIndex(mediaType):
			_, err = image.DecodeIndex(raw, mediaType)
		case image.IsConfig(mediaType):
			_, err = image.DecodeConfig(raw)
		}
		if err != nil && len(rep.Problems) == 0 {
			t.Fatalf("nothing is told of what is refused: %v", err)
		}
	})
}

// FuzzLayer: a layer that can be read has no entry that is refused, and one that cannot is told.
func FuzzLayer(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03\x04\x05\x10\x11\x12\x13\x14\x15\x02\x03\x01\x00\x00\x00"), []byte{})
	f.Add([]byte(strings.Repeat("abcdefghijklmnopqrstuvwx", 20)), []byte("\x01\x02\x03\x04\x05\x06"))
	f.Fuzz(func(t *testing.T, program, mutation []byte) {
		tar := tartest.Mutant(tartest.Archive(tartest.Program(program)[0]...), mutation)
		blobs := tartest.Blobs{}
		layer := blobs.Tar(tar)
		limits := unpack.Limits{Entries: 1000, LayerBytes: 8 << 20}
		_, refused := unpack.ReadLayer(t.Context(), layer, blobs, unpack.Options{Limits: limits}, func(*unpack.Entry, io.Reader) error { return nil })
		w := newWalker(newReporter(), blobs, Options{Limits: limits})
		in := &inside{layer: layer, first: visit{target: described{Descriptor: layer.Descriptor}}}
		if err := w.look(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		rep := w.r.done()
		if refused != nil && rep.Must == 0 {
			t.Fatalf("nothing is told of what is refused: %v%s", refused, texts(rep))
		}
		for _, p := range rep.Problems {
			if p.Clause.ID == "" && !errors.Is(p.Err, ErrTooLarge) || p.Hint == "" {
				t.Fatalf("%+v", p)
			}
		}
	})
}

// TestDocumentBounded: documents made to be dear are judged in bounded time and space.
func TestDocumentBounded(t *testing.T) {
	long := strings.Repeat("k", 1<<20)
	many := func(item string, n int) string { return strings.TrimSuffix(strings.Repeat(item+",", n/20), ",") } // a twentieth: the race detector is slow
	for name, raw := range map[string]string{
		"one long key, many problems": `{"layers":[],"annotations":{"` + long + `":1,` + many(`"a":1`, 100000) + `}}`,
		"layers":                      `{"schemaVersion":2,"layers":[` + many(`{}`, 200000) + `]}`,
		"manifests":                   `{"schemaVersion":2,"manifests":[` + many(`{"platform":{"os":"linux","architecture":"amd64"}}`, 40000) + `]}`,
		"names":                       `{"schemaVersion":2,"manifests":[` + many(`{"annotations":{"org.opencontainers.image.ref.name":"a b"}}`, 40000) + `]}`,
		"too many values":             `{"layers":[` + many("1", 20*maxValues) + `]}`,
		"deep":                        `{"layers":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`,
		"deeper than JSON goes":       strings.Repeat(`{"a":`, 100000),
		"env":                         `{"rootfs":{},"config":{"Env":[` + many(`"A"`, 200000) + `]}}`,
		"too large":                   `{"layers":"` + strings.Repeat(long, 9) + `"}`,
	} {
		start := time.Now()
		rep, known := Document([]byte(raw), "")
		bytes := 0
		for _, p := range rep.Problems {
			bytes += len(p.Pointer)
		}
		if !known || rep.Must == 0 || len(rep.Problems) > 3*maxProblems || bytes > maxPlaces+len(long) {
			t.Errorf("%s: known %v, %d MUST, %d problems, %d bytes of pointers", name, known, rep.Must, len(rep.Problems), bytes)
		}
		t.Logf("%s: %v, %d problems", name, time.Since(start), len(rep.Problems))
	}
}

// TestHostileLayout: FIFOs, directories and links where files should be, and files without end, are told and not read.
func TestHostileLayout(t *testing.T) {
	b := recipe{}.build(t)
	dir := b.write(t)
	layer := filepath.Join(dir, "blobs/sha256", b.hex["layer0"])
	zero := filepath.Join(dir, "blobs/sha256", strings.Repeat("0", 64))
	for _, err := range []error{os.Remove(layer), os.Mkdir(layer, 0o755), os.Symlink("/dev/zero", zero), mkfifo(filepath.Join(dir, "blobs/sha256", strings.Repeat("1", 64)))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	rep, err := Layout(t.Context(), dir, Options{})
	if err != nil || rep.Must < 2 {
		t.Fatalf("%v%s", err, texts(rep))
	}
	for name, want := range map[string]string{layer: "not a regular file", zero: "symbolic link", strings.Repeat("1", 64): "not a regular file"} {
		if !strings.Contains(texts(rep), filepath.Base(name)) || !strings.Contains(texts(rep), want) {
			t.Errorf("%s: %s is not told:%s", name, want, texts(rep))
		}
	}
	// A file that grows while it is read has a size all the same.
	if err := os.WriteFile(filepath.Join(dir, "index.json"), bytes.Repeat([]byte(" "), image.MaxManifestSize+1), 0o644); err != nil {
		t.Fatal(err)
	}
	if rep, err := Layout(t.Context(), dir, Options{}); err != nil || !strings.Contains(texts(rep), "too large to be judged") {
		t.Errorf("%v%s", err, texts(rep))
	}
}
