package validate

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// rule is an element of testdata/validate/matrix.json: a sentence of image-spec that a layout can break.
type rule struct {
	Says    string // the sentence, shortened
	Clause  string // the ID in the ledger
	Where   string // the file where the problem is told
	Pointer string
	Entry   string
	Bad     recipe
	Good    []recipe // the same, right
}

func matrix(t testing.TB) []rule {
	t.Helper()
	raw, err := os.ReadFile("testdata/validate/matrix.json")
	if err != nil {
		t.Fatal(err)
	}
	var rules []rule
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.DisallowUnknownFields()
	if err := d.Decode(&rules); err != nil {
		t.Fatal(err)
	}
	return rules
}

func (r rule) problem(b built, rep Report) *Problem {
	for _, p := range rep.Problems {
		if p.Where == b.expand(r.Where) && p.Pointer == r.Pointer && p.Entry == r.Entry && p.Clause.ID == r.Clause {
			return p
		}
	}
	return nil
}

// TestMatrix: each rule has a layout that breaks it and one that keeps it, and is told at its place with its clause, and a hint.
func TestMatrix(t *testing.T) {
	shown, dir := map[string]bool{}, t.TempDir()
	for _, r := range matrix(t) {
		t.Run(r.Clause+strings.ReplaceAll(r.Pointer+r.Entry, "/", "_"), func(t *testing.T) {
			shown[r.Clause] = true
			o := Options{NoLayers: !strings.HasPrefix(r.Clause, "IS-T") && !slices.Contains([]string{"IS-C2", "IS-M5", "IS-D3", "IS-L2"}, r.Clause)}
			b, rep := r.Bad.judged(t, dir, o)
			if p := r.problem(b, rep); p == nil {
				t.Errorf("%s: not told: %v", r.Says, texts(rep))
			} else if p.Hint == "" || p.Clause.URL() == "" {
				t.Errorf("%s: %v has no hint or address", r.Says, p)
			}
			if len(r.Good) == 0 {
				r.Good = []recipe{{}}
			}
			for _, good := range r.Good {
				b, rep := good.judged(t, dir, o)
				if p := r.problem(b, rep); p != nil {
					t.Errorf("%s: %v", r.Says, p)
				}
			}
		})
	}
	for id, c := range judgedClauses() {
		t.Run(id, func(t *testing.T) {
			if c.ID != id || !shown[id] {
				t.Errorf("no rule in the matrix for %v", c)
			}
		})
	}
	for id := range shown {
		if _, ok := judgedClauses()[id]; !ok {
			t.Errorf("%s is in the matrix and not in the list", id)
		}
	}
}

func texts(r Report) string {
	var b strings.Builder
	for _, p := range r.Problems {
		b.WriteString("\n\t" + p.Error())
	}
	return b.String()
}

// TestRight: a layout that is right has no problem at all.
func TestRight(t *testing.T) {
	for name, r := range map[string]recipe{"plain": {}, "nested": {Inner: json.RawMessage("{}")}, "zstd": {
		Packed: "zstd", Manifest: json.RawMessage(`{"layers": {"0": {"mediaType": "application/vnd.oci.image.layer.v1.tar+zstd"}}}`),
	}} {
		if _, rep := r.judged(t, t.TempDir(), Options{}); len(rep.Problems) > 0 || rep.Layers != 1 || rep.Blobs < 3 || rep.Must+rep.Should+rep.May > 0 {
			t.Errorf("%s: %+v%s", name, rep, texts(rep))
		}
	}
}

// judgedClauses are those of the ledger that an image or a layout can break.
func judgedClauses() map[string]spec.Clause {
	all := commonClauses()
	for _, more := range []map[string]spec.Clause{manifestClauses(), configClauses(), layerClauses()} {
		maps.Copy(all, more)
	}
	return all
}

