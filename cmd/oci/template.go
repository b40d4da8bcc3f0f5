package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// registerOutput is register for a verb that takes a template too.
func (f *formatFlag) registerOutput(fs *pflag.FlagSet) {
	*f = "text"
	fs.Var(templateFlag{f}, "format", "`format` of the output: text, json, or a template such as '{{.digest}}' over the JSON")
}

// templateFlag is a formatFlag that may be a template.
type templateFlag struct{ *formatFlag }

// Set accepts a template beside the formats.
func (f templateFlag) Set(s string) error {
	if !strings.Contains(s, "{{") {
		return f.formatFlag.Set(s)
	}
	if _, err := parseTemplate(s); err != nil {
		return err
	}
	*f.formatFlag = formatFlag(s)
	return nil
}

// write prints v as JSON or as the template says.
func (f formatFlag) write(w io.Writer, v any) error {
	if f == "json" {
		return writeJSON(w, v)
	}
	t, err := parseTemplate(string(f))
	if err != nil {
		return err
	}
	return t.write(w, v)
}

// A template is text with places where {{.name}} stands for what the JSON of a verb has under the name:
// {{.a.b}} goes deeper, {{.list.0}} into a list, {{json .name}} gives JSON, {{.}} all. It is no more than
// that on purpose: text/template in this program would keep the linker from leaving out what nothing
// calls, and make every start slower.
type template []templatePart

type templatePart struct {
	text   string   // if path is nil
	path   []string // empty is all
	asJSON bool
}

func parseTemplate(s string) (template, error) {
	var t template
	s = strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace(s)
	for {
		before, rest, found := strings.Cut(s, "{{")
		if before != "" {
			t = append(t, templatePart{text: before})
		}
		if !found {
			return t, nil
		}
		inside, after, closed := strings.Cut(rest, "}}")
		if !closed {
			return nil, errors.New(`template: "{{" without "}}"`)
		}
		words := strings.Fields(inside)
		p := templatePart{path: []string{}, asJSON: len(words) == 2 && words[0] == "json"}
		if p.asJSON {
			words = words[1:]
		}
		if len(words) != 1 || !strings.HasPrefix(words[0], ".") {
			return nil, fmt.Errorf("template: {{%s}}: want {{.name}} or {{json .name}}", inside)
		}
		if path := words[0][1:]; path != "" {
			p.path = strings.Split(path, ".")
		}
		t = append(t, p)
		s = after
	}
}

// write prints the template on a line; of a list, on a line for each element.
func (t template) write(w io.Writer, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	var doc any
	if err := d.Decode(&doc); err != nil {
		return err
	}
	list, ok := doc.([]any)
	if !ok {
		list = []any{doc}
	}
	for _, one := range list {
		line, err := t.line(one)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

func (t template) line(doc any) (string, error) {
	var b strings.Builder
	for _, p := range t {
		if p.path == nil {
			b.WriteString(p.text)
			continue
		}
		v := lookUpPath(doc, p.path)
		text, plain := v.(string)
		switch {
		case v == nil && !p.asJSON: // what is absent is nothing
		case plain && !p.asJSON:
			b.WriteString(text)
		default:
			raw, err := json.Marshal(v)
			if err != nil {
				return "", err
			}
			b.Write(raw)
		}
	}
	return b.String(), nil
}

// lookUpPath gives what is under the names, nil if there is nothing. Annotations have names with dots:
// the longest name that is there wins.
func lookUpPath(v any, path []string) any {
	if len(path) == 0 {
		return v
	}
	switch v := v.(type) {
	case map[string]any:
		for n := len(path); n > 0; n-- {
			if below, ok := v[strings.Join(path[:n], ".")]; ok {
				return lookUpPath(below, path[n:])
			}
		}
	case []any:
		if i, err := strconv.Atoi(path[0]); err == nil && i >= 0 && i < len(v) {
			return lookUpPath(v[i], path[1:])
		}
	}
	return nil
}
