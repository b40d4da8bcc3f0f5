package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// This file reads the part of YAML that lists for synchronising are written in: block mappings and lists,
// lists and mappings in brackets on one line, plain and quoted scalars, comments. Anchors, tags, block
// scalars, scalars of several lines and several documents are refused, each with its line. A whole YAML
// library costs 0.13 ms of package initialisation (276 allocations) in every start of the program; and
// here 1.20 is the text 1.20, which no tag wants otherwise.

// yamlNode is one value: a scalar, a list or a mapping.
type yamlNode struct {
	line   int
	text   string // of a scalar; plain "", "~" and "null" are an absent value
	quoted bool
	list   []*yamlNode
	keys   []yamlKey
	kind   yamlKind
}

type yamlKind int

const (
	yamlScalar yamlKind = iota
	yamlList
	yamlMap
)

type yamlKey struct {
	name  string
	line  int
	value *yamlNode
}

// absent tells whether nothing is there.
func (n *yamlNode) absent() bool {
	return n.kind == yamlScalar && !n.quoted && (n.text == "" || n.text == "~" || n.text == "null")
}

// maxYAMLDepth bounds values within values.
const maxYAMLDepth = 16

type yamlLine struct {
	indent, number int
	text           string
}

type yamlParser struct {
	lines []yamlLine
	depth int
}

func yamlErrorf(line int, format string, args ...any) error {
	return fmt.Errorf("line %d: "+format, append([]any{line}, args...)...)
}

// parseYAML reads one document.
func parseYAML(raw []byte) (*yamlNode, error) {
	p := &yamlParser{}
	for i, text := range strings.Split(strings.TrimPrefix(string(raw), "\ufeff"), "\n") {
		if err := p.add(strings.TrimRight(text, "\r"), i+1); err != nil {
			return nil, err
		}
	}
	if len(p.lines) == 0 {
		return &yamlNode{line: 1}, nil
	}
	n, err := p.block(p.lines[0].indent)
	if err == nil && len(p.lines) > 0 {
		err = yamlErrorf(p.lines[0].number, "it is indented as nothing before it is")
	}
	return n, err
}

// add takes a line without its comment; one without anything is left out.
func (p *yamlParser) add(text string, number int) error {
	text, err := uncomment(text)
	if err != nil {
		return yamlErrorf(number, "%w", err)
	}
	content := strings.TrimLeft(text, " ")
	switch {
	case content == "" || text == "---" && len(p.lines) == 0:
		return nil
	case text == "---" || text == "...":
		return yamlErrorf(number, "more than one document")
	case content[0] == '\t':
		return yamlErrorf(number, "a tab indents it: use spaces")
	case text[0] == '%':
		return yamlErrorf(number, "directives are not understood")
	}
	p.lines = append(p.lines, yamlLine{len(text) - len(content), number, content})
	return nil
}

// uncomment cuts a comment and the spaces before it: "#" at the start or after a space, outside quotes.
func uncomment(s string) (string, error) {
	var quote byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote == '"' && c == '\\':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
		case (c == '"' || c == '\'') && (i == 0 || strings.IndexByte(" [{,:-", s[i-1]) >= 0):
			quote = c
		case c == '#' && (i == 0 || s[i-1] == ' ' || s[i-1] == '\t'):
			return strings.TrimRight(s[:i], " \t"), nil
		}
	}
	if quote != 0 {
		return "", errors.New("a quotation does not end on its line")
	}
	return strings.TrimRight(s, " \t"), nil
}

// block reads the value whose lines are indented by so many spaces.
func (p *yamlParser) block(indent int) (*yamlNode, error) {
	if p.depth++; p.depth > maxYAMLDepth {
		return nil, yamlErrorf(p.lines[0].number, "more than %d values within each other", maxYAMLDepth)
	}
	defer func() { p.depth-- }()
	l := p.lines[0]
	if isItem(l.text) {
		return p.items(indent)
	}
	_, _, ok, err := splitKey(l.text)
	switch {
	case err != nil:
		return nil, yamlErrorf(l.number, "%w", err)
	case ok:
		return p.mapping(indent)
	}
	p.lines = p.lines[1:]
	return inlineYAML(l.text, l.number)
}

