package unpack

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestPathTree: it does what a list in the order of put would do, looked at from end to end.
func TestPathTree(t *testing.T) {
	type item struct {
		path  string
		value int
	}
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var tree pathTree[int]
		var list []item
		values := func(list []item) (v []int) {
			for _, it := range list {
				v = append(v, it.value)
			}
			return v
		}
		for step := range 200 {
			comps := []string{"a", "b", "ab", "\xff", "c"}
			path := comps[rnd.IntN(5)]
			for rnd.IntN(2) == 0 {
				path += "/" + comps[rnd.IntN(5)]
			}
			at := slices.IndexFunc(list, func(it item) bool { return it.path == path })
			switch rnd.IntN(3) {
			case 0:
				if at >= 0 {
					list = slices.Delete(list, at, at+1)
				}
				list = append(list, item{path, step})
				tree.put(path, step)
			case 1:
				v, ok := tree.get(path)
				if ok != (at >= 0) || ok && v != list[at].value {
					t.Fatalf("seed %d, step %d: get %q: %d, %v", seed, step, path, v, ok)
				}
			case 2:
				below := rnd.IntN(2) == 0
				var want, rest []item
				for _, it := range list {
					if it.path == path || below && strings.HasPrefix(it.path, path+"/") {
						want = append(want, it)
					} else {
						rest = append(rest, it)
					}
				}
				got, there := tree.take(path, below)
				if there != (at >= 0) || !slices.Equal(got, values(want)) {
					t.Fatalf("seed %d, step %d: take %q, %v: %v, %v, not %v", seed, step, path, below, got, there, want)
				}
				list = rest
			}
			if got := tree.all(); !slices.Equal(got, values(list)) || tree.len != len(list) {
				t.Fatalf("seed %d, step %d: %d: %v, not %v", seed, step, tree.len, got, list)
			}
		}
		for _, it := range list {
			tree.take(it.path, false)
		}
		if len(tree.root.below) > 0 {
			t.Fatalf("seed %d: an empty tree keeps %d directories", seed, len(tree.root.below))
		}
	}
}
