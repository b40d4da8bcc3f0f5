package main

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
)

func TestTemplate(t *testing.T) {
	one := map[string]any{
		"digest": "sha256:x", "size": int64(1 << 60), "none": nil,
		"list": []string{"a", "b"}, "deep": map[string]any{"org.a.b": "dotted", "n": map[string]int{"m": 1}},
	}
	for text, want := range map[string]string{
		"{{.digest}}":                     "sha256:x",
		`{{ .digest }}\t{{.size}}`:        "sha256:x\t1152921504606846976",
		"{{json .digest}}":                `"sha256:x"`,
		"{{.list.1}} {{.list}}":           `b ["a","b"]`,
		"{{.deep.org.a.b}} {{.deep.n.m}}": "dotted 1",
		"<{{.none}}{{.absent}}{{.list.7}}{{.list.-1}}{{.digest.x}}>": "<>",
		"{{json .absent}}": "null",
	} {
		f := formatFlag("text")
		if err := (templateFlag{&f}).Set(text); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var b strings.Builder
		if err := f.write(&b, one); err != nil || b.String() != want+"\n" || !f.json() {
			t.Errorf("%s: %q, %v, want %q", text, b.String(), err, want)
		}
	}
	var b strings.Builder
	if err := formatFlag("{{.n}}").write(&b, []map[string]int{{"n": 1}, {"n": 2}}); err != nil || b.String() != "1\n2\n" {
		t.Errorf("a list: %q, %v", b.String(), err)
	}
	for _, bad := range []string{"{{", "{{.a", "{{a}}", "{{}}", "{{range .a}}", "{{json}}", "{{.a .b}}", "yaml", ""} {
		f := formatFlag("text")
		if err := (templateFlag{&f}).Set(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// FuzzTemplate: what Set accepts can be written, over anything.
func FuzzTemplate(f *testing.F) {
	f.Add("{{.a.0}} {{json .}}", `{"a":["b"]}`)
	f.Fuzz(func(t *testing.T, text, doc string) {
		p, err := parseTemplate(text)
		if err != nil || !json.Valid([]byte(doc)) {
			return
		}
		if err := p.write(io.Discard, json.RawMessage(doc)); err != nil {
			t.Errorf("%q over %q: %v", text, doc, err)
		}
	})
}

// TestH85_json_is_inert: JSON that is printed holds no character that a terminal obeys, and is the same value.
func TestH85_json_is_inert(t *testing.T) {
	in := map[string]string{"k\u009b": "a\u009b31m\u202e\u200f\ufeff\x1b\x7f\u00e9\U000e0001\u4e16"}
	var b strings.Builder
	if err := writeJSON(&b, in); err != nil {
		t.Fatal(err)
	}
	if bad := unsafeRunes(b.String()); bad != "" || !strings.Contains(b.String(), "\u00e9") || !strings.Contains(b.String(), "\u4e16") {
		t.Errorf("%q in %q", bad, b.String())
	}
	var out map[string]string
	if err := json.Unmarshal([]byte(b.String()), &out); err != nil || out["k\u009b"] != in["k\u009b"] {
		t.Errorf("got %q, %v", out, err)
	}
}
