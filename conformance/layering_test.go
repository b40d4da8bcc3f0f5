package conformance

import (
	"bytes"
	"encoding/json"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/oci-pipeline/oci"

// layer says what the packages below a folder may import of this module, and what of the
// standard library they must not.
type layer struct {
	folder string
	may    []string // folders, each with what lies below it; "=folder" is that package alone
	not    []string // import paths, each with what lies below it
	why    string
}

// layers is read from the top; the first whose folder holds a package is its rule.
func layers() []layer {
	return []layer{
		{"conformance/spec", nil, []string{"os", "net", "io"}, "data only: the one package that all may import"},
		{"conformance", []string{""}, nil, "the checkers look at everything"},
		{"cmd", []string{""}, nil, "where the stages meet"},
		{"image/reference", []string{"conformance/spec"}, []string{"net"}, "a reference is a string until a stage resolves it"},
		{"image/store", []string{"conformance/spec", "=image", "image/reference", "image/store", "image/internal"}, []string{"net"}, "the store does not know where content comes from"},
		{"image/transport", []string{"conformance/spec", "=image", "image/reference", "image/transport", "image/internal"}, []string{"net"}, "local forms of an image, written into a sink that its caller gives"},
		{"image/validate", []string{"conformance/spec", "=image", "image/reference", "image/transport", "image/internal", "=unpack", "image/validate"}, []string{"net"}, "the judge reads layouts as transports do, and layers as who unpacks them"},
		{"image/internal/pairhash", nil, []string{"os", "net"}, "a hash, which package image hands out"},
		{"image/internal", []string{"conformance/spec", "=image", "image/reference", "image/internal"}, []string{"net"}, "what store and transport share"},
		{"image", []string{"conformance/spec", "image/reference", "image/internal/pairhash"}, []string{"os", "net"}, "the values themselves: what they mean does not depend on a machine"},
		{"distribution", []string{"conformance/spec", "=image", "image/reference", "distribution"}, nil, "the client writes into a sink that its caller gives, not into the store"},
		{"unpack", []string{"conformance/spec", "=image", "unpack"}, []string{"net"}, "layers come from an interface, whatever holds them"},
		{"bundle", []string{"conformance/spec", "bundle"}, []string{"net"}, "a bundle is made from spec structs, not from this project's image type"},
		{"runtime", []string{"conformance/spec", "runtime"}, nil, "a runtime runs any bundle, whoever made it"},
	}
}

// exceptions are imports that a rule forbids and a reason allows.
func exceptions() map[[2]string]string {
	return map[[2]string]string{}
}

// unsafeFiles are the files outside runtime/internal/sys that may import unsafe.
func unsafeFiles() map[string]string {
	return map[string]string{
		"runtime/internal/launch/*_unsafe.go":         "the child between clone3 and execve has no Go runtime: it passes raw pointers to system calls",
		"runtime/internal/cgroup/bpf_unsafe_linux.go": "bpf(2) takes a union that holds pointers, and has no wrapper",
		"unpack/tartest/seccomp_unsafe_linux.go":      "seccomp(2) takes a pointer, and has no wrapper; tests alone use it",
	}
}

type pkg struct {
	ImportPath, Dir string
	GoFiles         []string
	TestGoFiles     []string
	XTestGoFiles    []string
	Imports         []string
}

func listPackages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,TestGoFiles,XTestGoFiles,Imports", "./...")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, errOut.String())
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// below tells whether path is folder or lies below it.
func below(path, folder string) bool {
	return folder == "" || path == folder || strings.HasPrefix(path, folder+"/")
}

func TestLayering(t *testing.T) {
	except := exceptions()
	for _, p := range listPackages(t) {
		path := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		table := layers()
		i := slices.IndexFunc(table, func(l layer) bool { return below(path, l.folder) })
		if i < 0 {
			t.Errorf("%s: no layer holds it: the top level is fixed", path)
			continue
		}
		rule := table[i]
		for _, imp := range p.Imports {
			if _, ok := except[[2]string{path, imp}]; ok {
				continue
			}
			inner, internal := strings.CutPrefix(imp, module+"/")
			if internal && !rule.allows(inner) {
				t.Errorf("%s imports %s: %s", path, inner, rule.why)
			}
			if !internal && !pure(imp) && slices.ContainsFunc(rule.not, func(n string) bool { return below(imp, n) }) {
				t.Errorf("%s imports %s: %s", path, imp, rule.why)
			}
		}
	}
}

// pure tells that a package below net or os only works on values.
func pure(imp string) bool { return imp == "net/url" || imp == "net/netip" }

func (l layer) allows(path string) bool {
	return slices.ContainsFunc(l.may, func(m string) bool {
		if one, ok := strings.CutPrefix(m, "="); ok {
			return path == one
		}
		return below(path, m)
	})
}

func TestUnsafeIsConfined(t *testing.T) {
	allowed := unsafeFiles()
	used := map[string]bool{}
	for _, p := range listPackages(t) {
		dir := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if dir == "runtime/internal/sys" {
			continue
		}
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(f.Imports, func(i *importSpec) bool { return i.Path.Value == `"unsafe"` }) {
				continue
			}
			file, ok := dir+"/"+name, false
			for pattern := range allowed {
				if m, _ := filepath.Match(pattern, file); m {
					ok, used[pattern] = true, true
				}
			}
			if !ok {
				t.Errorf("%s imports unsafe: only runtime/internal/sys and the listed files may", file)
			}
		}
	}
}

// TestNoForbiddenModules keeps out what the house style names.
func TestNoForbiddenModules(t *testing.T) {
	for _, p := range listPackages(t) {
		for _, imp := range p.Imports {
			for _, bad := range []string{"github.com/sirupsen/logrus", "github.com/pkg/errors", "github.com/stretchr/testify", "C"} {
				if below(imp, bad) {
					t.Errorf("%s imports %s", p.ImportPath, imp)
				}
			}
		}
	}
}
