package yaml

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// plainYAML gives a value as encoding/json would, with all scalars texts.
func plainYAML(n *Node) any {
	switch n.Kind {
	case KindList:
		list := []any{}
		for _, v := range n.List {
			list = append(list, plainYAML(v))
		}
		return list
	case KindMap:
		m := map[string]any{}
		for _, k := range n.Keys {
			m[k.Name] = plainYAML(k.Value)
		}
		return m
	}
	if n.Absent() {
		return nil
	}
	return n.Text
}

func TestYAMLValues(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     `null`,
		"a: b":                                 `{"a":"b"}`,
		"---\na: 1.20 # c\nb:\n":               `{"a":"1.20","b":null}`,
		"a:\n  b:\n    - c\n    - d\n":         `{"a":{"b":["c","d"]}}`,
		"a:\n- b\n- c\nd: e":                   `{"a":["b","c"],"d":"e"}`,
		"- a: 1\n  b: 2\n-\n  c: 3\n- - x\n":   `[{"a":"1","b":"2"},{"c":"3"},["x"]]`,
		"a: [b, \"c, d\", 'it''s', []]":        `{"a":["b","c, d","it's",[]]}`,
		"a: {b: c, \"d\": [e]}":                `{"a":{"b":"c","d":["e"]}}`,
		"host:5000:\n  x: y:z":                 `{"host:5000":{"x":"y:z"}}`,
		"\"k: 1\": \"a#b \\u0041\"\nu: a#b #c": `{"k: 1":"a#b A","u":"a#b"}`,
		"a: '# no comment' # one\r\nb: \"\"\n": `{"a":"# no comment","b":""}`,
	} {
		n, err := Parse([]byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var doc any
		if err := json.Unmarshal([]byte(want), &doc); err != nil {
			t.Fatal(err)
		}
		if got := plainYAML(n); !reflect.DeepEqual(got, doc) {
			t.Errorf("%q: got %v, want %s", text, got, want)
		}
	}
}

// TestYAMLRefused: what could be meant in another way is refused, with its line.
func TestYAMLRefused(t *testing.T) {
	for text, want := range map[string]string{
		"a: &x b":                            "line 1:",
		"a: *x":                              "line 1:",
		"a: !!str b":                         "line 1:",
		"a: |\n  b":                          "line 1:",
		"a: b\na: c":                         `line 2: "a" is there twice`,
		"a: b\n  c":                          "line 2: it is indented deeper",
		"a:\n    b: c\n  d: e":               "line 3:",
		"a:\n\tb: c":                         "line 2: a tab",
		"a: b\n---\nc: d":                    "line 2: more than one document",
		"%YAML 1.2":                          "line 1: directives",
		"a: [b":                              "line 1: want a comma or ']'",
		"a: [b} ]":                           "line 1:",
		"a: \"b":                             "line 1: a quotation",
		"a: b: c":                            "line 1:",
		"<<: x\n":                            "line 1:",
		"a: " + strings.Repeat("[", 100):     "line 1: more than 16",
		strings.Repeat("- ", 100) + "x":      "line 1: more than 16",
		"a: \"\\x41\"":                       "line 1:",
		"- a\nb: c":                          "line 2:",
		"a: b\n- c":                          "line 2:",
		"a: 'b' c":                           "line 1:",
		"a: {b}":                             "line 1:",
		"registry:\n  images:\n  - a\n x: y": "line 4:",
	} {
		if n, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, %v, want an error with %q", text, n, err, want)
		}
	}
}

// FuzzYAML: whatever it is, it is read or refused; and what is read is what JSON says, if it is JSON on
// one line.
func FuzzYAML(f *testing.F) {
	for _, s := range []string{"a: b", `{"a": ["b", {"c": "d"}]}`, "- a\n- b: c\n", "a:\n  - [x, 'y']\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := Parse([]byte(s))
		if err != nil {
			return
		}
		if raw, err := json.Marshal(plainYAML(n)); err != nil || len(raw) > 1<<20+16*len(s) {
			t.Errorf("%d bytes became %d: %v", len(s), len(raw), err)
		}
	})
}
