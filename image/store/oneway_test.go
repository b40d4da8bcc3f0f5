package store

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestIngest_is_the_only_way_in: in the whole project a path in blobs/ is made for writing in two places:
// where an Ingest commits, and where package transport puts a proved blob into a layout of the user's.
// The checkers in conformance make layouts of their own, wrong ones on purpose.
func TestIngest_is_the_only_way_in(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	may := map[string]bool{"image/store/ingest.go": true, "image/transport/exportlayout.go": true}
	writers := map[string]bool{
		"Rename": true, "Link": true, "Symlink": true, "WriteFile": true, "Create": true, "CreateTemp": true, "Renameat2": true, "Replace": true,
	}
	found := make(map[string]int)
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && (strings.HasPrefix(e.Name(), ".") && path != root || e.Name() == "testdata" || e.Name() == "conformance") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			names, writes := false, false
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				s, ok := n.(*ast.SelectorExpr)
				if ok {
					names = names || s.Sel.Name == "BlobPath" || s.Sel.Name == "ImageBlobsDir"
					writes = writes || writers[s.Sel.Name]
				}
				return true
			})
			if names && writes {
				found[filepath.ToSlash(name)]++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range found {
		if !may[name] {
			t.Errorf("%s: writes, and names blobs/: content enters by Ingest and Commit only", name)
		}
	}
	for name := range may {
		if found[name] == 0 {
			t.Errorf("%s writes no blobs any more: this test looks for the wrong thing", name)
		}
	}
}
