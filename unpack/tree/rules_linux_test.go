package tree_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// rule is one way in which another tool does not do what the model does, and the clause for which the
// model is right.
type rule struct {
	name, clause string
	stack        func(facts) bool                               // explains all differences of a stack
	change       func(f facts, c tree.Change, what string) bool // explains one difference of a path
	refusal      func(want, got error) bool                     // explains that only one of them refuses
}

// justNow tells that a difference is a directory's time, which is that of a moment ago.
func justNow(c tree.Change, what string) bool {
	return c.Kind == tree.Changed && strings.HasPrefix(what, "mtime ") &&
		c.New.Kind == unpack.Directory && time.Since(time.Unix(c.New.Sec, 0)) < time.Hour
}

// oracle is a tool that the model is compared with.
type oracle struct {
	name  string
	make  maker
	safe  func(facts) bool // nil: may be given any stack
	rules []rule
}

// explain gives the rules that explain how a tool differs from the model, and what is not explained.
func (o oracle) explain(tb testing.TB, s stack) (used []string, left string) {
	f := s.facts()
	layers, blobs := s.layersOf()
	dir, err := os.MkdirTemp("", "tree")
	if err != nil {
		tb.Fatal(err)
	}
	defer os.RemoveAll(dir)
	want, wantErr := tree.OfLayers(tb.Context(), layers, blobs, tree.Options{Content: true})
	if o.safe != nil && !o.safe(f) {
		return []string{"not asked: it would follow links out of the root"}, ""
	}
	got, gotErr := o.make(tb, filepath.Join(dir, "d"), layers, blobs)
	switch {
	case wantErr != nil && gotErr != nil:
		return []string{"both refuse"}, ""
	case wantErr != nil || gotErr != nil:
		for _, r := range o.rules {
			if r.refusal != nil && r.refusal(wantErr, gotErr) || r.stack != nil && r.stack(f) {
				return []string{r.name}, ""
			}
		}
		return nil, fmt.Sprintf("model: %v; %s: %v", wantErr, o.name, gotErr)
	}
	return o.explainTrees(f, want, got)
}

// explainTrees is explain for two trees.
func (o oracle) explainTrees(f facts, want, got *tree.Tree) (used []string, left string) {
	var unexplained []string
	changes := tree.Diff(want, got, tree.DiffOptions{Content: true})
	for i, c := range changes {
		if c.Kind != tree.Changed {
			c.What = []string{""}
		}
		for _, what := range c.What {
			n := slices.IndexFunc(o.rules, func(r rule) bool {
				return r.change != nil && r.change(f, c, what) || r.stack != nil && r.stack(f)
			})
			if n < 0 {
				unexplained = append(unexplained, lines(changes[i:i+1])...)
				continue
			}
			used = append(used, o.rules[n].name)
		}
	}
	if len(changes) == 0 {
		used = []string{"same"}
	}
	return used, strings.Join(slices.Compact(unexplained), "\n")
}

func TestOracleTar(t *testing.T) {
	needRoot(t)
	run(t, oracle{name: "GNU tar", make: gnuTar, safe: func(f facts) bool { return !f.throughLink }, rules: tarRules()}, 60)
}

func TestOracleUmoci(t *testing.T) {
	needRoot(t)
	if _, err := exec.LookPath("umoci"); err != nil {
		t.Skip("umoci is not installed")
	}
	run(t, oracle{name: "umoci", make: umoci, rules: umociRules()}, 40)
}

// run compares random stacks, half of them with an entry for each directory, and counts what explains the differences.
func run(t *testing.T, o oracle, n int) {
	counts := map[string]int{}
	failures, alike, tried := 0, 0, seeds(n)
	for seed := range tried {
		raw := randomStack(rand.New(rand.NewPCG(uint64(seed), 3)))
		form := func(raw []byte) stack {
			s := decodeStack(raw)
			if seed%8 != 0 {
				s = s.mend(t)
			}
			if seed%4 != 0 {
				s = s.plain().mend(t)
			}
			if seed%2 == 0 {
				s = s.complete()
			}
			return s
		}
		used, left := o.explain(t, form(raw))
		slices.Sort(used)
		used = slices.Compact(used)
		for _, name := range used {
			counts[name]++
		}
		if len(used) == 1 && (used[0] == "same" || used[0] == timesOfDirectories) {
			alike++
		}
		if left == "" {
			continue
		}
		small := shrink(raw, func(less []byte) bool { _, left := o.explain(t, form(less)); return left != "" })
		_, left = o.explain(t, form(small))
		t.Errorf("seed %d: %x\n%s%s", seed, small, form(small), left)
		if failures++; failures == 12 {
			t.Fatal("more are not tried")
		}
	}
	for name, n := range counts {
		clause := ""
		for _, r := range o.rules {
			if r.name == name {
				clause = " [" + r.clause + "]"
			}
		}
		t.Logf("%4d of %d stacks: %s%s", n, tried, name, clause)
	}
	t.Logf("%4d of %d stacks: nothing but times of directories", alike, tried)
	if alike == 0 {
		t.Error("no stack gave the same tree")
	}
}

const timesOfDirectories = "a directory has the time of the last change in it"

