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

// shownElsewhere are clauses that no error cites and no test is named after, and where they are shown.
func shownElsewhere() map[string]string {
	return map[string]string{
		"StateUnknown": "cmd/oci/testdata/script/container.txtar asks for the state of a deleted container",
	}
}

// TestEveryClauseIsCited fails for a clause of the ledger that neither a stage nor a test cites: a duty
// written down and not kept. It also wants an ID to mean one clause, whatever names it has.
func TestEveryClauseIsCited(t *testing.T) {
	names, ids := ledger(t)
	idOf := map[string]string{}
	for id, where := range ids {
		for _, n := range where {
			idOf[n] = id
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
				if !cited[n] && (strings.Contains(string(b), "spec."+n) || namesDuty(name, string(b), idOf[n])) {
					cited[n] = true
				}
			}
		}
	}
	elsewhere := shownElsewhere()
	for _, n := range names {
		if _, ok := elsewhere[n]; ok == cited[n] {
			if ok {
				t.Errorf("spec.%s is cited now: it need not be listed here", n)
				continue
			}
			t.Errorf("neither a stage nor a test cites spec.%s", n)
		}
	}
}

// namesDuty tells that a test file names the ID of a duty, as it is written or in a function's name.
func namesDuty(file, text, id string) bool {
	if id == "" || !strings.HasSuffix(file, "_test.go") {
		return false
	}
	for _, form := range []string{id, strings.ReplaceAll(id, "-", "_")} {
		for rest := text; ; {
			_, after, found := strings.Cut(rest, form)
			if !found {
				break
			}
			if after == "" || after[0] < '0' || after[0] > '9' { // IS-T1 is not in IS-T10
				return true
			}
			rest = after
		}
	}
	return false
}

// ledger reads the names of the Clause variables and, by ID, which of them have it.
func ledger(t *testing.T) (names []string, ids map[string][]string) {
	t.Helper()
	ids = map[string][]string{}
	meaning := map[string]string{}
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
			if id := clauseID(lit); id != "" {
				if said := text(lit); meaning[id] != "" && meaning[id] != said {
					t.Errorf("clause ID %s is %s and %s", id, meaning[id], said)
				} else {
					meaning[id] = said
				}
				ids[id] = append(ids[id], name)
			}
			return true
		})
	}
	return names, ids
}

// clauseID is the ID of a Clause literal, with or without names of fields.
func clauseID(lit *ast.CompositeLit) string {
	for i, e := range lit.Elts {
		kv, keyed := e.(*ast.KeyValueExpr)
		if keyed {
			if k, ok := kv.Key.(*ast.Ident); !ok || k.Name != "ID" {
				continue
			}
			e = kv.Value
		} else if i > 0 {
			return ""
		}
		if s, ok := e.(*ast.BasicLit); ok {
			return strings.Trim(s.Value, `"`)
		}
	}
	return ""
}

// text is the strings of a literal.
func text(lit *ast.CompositeLit) string {
	var all []string
	ast.Inspect(lit, func(n ast.Node) bool {
		if s, ok := n.(*ast.BasicLit); ok {
			all = append(all, s.Value)
		}
		return true
	})
	return strings.Join(all, " ")
}
