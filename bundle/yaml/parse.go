package yaml

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxDepth bounds values within values.
const maxDepth = 16

type textLine struct {
	indent, number int
	text           string
}

type parser struct {
	lines []textLine
	depth int
}

// Errorf says what is wrong with a line, from 1.
func Errorf(line int, format string, args ...any) error {
	return fmt.Errorf("line %d: "+format, append([]any{line}, args...)...)
}

// Parse reads one document. One without anything is an absent value.
func Parse(raw []byte) (*Node, error) {
	p := &parser{}
	for i, text := range strings.Split(strings.TrimPrefix(string(raw), "\ufeff"), "\n") {
		if err := p.add(strings.TrimRight(text, "\r"), i+1); err != nil {
			return nil, err
		}
	}
	if len(p.lines) == 0 {
		return &Node{Line: 1}, nil
	}
	n, err := p.block(p.lines[0].indent)
	if err == nil && len(p.lines) > 0 {
		err = Errorf(p.lines[0].number, "it is indented as nothing before it is")
	}
	return n, err
}

// add takes a line without its comment; one without anything is left out.
func (p *parser) add(text string, number int) error {
	text, err := uncomment(text)
	if err != nil {
		return Errorf(number, "%w", err)
	}
	content := strings.TrimLeft(text, " ")
	switch {
	case content == "" || text == "---" && len(p.lines) == 0:
		return nil
	case text == "---" || text == "...":
		return Errorf(number, "more than one document")
	case content[0] == '\t':
		return Errorf(number, "a tab indents it: use spaces")
	case text[0] == '%':
		return Errorf(number, "directives are not understood")
	}
	p.lines = append(p.lines, textLine{len(text) - len(content), number, content})
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
func (p *parser) block(indent int) (*Node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, Errorf(p.lines[0].number, "more than %d values within each other", maxDepth)
	}
	defer func() { p.depth-- }()
	l := p.lines[0]
	if isItem(l.text) {
		return p.items(indent)
	}
	_, _, ok, err := splitKey(l.text)
	switch {
	case err != nil:
		return nil, Errorf(l.number, "%w", err)
	case ok:
		return p.mapping(indent)
	}
	p.lines = p.lines[1:]
	return inline(l.text, l.number)
}

func isItem(text string) bool { return text == "-" || strings.HasPrefix(text, "- ") }

// items reads "- value" lines.
func (p *parser) items(indent int) (*Node, error) {
	n := &Node{Line: p.lines[0].number, Kind: KindList}
	for len(p.lines) > 0 && p.lines[0].indent == indent && isItem(p.lines[0].text) {
		l := &p.lines[0]
		rest := strings.TrimLeft(l.text[1:], " ")
		var item *Node
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
		n.List = append(n.List, item)
	}
	return n, p.deeper(indent)
}

// mapping reads "key: value" lines.
func (p *parser) mapping(indent int) (*Node, error) {
	n := &Node{Line: p.lines[0].number, Kind: KindMap}
	for len(p.lines) > 0 && p.lines[0].indent == indent {
		l := p.lines[0]
		key, rest, ok, err := splitKey(l.text)
		if err == nil && (!ok || isItem(l.text)) {
			err = errors.New("want key: value")
		}
		if err != nil {
			return nil, Errorf(l.number, "%w", err)
		}
		var v *Node
		if rest == "" {
			v, err = p.below(indent, l)
		} else {
			p.lines = p.lines[1:]
			v, err = inline(rest, l.number)
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
func (p *parser) below(indent int, l textLine) (*Node, error) {
	p.lines = p.lines[1:]
	if len(p.lines) == 0 || p.lines[0].indent < indent || p.lines[0].indent == indent && (isItem(l.text) || !isItem(p.lines[0].text)) {
		return &Node{Line: l.number}, nil
	}
	return p.block(p.lines[0].indent)
}

// deeper refuses a line that is indented deeper than what has just ended.
func (p *parser) deeper(indent int) error {
	if len(p.lines) > 0 && p.lines[0].indent > indent {
		return Errorf(p.lines[0].number, "it is indented deeper than what it belongs to; values of several lines are not understood")
	}
	return nil
}

func (n *Node) put(key string, line int, v *Node) error {
	if slices.ContainsFunc(n.Keys, func(k Key) bool { return k.Name == key }) {
		return Errorf(line, "%s is there twice", strconv.Quote(key))
	}
	n.Keys = append(n.Keys, Key{key, line, v})
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

// inline reads a value that is all on one line.
func inline(s string, line int) (*Node, error) {
	f := &flow{s: s, line: line}
	n, err := f.value(true)
	if err == nil && strings.TrimSpace(f.s) != "" {
		err = Errorf(line, "%s after the value", strconv.Quote(strings.TrimSpace(f.s)))
	}
	return n, err
}

// flow reads values within brackets.
type flow struct {
	s           string
	line, depth int
}

func (f *flow) value(outer bool) (*Node, error) {
	if f.depth++; f.depth > maxDepth {
		return nil, Errorf(f.line, "more than %d values within each other", maxDepth)
	}
	defer func() { f.depth-- }()
	f.s = strings.TrimLeft(f.s, " ")
	switch {
	case f.s == "":
		return &Node{Line: f.line}, nil
	case f.s[0] == '[' || f.s[0] == '{':
		return f.brackets()
	case f.s[0] == '"' || f.s[0] == '\'':
		text, rest, err := cutQuoted(f.s)
		if err != nil {
			return nil, Errorf(f.line, "%w", err)
		}
		f.s = rest
		return &Node{Line: f.line, Text: text, Quoted: true}, nil
	case strings.IndexByte("&*!|>%@`", f.s[0]) >= 0:
		return nil, Errorf(f.line, "%s: anchors, tags and values of several lines are not understood; quote what is none", strconv.Quote(f.s))
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
		return nil, Errorf(f.line, "%s: two keys on one line", strconv.Quote(f.s))
	}
	n := &Node{Line: f.line, Text: strings.TrimRight(f.s[:end], " ")}
	f.s = f.s[end:]
	return n, nil
}

// brackets reads a list in [] or a mapping in {}.
func (f *flow) brackets() (*Node, error) {
	n, end := &Node{Line: f.line, Kind: KindList}, byte(']')
	if f.s[0] == '{' {
		n.Kind, end = KindMap, '}'
	}
	f.s = f.s[1:]
	for {
		f.s = strings.TrimLeft(f.s, " ")
		if f.s == "" {
			return nil, Errorf(f.line, "%q is missing: brackets end on the line where they begin", end)
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
			return nil, Errorf(f.line, "want a comma or %q before %s", end, strconv.Quote(f.s))
		}
	}
}

func (f *flow) member(n *Node) error {
	v, err := f.value(false)
	if err != nil {
		return err
	}
	if n.Kind == KindList {
		n.List = append(n.List, v)
		return nil
	}
	f.s = strings.TrimLeft(f.s, " ")
	if v.Kind != KindScalar || !strings.HasPrefix(f.s, ":") {
		return Errorf(f.line, "want key: value within {}")
	}
	f.s = f.s[1:]
	value, err := f.value(false)
	if err != nil {
		return err
	}
	return n.put(v.Text, f.line, value)
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