// commonRules are those of both.
func commonRules() []rule {
	return []rule{
		{
			name: "an implied directory has a group, setgid bit or attributes of directories that were there", clause: "layer.md is silent: a directory without an entry",
			change: func(_ facts, c tree.Change, what string) bool {
				return c.Kind == tree.Changed && c.Old.Implicit && c.New.Kind == unpack.Directory && !strings.HasPrefix(what, "mtime ")
			},
		},
		{
			name: timesOfDirectories, clause: "layer.md#file-attributes (mtime)",
			change: func(_ facts, c tree.Change, what string) bool { return justNow(c, what) },
		},
		{
			name: "no directory is made for a whiteout alone (Docker and containerd make it, as for any entry)", clause: "layer.md#whiteouts",
			change: func(_ facts, c tree.Change, _ string) bool { return c.Kind == tree.Removed && onlyImplied(c.Old) },
		},
		{
			name: "a name that a layer has twice", clause: "layer.md#distributable-format (a producer must not)",
			change: func(f facts, c tree.Change, _ string) bool { return under(f.twice, c.Path) },
		},
		{
			name: "libarchive's records of xattrs are not known", clause: "layer.md#file-attributes (xattrs)",
			change: func(f facts, _ tree.Change, what string) bool {
				return f.libarchive && what == `xattr "security.capability" removed`
			},
		},
		{
			name: "ACLs as text, as star writes them, are not known (GNU tar: without --acls)", clause: "layer.md#file-attributes (xattrs)",
			change: func(f facts, _ tree.Change, what string) bool {
				return f.acls && strings.HasPrefix(what, `xattr "system.posix_acl_`) && strings.HasSuffix(what, `" removed`)
			},
		},
		{
			name: "whiteouts that name nothing, are no files, or hold files, are not refused", clause: "layer.md#whiteouts",
			refusal: func(want, got error) bool { return got == nil && errors.Is(want, unpack.ErrWhiteout) },
		},
		{
			name: "devices 0/0, which would be whiteouts to overlayfs, are made", clause: "layer.md#whiteouts",
			refusal: func(want, got error) bool { return got == nil && errors.Is(want, unpack.ErrDevice) },
		},
		{
			name: "a hardlink to itself is taken for done", clause: "layer.md#hardlinks",
			refusal: func(want, got error) bool {
				return got == nil && want != nil && strings.Contains(want.Error(), "hardlink to itself")
			},
		},
		{
			name: "an entry below a file of its own or a lower layer is refused", clause: "layer.md#changeset-over-existing-files (replaced)",
			stack: func(f facts) bool { return f.belowFile },
		},
	}
}

// onlyImplied tells that no layer has an entry for a directory or anything in it.
func onlyImplied(n *tree.Node) bool {
	err := (&tree.Tree{Root: n}).Walk(func(_ string, n *tree.Node) error {
		if !n.Implicit {
			return errors.New("an entry")
		}
		return nil
	})
	return err == nil
}

// under tells that a path, or a directory above it, is one of some.
func under(paths map[string]bool, p string) bool {
	for p != "" && p != "." && !paths[p] {
		p = path.Dir(p)
	}
	return paths[p]
}

func tarRules() []rule {
	return append(commonRules(),
		rule{
			name: "a directory that a layer describes anew keeps other xattrs", clause: "layer.md#changeset-over-existing-files (attributes are replaced)",
			change: func(_ facts, c tree.Change, what string) bool {
				return strings.HasPrefix(what, "xattr ") && strings.HasSuffix(what, " added") && c.New.Kind == unpack.Directory
			},
		},
		rule{
			name: "a directory keeps a setgid bit that it inherited, against its entry", clause: "layer.md#file-attributes (mode)",
			change: func(_ facts, c tree.Change, what string) bool {
				return strings.HasPrefix(what, "mode ") && c.New.Kind == unpack.Directory && c.New.Mode == c.Old.Mode|0o2000
			},
		},
		rule{
			name: "AUFS's files with many names are not known", clause: "layer.md#whiteouts",
			stack: func(f facts) bool { return f.aufs },
		},
		rule{
			name: "a hardlink to a file of the layers below that the layer also hides: here whiteouts come first", clause: "layer.md#hardlinks",
			stack: func(f facts) bool { return f.hiddenLink },
		},
	)
}

func umociRules() []rule {
	return append(commonRules(),
		rule{
			name: "symbolic links of lower layers are followed, where a layer by itself cannot know them", clause: "layer.md#applying-changesets",
			stack: func(f facts) bool { return f.throughLink },
		},
		rule{
			name: "AUFS's own files are shown", clause: "layer.md#whiteouts",
			change: func(_ facts, c tree.Change, _ string) bool { return strings.HasPrefix(c.Path, ".wh..wh.") },
		},
		rule{
			name: "user xattrs of what is neither file nor directory are refused, not left out", clause: "layer.md#file-attributes (xattrs), xattr(7)",
			refusal: func(want, got error) bool {
				return want == nil && strings.Contains(got.Error(), "restore xattr metadata") && strings.Contains(got.Error(), "operation not permitted")
			},
		},
	)
}
