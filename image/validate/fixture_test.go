package validate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/mutant"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// recipe is how a layout differs from a right one. Patches are of RFC 7396, with "(absent)" for what is to go, and with numbers for
// elements of arrays.
type recipe struct {
	Config   json.RawMessage
	Manifest json.RawMessage
	Inner    json.RawMessage  // of an index between index.json and the manifest, which is there if this is
	Index    json.RawMessage  // of index.json
	Layers   [][]memberRecipe // instead of one layer with one file
	Packed   string           // how layers are compressed, whatever their media type says: gzip, zstd, none, xz; a layer of "text" is no tar
	Swapped  bool             // DiffIDs are in the order of the layers from the top
	Files    map[string]any   // a text, or null for a file that is to go
}

// memberRecipe is an entry of a layer.
type memberRecipe struct {
	Name, Link, Body, Type string
	Major, Minor, UID      int64
	PAX                    map[string]string
}

func (m memberRecipe) entry() tartest.Entry {
	return tartest.Entry{Name: m.Name, Link: m.Link, Body: m.Body, Type: cmp.Or(m.Type, "0")[0], Major: m.Major, Minor: m.Minor, UID: m.UID, PAX: m.PAX}
}

// built is a layout as files, and what is in it.
type built struct {
	files map[string]string
	hex   map[string]string // of "config", "manifest", "inner", "layer0", ...
}

// expand puts digests for the names in braces.
func (b built) expand(s string) string {
	return regexp.MustCompile(`\{(config|manifest|inner|layer\d)\}`).ReplaceAllStringFunc(s, func(m string) string { return b.hex[m[1:len(m)-1]] })
}

// write makes a directory of the layout.
func (b built) write(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range b.files {
		path := filepath.Join(dir, name)
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// pack makes a tar of the layout, which takes a tenth of the time.
func (b built) pack(t testing.TB, dir string) string {
	t.Helper()
	var entries []tartest.Entry
	for _, name := range slices.Sorted(maps.Keys(b.files)) {
		text := b.files[name]
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			entries = append(entries, tartest.Symlink(name, target))
		} else if strings.HasSuffix(name, "/") {
			entries = append(entries, tartest.Dir(name))
		} else {
			entries = append(entries, tartest.File(name, text))
		}
	}
	file := filepath.Join(dir, "layout.tar")
	if err := os.WriteFile(file, tartest.Archive(entries...), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// blob adds content under its digest and gives its descriptor.
func (b built) blob(name, mediaType string, raw []byte) map[string]any {
	d := digest.FromBytes(raw)
	b.files["blobs/sha256/"+d.Encoded()] = string(raw)
	b.hex[name] = d.Encoded()
	return map[string]any{"mediaType": mediaType, "digest": string(d), "size": len(raw)}
}

// build makes a layout.
func (r recipe) build(t testing.TB) built {
	t.Helper()
	b := built{files: map[string]string{"oci-layout": `{"imageLayoutVersion": "1.0.0"}`, "blobs/": ""}, hex: map[string]string{}}
	layers := r.Layers
	if layers == nil {
		layers = [][]memberRecipe{{{Name: "etc/", Type: "5"}, {Name: "etc/motd", Body: "hello"}}}
	}
	var descriptors, diffIDs, history []any
	for i, l := range layers {
		d, diffID := r.layer(b, i, l)
		descriptors, diffIDs, history = append(descriptors, d), append(diffIDs, diffID), append(history, map[string]any{"created_by": "test"})
	}
	if r.Swapped {
		slices.Reverse(diffIDs)
	}
	config := patched(t, map[string]any{
		"created": "2026-01-31T15:04:05Z", "architecture": "amd64", "os": "linux", "config": map[string]any{},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs}, "history": history,
	}, r.Config)
	manifest := patched(t, map[string]any{
		"schemaVersion": 2, "mediaType": ispec.MediaTypeImageManifest,
		"config": b.blob("config", ispec.MediaTypeImageConfig, config), "layers": descriptors,
	}, r.Manifest)
	entry := b.blob("manifest", ispec.MediaTypeImageManifest, manifest)
	entry["platform"] = map[string]any{"architecture": "amd64", "os": "linux"}
	if r.Inner != nil {
		inner := patched(t, map[string]any{"schemaVersion": 2, "mediaType": ispec.MediaTypeImageIndex, "manifests": []any{entry}}, r.Inner)
		entry = b.blob("inner", ispec.MediaTypeImageIndex, inner)
	}
	entry["annotations"] = map[string]any{ispec.AnnotationRefName: "latest"}
	b.files["index.json"] = string(patched(t, map[string]any{
		"schemaVersion": 2, "mediaType": ispec.MediaTypeImageIndex, "manifests": []any{entry},
	}, json.RawMessage(b.expand(string(r.Index)))))
	for name, text := range r.Files {
		name = b.expand(name)
		if text == nil {
			delete(b.files, name)
			delete(b.files, name+"/")
			continue
		}
		b.files[name] = b.expand(fmt.Sprint(text))
	}
	return b
}

func (r recipe) layer(b built, i int, members []memberRecipe) (any, any) {
	var entries []tartest.Entry
	for _, m := range members {
		entries = append(entries, m.entry())
	}
	tar := tartest.Archive(entries...)
	if len(members) == 1 && members[0].Name == "" {
		tar = []byte(members[0].Body) // no tar at all
	}
	blob := gzipped(tar)
	switch r.Packed {
	case "none":
		blob = tar
	case "zstd":
		blob = tartest.Zstd(tar)
	case "xz":
		blob = append([]byte("\xfd7zXZ\x00"), make([]byte, 600)...)
	case "cut":
		blob = blob[:len(blob)/2]
	}
	return b.blob("layer"+strconv.Itoa(i), ispec.MediaTypeImageLayerGzip, blob), string(digest.FromBytes(tar))
}

// gzipped compresses without the tables of a compressor, which take longer than all else here.
func gzipped(b []byte) []byte {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.StatelessCompression)
	if err != nil {
		panic(err)
	}
	if _, err := z.Write(b); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// patched is a document with a patch.
func patched(t testing.TB, base any, patch json.RawMessage) []byte {
	t.Helper()
	raw, err := json.Marshal(base)
	if err != nil {
		t.Fatal(err)
	}
	if len(patch) == 0 {
		return raw
	}
	var b, p any
	for raw, v := range map[string]*any{string(raw): &b, string(patch): &p} {
		d := json.NewDecoder(strings.NewReader(raw))
		d.UseNumber()
		if err := d.Decode(v); err != nil {
			t.Fatalf("%v: %s", err, raw)
		}
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(mutant.Merge(b, p)); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(out.Bytes())
}

// judged is the report of a layout that a recipe makes, by way of a tar in dir.
func (r recipe) judged(t testing.TB, dir string, o Options) (built, Report) {
	t.Helper()
	b := r.build(t)
	rep, err := Layout(t.Context(), b.pack(t, dir), o)
	if err != nil {
		t.Fatal(err)
	}
	return b, rep
}