func isItem(text string) bool { return text == "-" || strings.HasPrefix(text, "- ") }

// items reads "- value" lines.
func (p *yamlParser) items(indent int) (*yamlNode, error) {
	n := &yamlNode{line: p.lines[0].number, kind: yamlList}
	for len(p.lines) > 0 && p.lines[0].indent == indent && isItem(p.lines[0].text) {
		l := &p.lines[0]
		rest := strings.TrimLeft(l.text[1:], " ")
		var item *yamlNode
		var err error
		if rest == "" {
			item, err = p.below(indent, *l)
		} else {
			// What follows "- " is indented as deep as it stands.
			l.indent += len(l.text) - len(rest)
			l.text = rest
			item, err = p.block(l.indent)
		}
		if err != nil {
			return nil, err
		}
		n.list = append(n.list, item)
	}
	return n, p.deeper(indent)
}

// mapping reads "key: value" lines.
func (p *yamlParser) mapping(indent int) (*yamlNode, error) {
	n := &yamlNode{line: p.lines[0].number, kind: yamlMap}
	for len(p.lines) > 0 && p.lines[0].indent == indent {
		l := p.lines[0]
		key, rest, ok, err := splitKey(l.text)
		if err == nil && (!ok || isItem(l.text)) {
			err = errors.New("want key: value")
		}
		if err != nil {
			return nil, yamlErrorf(l.number, "%w", err)
		}
		var v *yamlNode
		if rest == "" {
			v, err = p.below(indent, l)
		} else {
			p.lines = p.lines[1:]
			v, err = inlineYAML(rest, l.number)
		}
		if err == nil {
			err = n.put(key, l.number, v)
		}
		if err != nil {
			return nil, err
		}
	}
	return n, p.deeper(indent)
}

// below reads the value of a key or an item that has nothing on its own line.
func (p *yamlParser) below(indent int, l yamlLine) (*yamlNode, error) {
	p.lines = p.lines[1:]
	if len(p.lines) == 0 || p.lines[0].indent < indent || p.lines[0].indent == indent && (isItem(l.text) || !isItem(p.lines[0].text)) {
		return &yamlNode{line: l.number}, nil
	}
	return p.block(p.lines[0].indent)
}

// deeper refuses a line that is indented deeper than what has just ended.
func (p *yamlParser) deeper(indent int) error {
	if len(p.lines) > 0 && p.lines[0].indent > indent {
		return yamlErrorf(p.lines[0].number, "it is indented deeper than what it belongs to; values of several lines are not understood")
	}
	return nil
}

func (n *yamlNode) put(key string, line int, v *yamlNode) error {
	if slices.ContainsFunc(n.keys, func(k yamlKey) bool { return k.name == key }) {
		return yamlErrorf(line, "%s is there twice", quote(key))
	}
	n.keys = append(n.keys, yamlKey{key, line, v})
	return nil
}

// splitKey splits "key: value"; ok is false if there is no key.
func splitKey(s string) (key, rest string, ok bool, err error) {
	if s[0] == '"' || s[0] == '\'' {
		text, after, err := cutQuoted(s)
		if err != nil || !strings.HasPrefix(after, ":") || after != ":" && after[1] != ' ' {
			return "", "", false, err
		}
		return text, strings.TrimLeft(after[1:], " "), true, nil
	}
	if strings.IndexByte("[{&*!|>%@`?", s[0]) >= 0 {
		return "", "", false, nil
	}
	if strings.HasSuffix(s, ":") && !strings.Contains(s, ": ") {
		return s[:len(s)-1], "", true, nil
	}
	key, rest, ok = strings.Cut(s, ": ")
	if key == "<<" {
		return "", "", false, errors.New("merging (<<) is not understood")
	}
	return strings.TrimRight(key, " "), strings.TrimLeft(rest, " "), ok, nil
}

// inlineYAML reads a value that is all on one line.
func inlineYAML(s string, line int) (*yamlNode, error) {
	f := &yamlFlow{s: s, line: line}
	n, err := f.value(true)
	if err == nil && strings.TrimSpace(f.s) != "" {
		err = yamlErrorf(line, "%s after the value", quote(strings.TrimSpace(f.s)))
	}
	return n, err
}

