package bundle

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/oci-pipeline/oci/conformance/mutant"
)

// specDir is where the module of runtime-spec lies, with its schema and the examples of that.
func specDir(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/opencontainers/runtime-spec").Output()
	if err != nil || len(bytes.TrimSpace(out)) == 0 {
		t.Skipf("no sources of runtime-spec: %v", err)
	}
	return filepath.Join(string(bytes.TrimSpace(out)), "schema")
}

// officialSchema is the schema of config.json of runtime-spec 1.3.
func officialSchema(t *testing.T, dir string) *jsonschema.Schema {
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
		raw = bytes.ReplaceAll(raw, []byte(`"#definitions/`), []byte(`"#/definitions/`)) // a slip of defs.json 1.3.0
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource("http://spec/"+filepath.Base(f), doc); err != nil {
			t.Fatal(err)
		}
	}
	s, err := c.Compile("http://spec/config-schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// schemaOnly is what the schema refuses and Judge does not take for a MUST, and why.
func schemaOnly() map[string]string {
	return map[string]string{
		`: got null, want`:          "null leaves a property absent, as for encoding/json of every runtime in Go (RS-CF3 SHOULD)",
		`/resources/pids': missing`: "config-linux.md#pids has limit OPTIONAL since 1.3, as has specs-go",
		`/rootfsPropagation': `:     "config-linux.md#rootfs-mount-propagation lists four words, mount(2) and every runtime take the recursive ones (rslave) too",
		`/cpu/affinity': got array`: "config-windows.md#cpu has an array of objects, as has specs-go; the schema has one object",
		`/jail/host': value must`:   "the empty word is as good as none for specs-go (omitempty)",
		`/jail/vnet': value must`:   "the same",
		`fileMode': maximum`:        "RS-CL20 SHOULD: engines write bits of the type into fileMode, which runtimes mask away",
	}
}

func explained(err error) bool {
	var v *jsonschema.ValidationError
	if !errors.As(err, &v) {
		return false
	}
	text := err.Error()
	for part := range schemaOnly() {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// dated gives an example that claims a version of before 1.0 the one that it is an example of.
func dated(raw []byte) []byte {
	return bytes.ReplaceAll(raw, []byte(`"0.5.0-dev"`), []byte(`"1.3.0"`))
}

// TestJudgeSchemaCorpus: the examples of the schema of runtime-spec are judged as their folders say.
func TestJudgeSchemaCorpus(t *testing.T) {
	dir := specDir(t)
	for folder, bad := range map[string]bool{"good": false, "bad": true} {
		files, err := filepath.Glob(filepath.Join(dir, "test", "config", folder, "*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no examples in %s: %v", folder, err)
		}
		for _, f := range files {
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if must := Judge(dated(raw), "").Problems.Must(); (len(must) > 0) != bad {
				t.Errorf("%s/%s: %v", folder, filepath.Base(f), must)
			}
		}
	}
}

// TestJudgeSchema: whatever the schema of runtime-spec refuses has a problem of level MUST, for every
// example of the matrix and for every change of one value in the examples of the schema.
func TestJudgeSchema(t *testing.T) {
	dir := specDir(t)
	schema := officialSchema(t, dir)
	checked, refused := 0, 0
	try := func(raw []byte) {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		checked++
		if err := schema.Validate(doc); err != nil {
			refused++
			if must := Judge(raw, "").Problems.Must(); len(must) == 0 && !explained(err) {
				t.Errorf("%v\n%s", err, short(raw))
			}
		}
	}
	for _, r := range matrix(t) {
		try(merged(t, r.Bad))
		for _, good := range r.Good {
			try(merged(t, good))
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "test", "config", "good", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, changed := range mutant.Everywhere(t, dated(raw), 5, 3) {
			try(changed)
		}
	}
	t.Logf("%d configs, %d refused by the schema", checked, refused)
}

var blanks = regexp.MustCompile(`\s+`)

func short(raw []byte) string {
	s := blanks.ReplaceAllString(string(raw), " ")
	return s[:min(len(s), 1500)]
}
