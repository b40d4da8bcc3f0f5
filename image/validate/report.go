package validate

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/oci-pipeline/oci/conformance/spec"
)

const (
	// maxProblems is how many problems of a level are kept: 100,000 lines help nobody.
	maxProblems = 1000
	// maxPlaces bounds the bytes of their pointers and names, as one key may be 8 MiB long and stand in each of them.
	maxPlaces = 4 << 20
)

// Report is what was found.
type Report struct {
	Problems  Problems // ordered by place; not all, if there are too many of a level
	Must      int      // how many there are of each level
	Should    int
	May       int
	Documents int   // that were judged
	Layers    int   // whose entries were read
	Blobs     int   // whose content was read and hashed
	Bytes     int64 // of these
}

// reporter collects a Report. Several goroutines may use it.
type reporter struct {
	mu     sync.Mutex
	places int
	Report
}

func newReporter() *reporter { return new(reporter) }

func (r *reporter) add(p *Problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := &r.Must
	switch p.Level() {
	case spec.Should:
		n = &r.Should
	case spec.May:
		n = &r.May
	}
	*n++
	r.places += len(p.Pointer) + len(p.Entry)
	if *n > maxProblems || r.places > maxPlaces && *n > 10 { // a few of each level stay, whatever came before
		return
	}
	if r.places > maxPlaces {
		p.Pointer = clip(p.Pointer)
	}
	r.Problems = append(r.Problems, p)
}

// count notes work that was done.
func (r *reporter) count(f func(*Report)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.Report)
}

func (r *reporter) done() Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Problems.sort()
	return r.Report
}

// doc is where a document is judged.
type doc struct {
	r        *reporter
	where    string
	nullable bool // null is as good as absent: config.md says so of itself, and no other text does
	index    bool // it is the index.json of a layout
}

func (d *doc) add(pointer string, c spec.Clause, hint string, kind error, format string, args ...any) {
	err := kind
	if format != "" {
		err = fmt.Errorf("%w: %s", kind, fmt.Sprintf(format, args...))
	}
	d.r.add(&Problem{Where: d.where, Pointer: pointer, Clause: c, Err: err, Hint: hint})
}

// is asks for a type.
func (d *doc) is(n *node, k kind, pointer string, c spec.Clause) bool {
	if n.kind == k {
		return true
	}
	d.add(pointer, c, string(k), ErrType, "want %s, found %s", k, n.kind)
	return false
}

// member gives what an object has under a key, of the right type; nil if it has none, or a wrong one, which is told.
func (d *doc) member(n *node, k kind, pointer, key string, c spec.Clause) *node {
	v := n.get(key)
	if v == nil || d.nullable && v.kind == null || !d.is(v, k, under(pointer, key), c) {
		return nil
	}
	return v
}

// required is member for what must be there.
func (d *doc) required(n *node, k kind, pointer, key string, c spec.Clause, hint string) *node {
	v := n.get(key)
	if v == nil || d.nullable && v.kind == null {
		d.add(under(pointer, key), c, hint, ErrMissing, "")
		return nil
	}
	return d.member(n, k, pointer, key, c)
}

// string gives a string under a key, and whether there is one.
func (d *doc) string(n *node, pointer, key string, c spec.Clause) (string, bool) {
	if v := d.member(n, text, pointer, key, c); v != nil {
		return v.text, true
	}
	return "", false
}

// strings gives the elements of an array of strings; those of other types are "", and told.
func (d *doc) strings(n *node, pointer, key string, c spec.Clause) []string {
	v := d.member(n, array, pointer, key, c)
	if v == nil {
		return nil
	}
	list := make([]string, len(v.values))
	for i, e := range v.values {
		if d.is(e, text, at(under(pointer, key), i), c) {
			list[i] = e.text
		}
	}
	return list
}

// names tells of keys that differ from a name of the specification only in case.
func (d *doc) names(n *node, pointer string, names ...string) {
	for _, key := range n.keys {
		if slices.Contains(names, key) {
			continue
		}
		for _, name := range names {
			if strings.EqualFold(key, name) {
				d.add(under(pointer, key), spec.DocumentCase, name, ErrUnusual, "a property that readers which do not tell case apart take for %s", name)
			}
		}
	}
}

// twice tells of keys that occur more than once, here and below.
func (d *doc) twice(n *node, pointer string, free bool) {
	seen := make(map[string]bool, len(n.keys))
	for i, v := range n.values {
		if n.kind == array {
			d.twice(v, at(pointer, i), false)
			continue
		}
		key := n.keys[i]
		if seen[key] {
			c := spec.DocumentJSON
			if free {
				c = spec.AnnotationRules
			}
			d.add(under(pointer, key), c, "each key once", ErrDuplicateKey, "readers may take one or the other")
		}
		seen[key] = true
		if len(v.values) > 0 {
			d.twice(v, under(pointer, key), !free && (key == "annotations" || key == "Labels"))
		}
	}
}

// oneOf tells whether a value is one of some words, and tells if not.
func (d *doc) oneOf(pointer string, c spec.Clause, value string, words []string) bool {
	if slices.Contains(words, value) {
		return true
	}
	d.add(pointer, c, "one of "+strings.Join(words, ", "), ErrInvalid, "%q", clip(value))
	return false
}

// clip bounds what of a string of the document gets into a text.
func clip(s string) string {
	const limit = 160 // a sha512 digest fits
	if len(s) > limit {
		return strings.ToValidUTF8(s[:limit], "") + "..."
	}
	return s
}