// yamlFlow reads values within brackets.
type yamlFlow struct {
	s           string
	line, depth int
}

func (f *yamlFlow) value(outer bool) (*yamlNode, error) {
	if f.depth++; f.depth > maxYAMLDepth {
		return nil, yamlErrorf(f.line, "more than %d values within each other", maxYAMLDepth)
	}
	defer func() { f.depth-- }()
	f.s = strings.TrimLeft(f.s, " ")
	switch {
	case f.s == "":
		return &yamlNode{line: f.line}, nil
	case f.s[0] == '[' || f.s[0] == '{':
		return f.brackets()
	case f.s[0] == '"' || f.s[0] == '\'':
		text, rest, err := cutQuoted(f.s)
		if err != nil {
			return nil, yamlErrorf(f.line, "%w", err)
		}
		f.s = rest
		return &yamlNode{line: f.line, text: text, quoted: true}, nil
	case strings.IndexByte("&*!|>%@`", f.s[0]) >= 0:
		return nil, yamlErrorf(f.line, "%s: anchors, tags and values of several lines are not understood; quote what is none", quote(f.s))
	}
	end := len(f.s)
	if !outer {
		if i := strings.IndexAny(f.s, ",]}"); i >= 0 {
			end = i
		}
		if i := strings.Index(f.s[:end], ": "); i >= 0 {
			end = i
		}
	} else if strings.Contains(f.s, ": ") {
		return nil, yamlErrorf(f.line, "%s: two keys on one line", quote(f.s))
	}
	n := &yamlNode{line: f.line, text: strings.TrimRight(f.s[:end], " ")}
	f.s = f.s[end:]
	return n, nil
}

// brackets reads a list in [] or a mapping in {}.
func (f *yamlFlow) brackets() (*yamlNode, error) {
	n, end := &yamlNode{line: f.line, kind: yamlList}, byte(']')
	if f.s[0] == '{' {
		n.kind, end = yamlMap, '}'
	}
	f.s = f.s[1:]
	for {
		f.s = strings.TrimLeft(f.s, " ")
		if f.s == "" {
			return nil, yamlErrorf(f.line, "%q is missing: brackets end on the line where they begin", end)
		}
		if f.s[0] == end {
			f.s = f.s[1:]
			return n, nil
		}
		if err := f.member(n); err != nil {
			return nil, err
		}
		f.s = strings.TrimLeft(f.s, " ")
		switch {
		case strings.HasPrefix(f.s, ","):
			f.s = f.s[1:]
		case f.s == "" || f.s[0] != end:
			return nil, yamlErrorf(f.line, "want a comma or %q before %s", end, quote(f.s))
		}
	}
}

func (f *yamlFlow) member(n *yamlNode) error {
	v, err := f.value(false)
	if err != nil {
		return err
	}
	if n.kind == yamlList {
		n.list = append(n.list, v)
		return nil
	}
	f.s = strings.TrimLeft(f.s, " ")
	if v.kind != yamlScalar || !strings.HasPrefix(f.s, ":") {
		return yamlErrorf(f.line, "want key: value within {}")
	}
	f.s = f.s[1:]
	value, err := f.value(false)
	if err != nil {
		return err
	}
	return n.put(v.text, f.line, value)
}

// cutQuoted reads a quotation at the start of s: in ” two quotes stand for one, in "" escapes are
// those of JSON.
func cutQuoted(s string) (text, rest string, err error) {
	quote := s[0]
	for i := 1; i < len(s); i++ {
		switch {
		case quote == '"' && s[i] == '\\':
			i++
		case s[i] == quote && quote == '\'' && i+1 < len(s) && s[i+1] == quote:
			i++
		case s[i] == quote:
			if quote == '\'' {
				return strings.ReplaceAll(s[1:i], "''", "'"), s[i+1:], nil
			}
			if err := json.Unmarshal([]byte(s[:i+1]), &text); err != nil {
				return "", "", fmt.Errorf("%s: only JSON's escapes are understood", s[:i+1])
			}
			return text, s[i+1:], nil
		}
	}
	return "", "", errors.New("a quotation does not end on its line")
}
