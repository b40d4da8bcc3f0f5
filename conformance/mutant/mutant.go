package mutant

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"testing"
)

// Absent as a value of a patch takes the property away.
const Absent = "(absent)"

// Merge gives base with a patch (RFC 7396, with Absent for null). An object over a list changes the elements that its keys number; one after
// the last is added, a copy of the first being its base.
func Merge(base, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	if list, ok := base.([]any); ok && len(p) > 0 {
		return mergeList(list, p)
	}
	b, ok := base.(map[string]any)
	if !ok {
		b = map[string]any{}
	}
	for k, v := range p {
		if v == Absent {
			delete(b, k)
		} else {
			b[k] = Merge(b[k], v)
		}
	}
	return b
}

func mergeList(list []any, p map[string]any) []any {
	list = slices.Clone(list)
	for _, k := range slices.Sorted(maps.Keys(p)) {
		i, err := strconv.Atoi(k)
		switch {
		case err != nil:
			panic("a patch of an array has the key " + k)
		case i >= len(list):
			list = append(list, Merge(clone(list[0]), p[k]))
		default:
			list[i] = Merge(list[i], p[k])
		}
	}
	return list
}

// clone copies what Merge may change.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = clone(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = clone(e)
		}
		return out
	}
	return v
}

// Everywhere gives the document with each of its values replaced by others, and without it: every nth of those changes. Of a list only the
// first elements are changed, as those of one list are of one kind.
func Everywhere(t testing.TB, raw []byte, nth, elements int) [][]byte {
	t.Helper()
	var doc any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	m := mutator{nth: nth, elements: elements, keep: func() []byte {
		b, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}}
	m.walk(doc)
	return m.out
}

type mutator struct {
	nth, elements, n int
	keep             func() []byte
	out              [][]byte
}

func (m *mutator) changed() {
	if m.n++; m.n%m.nth == 0 {
		m.out = append(m.out, m.keep())
	}
}

func (m *mutator) walk(v any) {
	others := []any{nil, "", "x", -1, 3, 1 << 40, 1.5, true, []any{}, []any{"x"}, []any{1}, map[string]any{}, map[string]any{"x": 1}}
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			old := v[k]
			for _, o := range others {
				v[k] = o
				m.changed()
			}
			delete(v, k)
			m.changed()
			v[k] = old
			m.walk(old)
		}
	case []any:
		for i := range v[:min(len(v), m.elements)] {
			old := v[i]
			for _, o := range others {
				v[i] = o
				m.changed()
			}
			v[i] = old
			m.walk(old)
		}
	}
}
