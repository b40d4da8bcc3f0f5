package conformance

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A duty is one line of testdata/duties.txt.
type duty struct {
	id, level, spec, section, text string
	later                          bool // nothing here has it yet; text is why
}

// TestEveryDutyHasANamedTest fails for an ID of the ledger that no test, subtest or script has in
// its name, and for a name with an ID that the ledger does not have.
func TestEveryDutyHasANamedTest(t *testing.T) {
	list := duties(t)
	named := namedDuties(t)
	for _, d := range list {
		switch _, ok := named[d.id]; {
		case ok && d.later:
			t.Errorf("%s has a test now (%s): it is later no more", d.id, named[d.id])
		case !ok && !d.later:
			t.Errorf("no test is named after %s (%s)", d.id, d.text)
		}
	}
	for id, where := range named {
		if !slices.ContainsFunc(list, func(d duty) bool { return d.id == id }) {
			t.Errorf("%s names %s, which testdata/duties.txt does not have", where, id)
		}
	}
}

// TestLedgerAgrees: a clause that errors cite is the one that the list of duties has under its ID.
func TestLedgerAgrees(t *testing.T) {
	_, ids := ledger(t)
	list := duties(t)
	clauses := clauseTexts(t)
	for id, names := range ids {
		if strings.HasPrefix(id, "RS-") || strings.HasPrefix(id, "H-") {
			continue // the runtime's own list; hazards have no clause of their own
		}
		i := slices.IndexFunc(list, func(d duty) bool { return d.id == id })
		if i < 0 {
			t.Errorf("%s (%s) is in spec and not in testdata/duties.txt", id, names)
			continue
		}
		d := list[i]
		for _, n := range names {
			if c := clauses[n]; c != d.level+" "+d.spec+" "+d.section {
				t.Errorf("%s is %s %s %s in testdata/duties.txt, and %s in spec.%s", id, d.level, d.spec, d.section, c, n)
			}
		}
	}
}

func duties(t *testing.T) []duty {
	t.Helper()
	raw, err := os.ReadFile("testdata/duties.txt")
	if err != nil {
		t.Fatal(err)
	}
	var list []duty
	for n, line := range strings.Split(string(raw), "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		var d duty
		if d.later = f[0] == "later"; d.later {
			f = f[1:]
		}
		bad := len(f) < 3 || !dutyID().MatchString(f[0])
		if !bad {
			d.id, d.level = f[0], f[1]
			d.text = strings.Join(f[2:], " ")
			if d.level != "-" {
				_, d.text, _ = strings.Cut(line, ": ")
				d.spec, d.section, bad = f[2], strings.TrimSuffix(f[3], ":"), d.text == ""
			}
		}
		if bad || slices.ContainsFunc(list, func(o duty) bool { return o.id == d.id }) {
			t.Fatalf("testdata/duties.txt:%d: %q", n+1, line)
		}
		list = append(list, d)
	}
	return list
}

func dutyID() *regexp.Regexp {
	return regexp.MustCompile(`^(?:DC-\d\d|DS-\d\d|H-\d\d|IS-[A-Z]\d{1,2})$`)
}

// inName finds IDs in the name of a function or a script, where "_" may stand for "-" or for nothing.
func inName() *regexp.Regexp {
	return regexp.MustCompile(`(?:^|_|Test|Fuzz)(DC|DS|H|IS)[-_]?([A-Z]?\d{1,2})(?:_|$)`)
}

// atStart finds the IDs at the start of the name of a subtest.
func atStart() *regexp.Regexp {
	return regexp.MustCompile(`^(?:(DC|DS|H|IS)[-_]?([A-Z]?\d{1,2})(?:[ _]|$))`)
}

// namedDuties gives the IDs that tests carry in their names, and one place of each.
func namedDuties(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	functions, subtests := inName(), atStart()
	note := func(where string, re *regexp.Regexp, name string) {
		for name != "" {
			m := re.FindStringSubmatchIndex(name)
			if m == nil {
				return
			}
			id := name[m[2]:m[3]] + "-" + name[m[4]:m[5]]
			if dutyID().MatchString(id) {
				found[id] = where + " " + name
			}
			if m[5] == len(name) {
				return
			}
			name = name[m[5]:] // the separator may begin the next
		}
	}
	err := filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			if err == nil && path != ".." && strings.HasPrefix(e.Name(), ".") {
				return filepath.SkipDir
			}
			return err
		}
		if script, ok := strings.CutSuffix(e.Name(), ".txtar"); ok {
			note(path, functions, script)
			return nil
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				note(path, functions, fn.Name.Name)
				for _, name := range subtestNames(fn) {
					note(path, subtests, name)
				}
				continue
			}
			for _, name := range subtestNames(decl) { // tables that a function gives
				note(path, subtests, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// subtestNames gives the strings below n that are where names of subtests are: the argument of
// t.Run, a key of a map, the first field of a table's entry or the one called name.
func subtestNames(n ast.Node) []string {
	var names []string
	add := func(e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil {
				names = append(names, s)
			}
		}
	}
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Run" && len(n.Args) == 2 {
				add(n.Args[0])
			}
		case *ast.CompositeLit:
			if len(n.Elts) > 0 {
				add(n.Elts[0])
			}
		case *ast.KeyValueExpr:
			add(n.Key)
			if k, ok := n.Key.(*ast.Ident); ok && k.Name == "name" {
				add(n.Value)
			}
		}
		return true
	})
	return names
}

// clauseTexts gives, by the name of its variable, the level, specification and section of a clause.
func clauseTexts(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("spec/*.go")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, file := range files {
		raw, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		for s := bufio.NewScanner(raw); s.Scan(); {
			name, rest, ok := strings.Cut(strings.TrimSpace(s.Text()), "= Clause{")
			if !ok {
				continue
			}
			var level string
			for _, l := range []string{"Must", "Should", "May"} {
				if strings.Contains(rest, l+",") {
					level = strings.ToUpper(l)
				}
			}
			q := strings.Split(rest, `"`)
			if len(q) > 5 {
				out[strings.TrimSpace(name)] = level + " " + q[3] + " " + q[5]
			}
		}
		_ = raw.Close()
	}
	return out
}

// TestEveryFuzzTargetHasACorpus: inputs that were found to matter are kept in testdata/fuzz, where every run
// of the tests meets them again.
func TestEveryFuzzTargetHasACorpus(t *testing.T) {
	n := 0
	for _, p := range listPackages(t) {
		for _, name := range slices.Concat(p.TestGoFiles, p.XTestGoFiles) {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, decl := range f.Decls {
				fn, ok := decl.(*ast.FuncDecl)
				if !ok || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Fuzz") {
					continue
				}
				n++
				if list, err := os.ReadDir(filepath.Join(p.Dir, "testdata", "fuzz", fn.Name.Name)); err != nil || len(list) == 0 {
					t.Errorf("%s: %s has no corpus in testdata/fuzz", p.ImportPath, fn.Name.Name)
				}
			}
		}
	}
	if n == 0 {
		t.Error("no fuzz target was found")
	}
}
