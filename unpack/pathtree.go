package unpack

import (
	"slices"
	"strings"
)

// pathTree holds a value for each of some paths. Those at and below a path are found without a look at the others: a
// layer may have millions of them, and ask once an entry.
type pathTree[V any] struct {
	root pathNode[V]
	len  int
	last int // number of the value put last
}

// pathNode is one component of a path.
type pathNode[V any] struct {
	value *numbered[V] // nil: there are only paths below
	below map[string]*pathNode[V]
}

// numbered is a value and its place in the order in which they were put.
type numbered[V any] struct {
	number int
	value  V
}

// get gives the value at path.
func (t *pathTree[V]) get(path string) (v V, ok bool) {
	if t.len == 0 {
		return v, false
	}
	n := &t.root
	for comp := range strings.SplitSeq(path, "/") {
		if n = n.below[comp]; n == nil {
			return v, false
		}
	}
	if n.value == nil {
		return v, false
	}
	return n.value.value, true
}

// put sets the value at path, in place of one that is there.
func (t *pathTree[V]) put(path string, v V) {
	n := &t.root
	for comp := range strings.SplitSeq(path, "/") {
		next := n.below[comp]
		if next == nil {
			if n.below == nil {
				n.below = map[string]*pathNode[V]{}
			}
			next = &pathNode[V]{}
			n.below[comp] = next
		}
		n = next
	}
	if n.value == nil {
		t.len++
	}
	t.last++
	n.value = &numbered[V]{t.last, v}
}

// take takes out the value at path, and with below those below it too. It gives them in the order in which they
// were put, and tells whether there was one at path.
func (t *pathTree[V]) take(path string, below bool) (taken []V, there bool) {
	if t.len == 0 {
		return nil, false
	}
	var way []*pathNode[V]
	n := &t.root
	for comp := range strings.SplitSeq(path, "/") {
		way = append(way, n)
		if n = n.below[comp]; n == nil {
			return nil, false
		}
	}
	there = n.value != nil
	if below {
		taken = ordered(n)
		n.below = nil
	} else if there {
		taken = []V{n.value.value}
	}
	n.value = nil
	t.len -= len(taken)
	for rest := path; len(way) > 0 && n.value == nil && len(n.below) == 0; { // a directory of nothing goes
		up, name := split(rest)
		n = way[len(way)-1]
		delete(n.below, name)
		way, rest = way[:len(way)-1], up
	}
	return taken, there
}

// all gives the values in the order in which they were put.
func (t *pathTree[V]) all() []V { return ordered(&t.root) }

// ordered gives the values at and below a node in the order in which they were put.
func ordered[V any](n *pathNode[V]) []V {
	var list []*numbered[V]
	var collect func(n *pathNode[V])
	collect = func(n *pathNode[V]) {
		if n.value != nil {
			list = append(list, n.value)
		}
		for _, c := range n.below {
			collect(c)
		}
	}
	collect(n)
	slices.SortFunc(list, func(a, b *numbered[V]) int { return a.number - b.number })
	var values []V
	for _, v := range list {
		values = append(values, v.value)
	}
	return values
}