// TestZip: a layout in a zip is judged as one in a directory.
func TestZip(t *testing.T) {
	b := recipe{Config: json.RawMessage(`{"os": "(absent)"}`)}.build(t)
	file := filepath.Join(t.TempDir(), "layout.zip")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(f)
	for name, text := range b.files {
		m, err := w.Create(name)
		if err == nil {
			_, err = m.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	rep, err := Layout(t.Context(), file, Options{})
	if err != nil || rep.Must != 1 || rep.Layers != 1 || !strings.Contains(texts(rep), "#/os: required") {
		t.Errorf("%v, %+v%s", err, rep, texts(rep))
	}
}

// commonClauses are those of descriptors, annotations and the texts for all documents.
func commonClauses() map[string]spec.Clause {
	return map[string]spec.Clause{
		"IS-D1":  spec.DescriptorMediaType,
		"IS-D2":  spec.DescriptorDigest,
		"IS-D3":  spec.DescriptorSize,
		"IS-D5":  spec.DescriptorAlgorithm,
		"IS-D6":  spec.DescriptorData,
		"IS-D7":  spec.DescriptorArtifact,
		"IS-D8":  spec.DescriptorURLs,
		"IS-D9":  spec.DescriptorURLScheme,
		"IS-D10": spec.DescriptorSHA256,
		"IS-D11": spec.DescriptorPlatform,
		"IS-D12": spec.DescriptorArtifactOf,
		"IS-X2":  spec.DocumentJSON,
		"IS-X3":  spec.MediaTypeConflict,
		"IS-X5":  spec.MediaTypeDocker,
		"IS-X6":  spec.DocumentSyntax,
		"IS-X7":  spec.DocumentCase,
		"IS-X8":  spec.DocumentAmbiguous,
		"IS-A1":  spec.AnnotationRules,
		"IS-A2":  spec.AnnotationBase,
		"IS-A3":  spec.AnnotationDomain,
		"IS-A4":  spec.AnnotationPrefix,
		"IS-A5":  spec.AnnotationCreated,
		"IS-A6":  spec.AnnotationRefPlace,
		"IS-A7":  spec.AnnotationURL,
		"IS-A8":  spec.AnnotationLicenses,
		"IS-A9":  spec.AnnotationRefName,
		"IS-A10": spec.AnnotationBaseDigest,
		"IS-A11": spec.AnnotationLabels,
	}
}

// manifestClauses are those of manifests and indexes.
func manifestClauses() map[string]spec.Clause {
	return map[string]spec.Clause{
		"IS-M1":  spec.ManifestSchema,
		"IS-M2":  spec.ManifestEmptyConfig,
		"IS-M4":  spec.ManifestLayers,
		"IS-M5":  spec.ManifestLayerOrder,
		"IS-M6":  spec.ManifestEmpty,
		"IS-M7":  spec.ManifestNoSubject,
		"IS-M8":  spec.ManifestMediaType,
		"IS-M9":  spec.ManifestMediaTypeUse,
		"IS-M10": spec.ManifestArtifactType,
		"IS-M11": spec.ManifestConfig,
		"IS-M12": spec.ManifestArtifact,
		"IS-M13": spec.ManifestNoLayers,
		"IS-M14": spec.ManifestLayerType,
		"IS-M15": spec.ManifestSubject,
		"IS-M16": spec.ManifestEmptyLayer,
		"IS-I1":  spec.IndexManifests,
		"IS-I4":  spec.IndexSchema,
		"IS-I5":  spec.IndexMediaType,
		"IS-I6":  spec.IndexMediaTypeUse,
		"IS-I7":  spec.IndexArtifactType,
		"IS-I8":  spec.IndexPortable,
		"IS-I9":  spec.PlatformRequired,
		"IS-I10": spec.PlatformName,
		"IS-I11": spec.PlatformFeature,
		"IS-I12": spec.PlatformVariant,
		"IS-I13": spec.PlatformReserved,
		"IS-I14": spec.PlatformTwice,
		"IS-I15": spec.IndexSubject,
		"IS-I16": spec.PlatformConfig,
	}
}

// configClauses are those of configs and layouts.
func configClauses() map[string]spec.Clause {
	return map[string]spec.Clause{
		"IS-L1":  spec.LayoutFiles,
		"IS-L2":  spec.LayoutBlobs,
		"IS-L3":  spec.LayoutExtra,
		"IS-L5":  spec.LayoutName,
		"IS-L6":  spec.LayoutMissing,
		"IS-L7":  spec.LayoutVersion,
		"IS-L8":  spec.LayoutRefName,
		"IS-L9":  spec.LayoutRegular,
		"IS-C1":  spec.ConfigRequired,
		"IS-C2":  spec.ConfigDiffID,
		"IS-C4":  spec.ConfigUser,
		"IS-C7":  spec.ConfigRootfsType,
		"IS-C8":  spec.ConfigDiffIDs,
		"IS-C9":  spec.ConfigTime,
		"IS-C10": spec.ConfigPlatform,
		"IS-C11": spec.ConfigVariant,
		"IS-C12": spec.ConfigFeature,
		"IS-C13": spec.ConfigType,
		"IS-C14": spec.ConfigPort,
		"IS-C15": spec.ConfigEnv,
		"IS-C16": spec.ConfigVolume,
		"IS-C17": spec.ConfigWorkingDir,
		"IS-C18": spec.ConfigStopSignal,
		"IS-C19": spec.ConfigDeprecated,
		"IS-C20": spec.ConfigHistory,
	}
}

// layerClauses are those of layers.
func layerClauses() map[string]spec.Clause {
	return map[string]spec.Clause{
		"IS-T1":  spec.LayerTar,
		"IS-T2":  spec.LayerAttributes,
		"IS-T3":  spec.LayerHardlink,
		"IS-T5":  spec.LayerWhiteout,
		"IS-T7":  spec.LayerRepresenting,
		"IS-T10": spec.LayerForeign,
		"IS-T11": spec.LayerDuplicate,
		"IS-T12": spec.LayerGzip,
		"IS-T13": spec.LayerZstd,
		"IS-T14": spec.LayerRelative,
		"IS-T15": spec.LayerDangling,
		"IS-T16": spec.LayerWhiteoutFile,
		"IS-T17": spec.LayerAUFS,
		"IS-T18": spec.LayerWhiteoutOrder,
		"IS-T19": spec.LayerExplicit,
		"IS-T20": spec.LayerSparse,
		"IS-T21": spec.LayerFileType,
		"IS-T22": spec.LayerHostXattr,
	}
}

// BenchmarkDocument: a manifest of 20 layers, and a config with as many.
func BenchmarkDocument(b *testing.B) {
	layers := make([][]memberRecipe, 20)
	for i := range layers {
		layers[i] = []memberRecipe{{Name: strings.Repeat("a", i+1)}}
	}
	made := recipe{Layers: layers}.build(b)
	manifest, config := made.files["blobs/sha256/"+made.hex["manifest"]], made.files["blobs/sha256/"+made.hex["config"]]
	b.SetBytes(int64(len(manifest) + len(config)))
	for b.Loop() {
		for _, raw := range []string{manifest, config} {
			if r, known := Document([]byte(raw), ""); !known || len(r.Problems) > 0 {
				b.Fatal(texts(r))
			}
		}
	}
}
