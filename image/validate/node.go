package validate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Bounds of a document. An index of 10,000 manifests has 120,000 values.
const (
	maxDepth  = 64
	maxValues = 200_000
)

// kind is the type of a JSON value, in the words of problems.
type kind string

const (
	null    kind = "null"
	boolean kind = "a boolean"
	number  kind = "a number"
	text    kind = "a string"
	array   kind = "an array"
	object  kind = "an object"
)

// node is a JSON value.
type node struct {
	kind   kind
	text   string // of a string its value, of a number and a boolean what stands there
	keys   []string
	values []*node // of an array, or under the keys
}

// get gives the value under a key: of several the last, which is what encoding/json takes.
func (n *node) get(key string) *node {
	for i := len(n.keys) - 1; i >= 0; i-- {
		if n.keys[i] == key {
			return n.values[i]
		}
	}
	return nil
}

// parse reads a document. The kinds of its errors are ErrMalformed and ErrTooLarge.
func parse(raw []byte, limit int) (*node, error) {
	if len(raw) > limit {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are looked at", ErrTooLarge, len(raw), limit)
	}
	if !utf8.Valid(raw) {
		return nil, fmt.Errorf("%w: not UTF-8", ErrMalformed)
	}
	if err := json.Unmarshal(raw, new(json.RawMessage)); err != nil {
		var s *json.SyntaxError
		if errors.As(err, &s) {
			return nil, fmt.Errorf("%w: %w at byte %d", ErrMalformed, err, s.Offset)
		}
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	p := tokens{json.NewDecoder(bytes.NewReader(raw)), 0}
	p.UseNumber()
	n, err := p.value(0)
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: it ends too early", ErrMalformed)
	}
	return n, err
}

// tokens makes nodes of a text that is known to be JSON.
type tokens struct {
	*json.Decoder
	seen int
}

func (p *tokens) value(depth int) (*node, error) {
	t, err := p.Token()
	if err != nil {
		return nil, err
	}
	if p.seen++; p.seen > maxValues {
		return nil, fmt.Errorf("%w: more than %d values", ErrTooLarge, maxValues)
	}
	switch t := t.(type) {
	case nil:
		return &node{kind: null, text: "null"}, nil
	case bool:
		return &node{kind: boolean, text: fmt.Sprint(t)}, nil
	case json.Number:
		return &node{kind: number, text: t.String()}, nil
	case string:
		return &node{kind: text, text: t}, nil
	case json.Delim:
		if depth == maxDepth {
			return nil, fmt.Errorf("%w: nested deeper than %d", ErrTooLarge, maxDepth)
		}
		n := &node{kind: array}
		if t == '{' {
			n.kind = object
		}
		return n, p.members(n, depth+1)
	}
	return nil, fmt.Errorf("%w: unknown token %v", ErrMalformed, t)
}

// members reads what an array or an object has, to its end.
func (p *tokens) members(n *node, depth int) error {
	for p.More() {
		if n.kind == object {
			t, err := p.Token()
			if err != nil {
				return err
			}
			key, _ := t.(string) // the text was found to be JSON
			n.keys = append(n.keys, key)
		}
		v, err := p.value(depth)
		if err != nil {
			return err
		}
		n.values = append(n.values, v)
	}
	_, err := p.Token()
	return err
}
