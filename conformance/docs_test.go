package conformance

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

type importSpec = ast.ImportSpec

func TestEveryPackageHasDoc(t *testing.T) {
	for _, p := range listPackages(t) {
		if len(p.GoFiles) == 0 {
			continue
		}
		name := "doc.go"
		if slices.Contains(p.GoFiles, "doc_linux.go") {
			name = "doc_linux.go" // a package for Linux alone
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ParseComments)
		if err != nil {
			t.Errorf("%s: %v", p.ImportPath, err)
			continue
		}
		if f.Doc == nil || len(f.Doc.Text()) < 80 {
			t.Errorf("%s: doc.go says nothing about the package", p.ImportPath)
		}
	}
}

func TestEveryExportedNameIsDocumented(t *testing.T) {
	for _, p := range listPackages(t) {
		for _, name := range p.GoFiles {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				for _, missing := range undocumented(d) {
					t.Errorf("%s: %s has no doc comment", fset.Position(d.Pos()), missing)
				}
			}
		}
	}
}

// undocumented gives the exported names of a declaration without a comment of their own or, in a
// group of constants or variables, one on the group.
func undocumented(d ast.Decl) []string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) && !wellKnown(d) {
			return []string{d.Name.Name}
		}
	case *ast.GenDecl:
		var names []string
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
					names = append(names, s.Name.Name)
				}
			case *ast.ValueSpec:
				if d.Doc == nil && s.Doc == nil && s.Comment == nil {
					for _, n := range s.Names {
						if n.IsExported() {
							names = append(names, n.Name)
						}
					}
				}
			}
		}
		return names
	}
	return nil
}

// wellKnown tells that a method is one whose name says all: those of error and fmt.Stringer.
func wellKnown(d *ast.FuncDecl) bool {
	return d.Recv != nil && slices.Contains([]string{"Error", "String", "Unwrap"}, d.Name.Name)
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	t := d.Recv.List[0].Type
	if s, ok := t.(*ast.StarExpr); ok {
		t = s.X
	}
	if g, ok := t.(*ast.IndexExpr); ok {
		t = g.X
	}
	id, ok := t.(*ast.Ident)
	return ok && id.IsExported()
}

func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestReadmeNamesEveryFolder(t *testing.T) {
	text := readme(t)
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && tracked(t, e.Name()) && !strings.Contains(text, "`"+e.Name()+"/`") {
			t.Errorf("README.md does not say what `%s/` is", e.Name())
		}
	}
}

func tracked(t *testing.T, path string) bool {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "--error-unmatch", path)
	cmd.Dir = ".."
	return cmd.Run() == nil
}

// TestReadmeCommandsExist asks the program's own help for each verb and long flag that README.md
// shows in a code block, and the Makefile for each target.
func TestReadmeCommandsExist(t *testing.T) {
	text := readme(t)
	bin := filepath.Join(t.TempDir(), "oci")
	build := exec.Command("go", "build", "-o", bin, "../cmd/oci")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	flag := regexp.MustCompile(`\s(--[a-z][a-z-]*)`)
	help := map[string]string{}
	ask := func(words ...string) string {
		verb := strings.Join(words, " ")
		if _, ok := help[verb]; !ok {
			out, err := exec.Command(bin, append(words, "--help")...).CombinedOutput()
			if err != nil {
				t.Errorf("README.md shows `oci %s`: %v\n%s", verb, err, out)
			}
			help[verb] = string(out)
		}
		return verb
	}
	for _, m := range regexp.MustCompile(`(?m)^\s*(?:\$ )?(?:bin/)?oci ([a-z]+)( [a-z]+)?(.*)$`).FindAllStringSubmatch(codeBlocks(text), -1) {
		verb := ask(m[1])
		if strings.Contains(help[verb], "Available Commands:") {
			verb = ask(m[1], strings.TrimSpace(m[2]))
		}
		for _, f := range flag.FindAllStringSubmatch(m[3], -1) {
			if !strings.Contains(help[verb], f[1]) {
				t.Errorf("README.md shows `oci %s %s`: help has no such flag", verb, f[1])
			}
		}
	}
	mk, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?m)(?:^\\s*|`)make ([a-z-]+)").FindAllStringSubmatch(text, -1) {
		if !regexp.MustCompile(`(?m)^` + m[1] + `:`).Match(mk) {
			t.Errorf("README.md shows `make %s`: no such target", m[1])
		}
	}
}

// codeBlocks is the text inside ``` fences.
func codeBlocks(text string) string {
	var b strings.Builder
	for i, part := range strings.Split(text, "\n```") {
		if i%2 == 1 {
			b.WriteString(part + "\n")
		}
	}
	return b.String()
}

// TestReadmeListsDependencies wants a row of the dependency table, with a licence, for each module
// that a package of this module imports.
func TestReadmeListsDependencies(t *testing.T) {
	text := readme(t)
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	var modules []string
	for _, m := range regexp.MustCompile(`(?m)^\s*(?:require )?([a-z0-9.-]+\.[a-z]+/\S+) v`).FindAllStringSubmatch(string(mod), -1) {
		modules = append(modules, m[1])
	}
	slices.SortFunc(modules, func(a, b string) int { return len(b) - len(a) }) // the longest prefix wins
	direct := map[string]bool{}
	for _, p := range listPackages(t) {
		for _, imp := range p.Imports {
			if i := slices.IndexFunc(modules, func(m string) bool { return below(imp, m) }); i >= 0 {
				direct[modules[i]] = true
			}
		}
	}
	for m := range direct {
		row := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta("`"+m+"`") + ` \|.*(MIT|BSD|Apache|MPL|Unlicense).*\|$`)
		if !row.MatchString(text) {
			t.Errorf("README.md has no row with reason and licence for %s", m)
		}
	}
}

// TestNoPlaceOfWork keeps out of the tree what only one machine or one day knows.
func TestNoPlaceOfWork(t *testing.T) {
	cmd := exec.Command("git", "grep", "-nIE", `/Users/[a-z]|\b(TODO|FIXME|XXX)\b|t\.Skip\(\)`, "--",
		"*.go", "*.md", "Makefile", ".ci", ":!*/testdata/*", ":!conformance/docs_test.go")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err == nil {
		t.Errorf("found:\n%s", out)
	}
}
