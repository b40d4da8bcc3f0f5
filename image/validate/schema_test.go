package validate

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/oci-pipeline/oci/conformance/mutant"
	"github.com/oci-pipeline/oci/image"
)

// schemaDir is where the module of image-spec lies, with its schema and the tests of that.
func schemaDir(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/opencontainers/image-spec").Output()
	if err != nil || len(bytes.TrimSpace(out)) == 0 {
		t.Skipf("no sources of image-spec: %v", err)
	}
	return filepath.Join(string(bytes.TrimSpace(out)), "schema")
}

// schemas are those of image-spec, by the media type of what they are for.
func schemas(t *testing.T, dir string) map[string]*jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft4)
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		for _, base := range []string{"https://opencontainers.org/schema/image/", "https://opencontainers.org/schema/", "https://opencontainers.org/schema/image/index/"} { // the ids are below these
			if err := c.AddResource(base+filepath.Base(f), doc); err != nil {
				t.Fatal(err)
			}
		}
	}
	out := map[string]*jsonschema.Schema{}
	for mediaType, name := range map[string]string{
		ispec.MediaTypeImageConfig: "config-schema.json", ispec.MediaTypeImageManifest: "image-manifest-schema.json",
		ispec.MediaTypeImageIndex: "image-index-schema.json", ispec.MediaTypeDescriptor: "content-descriptor.json", ispec.MediaTypeLayoutHeader: "image-layout-schema.json",
	} {
		if out[mediaType], err = c.Compile("https://opencontainers.org/schema/image/" + name); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// schemaOnly is what the schema refuses and Document does not take for a MUST, and why.
func schemaOnly() map[string]string {
	return map[string]string{
		"/layers': minItems": "manifest.md has a word for it: layers SHOULD have an entry (IS-M13)",
		"got null, want":     "config.md#properties: any OPTIONAL field MAY be null, which is equivalent to being absent",
	}
}

func explained(err error, mediaType string) bool {
	var v *jsonschema.ValidationError
	if !errors.As(err, &v) {
		return false
	}
	for part := range schemaOnly() {
		if strings.Contains(err.Error(), part) && (mediaType == ispec.MediaTypeImageConfig || !strings.Contains(part, "null")) {
			return true
		}
	}
	return false
}

// example is one case of the tests of the schema.
type example struct {
	mediaType, text string
	bad             bool
}

// corpus reads the cases out of the source of the tests of the schema.
func corpus(t *testing.T, dir string) []example {
	t.Helper()
	types := map[string]string{
		"config": ispec.MediaTypeImageConfig, "manifest": ispec.MediaTypeImageManifest, "imageIndex": ispec.MediaTypeImageIndex,
		"descriptor": ispec.MediaTypeDescriptor, "imageLayout": ispec.MediaTypeLayoutHeader,
	}
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var list []example
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok || lit.Type != nil {
				return true
			}
			var e example
			for _, field := range lit.Elts {
				kv, ok := field.(*ast.KeyValueExpr)
				if !ok {
					return true
				}
				key, _ := kv.Key.(*ast.Ident)
				if s, ok := kv.Value.(*ast.BasicLit); ok && key != nil && types[key.Name] != "" {
					e.mediaType = types[key.Name]
					if e.text, err = strconv.Unquote(s.Value); err != nil {
						t.Fatal(err)
					}
				}
				if v, ok := kv.Value.(*ast.Ident); ok && key != nil && key.Name == "fail" {
					e.bad = v.Name == "true"
				}
			}
			if e.text != "" {
				list = append(list, e)
			}
			return true
		})
	}
	return list
}

// TestSchemaCorpus: what the tests of the schema of image-spec take for wrong has a problem of level MUST, and what they take for right
// has none.
func TestSchemaCorpus(t *testing.T) {
	list := corpus(t, schemaDir(t))
	if len(list) < 50 {
		t.Fatalf("%d cases were found in the tests of the schema", len(list))
	}
	bad := 0
	for _, e := range list {
		docker := strings.Contains(e.text, "vnd.docker") // those tests put OCI's types for them, as for what means the same
		mediaType := e.mediaType
		if docker {
			mediaType = map[string]string{ispec.MediaTypeImageManifest: image.DockerManifest, ispec.MediaTypeImageIndex: image.DockerManifestList}[mediaType]
		}
		rep, known := Document([]byte(e.text), mediaType)
		if e.bad {
			bad++
		}
		if strings.Contains(e.text, `"layers": []`) && e.bad && rep.Must == 0 && strings.Contains(texts(rep), "IS-M13") {
			continue // see schemaOnly
		}
		if !known || (rep.Must > 0) != e.bad {
			t.Errorf("%s, bad is %v:%s\n%s", e.mediaType, e.bad, texts(rep), e.text)
		}
	}
	t.Logf("%d cases, %d of them wrong", len(list), bad)
}

// TestSchema: whatever the schema of image-spec refuses has a problem of level MUST, for every change of one value in the examples of its
// tests that are right.
func TestSchema(t *testing.T) {
	dir := schemaDir(t)
	schema := schemas(t, dir)
	checked, refused := 0, 0
	for _, e := range corpus(t, dir) {
		if e.bad || strings.Contains(e.text, "vnd.docker") {
			continue
		}
		for _, raw := range mutant.Everywhere(t, []byte(e.text), 3, 2) {
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			checked++
			if err := schema[e.mediaType].Validate(doc); err != nil {
				refused++
				if rep, _ := Document(raw, e.mediaType); rep.Must == 0 && !explained(err, e.mediaType) {
					t.Errorf("%s: %v%s\n%s", e.mediaType, err, texts(rep), raw)
				}
			}
		}
	}
	if refused < 100 {
		t.Errorf("the schema refused %d of %d documents", refused, checked)
	}
	t.Logf("%d documents, %d refused by the schema", checked, refused)
}
