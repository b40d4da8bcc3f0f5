package conformance

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEveryClauseIsCited fails for a clause of the ledger that neither a stage nor a test cites: a duty
// written down and not kept. It also wants each clause's ID to be unique.
func TestEveryClauseIsCited(t *testing.T) {
	names, ids := ledger(t)
	for id, where := range ids {
		if len(where) > 1 {
			t.Errorf("clause ID %s is given to %s", id, strings.Join(where, " and "))
		}
	}
	cited := map[string]bool{}
	for _, p := range listPackages(t) {
		if strings.HasSuffix(p.ImportPath, "/conformance/spec") {
			continue
		}
		for _, name := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles) {
			b, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range names {
				if !cited[n] && strings.Contains(string(b), "spec."+n) {
					cited[n] = true
				}
			}
		}
	}
	for _, n := range names {
		if !cited[n] {
			t.Errorf("neither a stage nor a test cites spec.%s", n)
		}
	}
}

// ledger reads the names of the Clause variables and, by ID, which of them have it.
func ledger(t *testing.T) (names []string, ids map[string][]string) {
	t.Helper()
	ids = map[string][]string{}
	files, err := filepath.Glob("spec/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || len(v.Values) != 1 {
				return true
			}
			lit, ok := v.Values[0].(*ast.CompositeLit)
			if !ok {
				return true
			}
			name := v.Names[0].Name
			names = append(names, name)
			for _, e := range lit.Elts {
				kv, ok := e.(*ast.KeyValueExpr)
				if !ok {
					continue
				}
				if k, ok := kv.Key.(*ast.Ident); ok && k.Name == "ID" {
					if id, ok := kv.Value.(*ast.BasicLit); ok {
						ids[id.Value] = append(ids[id.Value], name)
					}
				}
			}
			return true
		})
	}
	return names, ids
}
