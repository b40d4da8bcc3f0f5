package conformance

import (
	"go/version"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestH11_no_os_Root_for_hostile_trees: os.Root is right from Go 1.26.5 on (CVE-2026-39822), which go.mod
// asks for; what comes out of layers is written through descriptors of our own all the same.
func TestH11_no_os_Root_for_hostile_trees(t *testing.T) {
	raw, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(raw)
	if m == nil || version.Compare("go"+string(m[1]), "go1.26.5") < 0 {
		t.Errorf("go.mod asks for %q, want 1.26.5 or later", m)
	}
	for _, p := range listPackages(t) {
		if p.ImportPath != module+"/unpack" {
			continue
		}
		for _, name := range p.GoFiles {
			if b, err := os.ReadFile(filepath.Join(p.Dir, name)); err != nil || strings.Contains(string(b), "os.OpenRoot") || strings.Contains(string(b), "os.Root") {
				t.Errorf("%s uses os.Root: %v", filepath.Join(p.Dir, name), err)
			}
		}
	}
}

// TestH12_only_names_of_ggcr: go-containerregistry's extraction loses links and whiteouts, its layouts are
// not written atomically: its names are all that is used of it.
func TestH12_only_names_of_ggcr(t *testing.T) {
	for _, p := range listPackages(t) {
		for _, path := range p.Imports {
			if strings.HasPrefix(path, "github.com/google/go-containerregistry/") && path != "github.com/google/go-containerregistry/pkg/name" {
				t.Errorf("%s imports %s", p.ImportPath, path)
			}
		}
	}
}

// TestH67_no_helper_programs: what fetches and unpacks starts no program and asks no name service, which a
// root file system could bring along; a helper for credentials is named by the user.
func TestH67_no_helper_programs(t *testing.T) {
	for _, p := range listPackages(t) {
		if p.ImportPath == module+"/distribution/credential" || strings.HasSuffix(p.ImportPath, "test") {
			continue
		}
		for _, stage := range []string{"/image", "/distribution", "/unpack", "/bundle"} {
			for _, path := range []string{"os/exec", "os/user", "plugin"} {
				if below(p.ImportPath, module+stage) && slices.Contains(p.Imports, path) {
					t.Errorf("%s imports %s", p.ImportPath, path)
				}
			}
		}
	}
}
