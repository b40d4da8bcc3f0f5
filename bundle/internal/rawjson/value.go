package rawjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// Value is one JSON value, as it was written. It has been checked by whoever made it: bundle.Decode.
type Value json.RawMessage

// Member is an element of a list, with its index as Key, or a property of an object.
type Member struct {
	Key   string
	Value Value
}

// IsList and IsObject tell what can have members.
func (v Value) IsList() bool { return len(v) > 0 && v[0] == '[' }

// IsObject reports whether the members have names.
func (v Value) IsObject() bool { return len(v) > 0 && v[0] == '{' }

// ErrSyntax is the error for what is no JSON. Not all of that is found: what is not looked at is only counted in brackets and quotes.
var ErrSyntax = errors.New("malformed JSON")

// Members are those of an object or a list, in their order; a scalar has none.
func (v Value) Members() ([]Member, error) {
	if !v.IsList() && !v.IsObject() {
		return nil, nil
	}
	var list []Member
	c := cursor{text: v, at: 1}
	closing := v[0] + 2 // as ASCII has them
	for c.next() != closing {
		if len(list) > 0 && !c.take(',') {
			return nil, ErrSyntax
		}
		c.space()
		m := Member{Key: strconv.Itoa(len(list))}
		if v.IsObject() {
			key := c.value()
			text, ok := unquote(key)
			if !ok || !c.take(':') {
				return nil, ErrSyntax
			}
			m.Key = text
		}
		c.space()
		if m.Value = c.value(); len(m.Value) == 0 {
			return nil, ErrSyntax
		}
		list = append(list, m)
	}
	return list, nil
}

// unquote reads a string.
func unquote(v Value) (string, bool) {
	if len(v) < 2 || v[0] != '"' || v[len(v)-1] != '"' {
		return "", false
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return string(v[1 : len(v)-1]), true
	}
	var s string
	err := json.Unmarshal(v, &s)
	return s, err == nil
}

// cursor walks over a text.
type cursor struct {
	text Value
	at   int
}

func (c *cursor) space() {
	for c.at < len(c.text) && strings.IndexByte(" \t\r\n", c.text[c.at]) >= 0 {
		c.at++
	}
}

// next is the byte after white space; 0 at the end.
func (c *cursor) next() byte {
	c.space()
	if c.at == len(c.text) {
		return 0
	}
	return c.text[c.at]
}

func (c *cursor) take(b byte) bool {
	if c.next() != b {
		return false
	}
	c.at++
	return true
}

// value steps over one value, which something follows; it is empty where none stands.
func (c *cursor) value() Value {
	start, depth := c.at, 0
	for c.at < len(c.text) {
		b := c.text[c.at]
		if depth == 0 && strings.IndexByte(",:]} \t\r\n", b) >= 0 {
			return c.text[start:c.at]
		}
		switch b {
		case '"':
			if !c.quoted() {
				return nil
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		c.at++
	}
	return nil
}

// quoted steps over a string; false if it has no end.
func (c *cursor) quoted() bool {
	for i := c.at + 1; i < len(c.text); i++ {
		switch c.text[i] {
		case '\\':
			i++
		case '"':
			c.at = i + 1
			return true
		}
	}
	return false
}

// Compact is the value without white space. Numbers and strings stay as they are spelled.
func (v Value) Compact() json.RawMessage {
	out := make(json.RawMessage, 0, len(v))
	c := cursor{text: v}
	for c.at < len(v) {
		start := c.at
		switch v[start] {
		case ' ', '\t', '\r', '\n':
			c.at++
			continue
		case '"':
			if !c.quoted() {
				return append(out, v[start:]...)
			}
		default:
			c.at++
		}
		out = append(out, v[start:c.at]...)
	}
	return out
}
