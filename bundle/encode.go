package bundle

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Marshal gives the text that Write writes: that of encoding/json with tabs for indentation and
// without escapes for HTML, and a newline at the end. Equal specs give equal bytes.
func Marshal(s *specs.Spec) ([]byte, error) {
	e := &encoder{out: make([]byte, 0, 32<<10), layouts: make(layouts)}
	if err := e.value(reflect.ValueOf(s)); err != nil {
		return nil, err
	}
	return append(e.out, '\n'), nil
}

// encoder writes values of the structures of runtime-spec as indented JSON.
type encoder struct {
	out     []byte
	depth   int
	layouts layouts
}

func (e *encoder) value(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			e.out = append(e.out, "null"...)
			return nil
		}
		return e.value(v.Elem())
	case reflect.Struct:
		return e.object(v)
	case reflect.Map:
		return e.mapping(v)
	case reflect.Slice:
		return e.list(v)
	case reflect.String:
		e.text(v.String())
	case reflect.Bool:
		e.out = strconv.AppendBool(e.out, v.Bool())
	case reflect.Interface:
		return e.any(v)
	default:
		switch {
		case v.CanInt():
			e.out = strconv.AppendInt(e.out, v.Int(), 10)
		case v.CanUint():
			e.out = strconv.AppendUint(e.out, v.Uint(), 10)
		default:
			return fmt.Errorf("%w: cannot encode %s", ErrType, v.Type())
		}
	}
	return nil
}

func (e *encoder) object(v reflect.Value) error {
	e.open('{')
	empty := true
	for _, f := range e.layouts.of(v.Type()) {
		fv := v.FieldByIndex(f.index)
		if f.omitEmpty && isEmpty(fv) {
			continue
		}
		e.member(empty)
		empty = false
		e.key(f.name)
		if err := e.value(fv); err != nil {
			return err
		}
	}
	e.close('}', empty)
	return nil
}

func (e *encoder) mapping(v reflect.Value) error {
	if v.IsNil() {
		e.out = append(e.out, "null"...)
		return nil
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		switch x, y := a.String(), b.String(); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	e.open('{')
	for i, k := range keys {
		e.member(i == 0)
		e.key(k.String())
		if err := e.value(v.MapIndex(k)); err != nil {
			return err
		}
	}
	e.close('}', len(keys) == 0)
	return nil
}

func (e *encoder) list(v reflect.Value) error {
	if v.IsNil() {
		e.out = append(e.out, "null"...)
		return nil
	}
	e.open('[')
	for i := range v.Len() {
		e.member(i == 0)
		if err := e.value(v.Index(i)); err != nil {
			return err
		}
	}
	e.close(']', v.Len() == 0)
	return nil
}

// any writes a value of no fixed type (windows.credentialSpec).
func (e *encoder) any(v reflect.Value) error {
	raw, err := json.Marshal(v.Interface())
	e.out = append(e.out, raw...)
	return err
}

func (e *encoder) open(bracket byte) {
	e.out = append(e.out, bracket)
	e.depth++
}

func (e *encoder) member(first bool) {
	if !first {
		e.out = append(e.out, ',')
	}
	e.line()
}

func (e *encoder) key(name string) {
	e.text(name)
	e.out = append(e.out, ':', ' ')
}

func (e *encoder) close(bracket byte, empty bool) {
	e.depth--
	if !empty {
		e.line()
	}
	e.out = append(e.out, bracket)
}

func (e *encoder) line() {
	e.out = append(e.out, '\n')
	for range e.depth {
		e.out = append(e.out, '\t')
	}
}

// text writes a string with the escapes of encoding/json: those of RFC 8259, and U+2028 and U+2029,
// which end a line in JavaScript. What is not UTF-8 becomes U+FFFD.
func (e *encoder) text(s string) {
	const digits = "0123456789abcdef"
	e.out = append(e.out, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			i++
			switch {
			case c == '"' || c == '\\':
				e.out = append(e.out, '\\', c)
			case c >= ' ':
				e.out = append(e.out, c)
			default:
				if short := shortEscape(c); short != 0 {
					e.out = append(e.out, '\\', short)
				} else {
					e.out = append(e.out, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
				}
			}
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			e.out = append(e.out, `\ufffd`...)
		case r == '\u2028' || r == '\u2029':
			e.out = append(e.out, `\u202`...)
			e.out = append(e.out, digits[r&15])
		default:
			e.out = append(e.out, s[i:i+size]...)
		}
		i += size
	}
	e.out = append(e.out, '"')
}

func shortEscape(c byte) byte {
	switch c {
	case '\b':
		return 'b'
	case '\f':
		return 'f'
	case '\n':
		return 'n'
	case '\r':
		return 'r'
	case '\t':
		return 't'
	}
	return 0
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}
