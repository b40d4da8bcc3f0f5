package bundle

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// scanner walks over JSON text (RFC 8259) and knows at any time the pointer of the value it
// stands at. It keeps the bounds and refuses duplicate keys; what a value means is the caller's.
type scanner struct {
	data   []byte
	pos    int
	path   []string // unescaped reference tokens
	values int
	notes  *notes // where a problem goes that does not stop the walk; nil if every problem does
}

// smallObject is how many keys are compared one by one before a map is worth its allocation.
const smallObject = 16

// object calls each for the value of every key.
func (s *scanner) object(each func(key string) error) error {
	if err := s.open('{', "an object"); err != nil {
		return err
	}
	var few []string
	var many map[string]bool
	for first := true; ; first = false {
		more, err := s.next('}', first)
		if err != nil || !more {
			return err
		}
		if s.peek() != '"' {
			return s.syntax("want a key, found " + s.found())
		}
		key, err := s.text()
		if err != nil {
			return err
		}
		s.path = append(s.path, key)
		if len(few) < smallObject {
			few = append(few, key)
		} else if many == nil {
			many = make(map[string]bool)
		}
		if duplicate(few, many, key) {
			if err := s.refuse(&Problem{Pointer: s.pointer(), Clause: spec.BundleJSON, Err: ErrDuplicateKey, Hint: "each key once"}); err != nil {
				return err
			}
		}
		s.space()
		if s.peek() != ':' {
			return s.syntax("want ':', found " + s.found())
		}
		s.pos++
		if err := each(key); err != nil {
			return err
		}
		s.path = s.path[:len(s.path)-1]
	}
}

// duplicate reports whether key is known already. The newest key of few may be key itself.
func duplicate(few []string, many map[string]bool, key string) bool {
	n := 0
	for _, k := range few {
		if k == key {
			n++
		}
	}
	if many == nil {
		return n > 1
	}
	if n > 0 || many[key] {
		return true
	}
	many[key] = true
	return false
}

// array calls each for every element.
func (s *scanner) array(each func(i int) error) error {
	if err := s.open('[', "an array"); err != nil {
		return err
	}
	for i := 0; ; i++ {
		more, err := s.next(']', i == 0)
		if err != nil || !more {
			return err
		}
		s.path = append(s.path, strconv.Itoa(i))
		if err := each(i); err != nil {
			return err
		}
		s.path = s.path[:len(s.path)-1]
	}
}

// open steps over the bracket that a value of the wanted kind begins with.
func (s *scanner) open(bracket byte, want string) error {
	if err := s.count(); err != nil {
		return err
	}
	s.space()
	if s.peek() != bracket {
		return &Problem{Pointer: s.pointer(), Clause: spec.BundleJSON, Err: fmt.Errorf("%w: want %s, found %s", ErrType, want, s.found())}
	}
	if len(s.path) >= maxDepth {
		return &Problem{Pointer: s.pointer(), Clause: spec.BundleJSON, Err: fmt.Errorf("%w: more than %d levels", ErrTooDeep, maxDepth)}
	}
	s.pos++
	return nil
}

// next stands at the next member, or steps over the closing bracket and says that there is none.
func (s *scanner) next(closing byte, first bool) (bool, error) {
	s.space()
	switch c := s.peek(); {
	case c == closing:
		s.pos++
		return false, nil
	case first:
		return true, nil
	case c == ',':
		s.pos++
		s.space()
		return true, nil
	}
	return false, s.syntax("want ',' or '" + string(closing) + "', found " + s.found())
}

// skip steps over one value of any kind.
func (s *scanner) skip() error {
	s.space()
	switch c := s.peek(); {
	case c == '{':
		return s.object(func(string) error { return s.skip() })
	case c == '[':
		return s.array(func(int) error { return s.skip() })
	}
	if err := s.count(); err != nil {
		return err
	}
	switch c := s.peek(); {
	case c == '"':
		_, err := s.text()
		return err
	case c == '-' || c >= '0' && c <= '9':
		_, err := s.digits()
		return err
	case s.literal("true"), s.literal("false"), s.literal("null"):
		return nil
	}
	return s.syntax("want a value, found " + s.found())
}

// text reads a string.
func (s *scanner) text() (string, error) {
	start := s.pos + 1
	for i := start; i < len(s.data); i++ {
		switch c := s.data[i]; {
		case c == '"':
			raw := s.data[start:i]
			s.pos = i + 1
			if !utf8.Valid(raw) {
				return "", s.syntax("a string is not UTF-8")
			}
			return string(raw), nil
		case c == '\\':
			return s.escaped(start)
		case c < 0x20:
			s.pos = i
			return "", s.syntax("control character in a string")
		}
	}
	s.pos = len(s.data)
	return "", s.syntax("a string does not end")
}

// escaped reads a string that has escape sequences; start is its first byte.
func (s *scanner) escaped(start int) (string, error) {
	var b strings.Builder
	for s.pos = start; s.pos < len(s.data); {
		c := s.data[s.pos]
		s.pos++
		switch {
		case c == '"':
			if !utf8.ValidString(b.String()) {
				return "", s.syntax("a string is not UTF-8")
			}
			return b.String(), nil
		case c < 0x20:
			return "", s.syntax("control character in a string")
		case c != '\\':
			b.WriteByte(c)
		default:
			r, err := s.escape()
			if err != nil {
				return "", err
			}
			b.WriteRune(r)
		}
	}
	return "", s.syntax("a string does not end")
}

// escape reads what follows a backslash.
func (s *scanner) escape() (rune, error) {
	c := s.peek()
	s.pos++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		r, err := s.hex()
		if err != nil || !utf16.IsSurrogate(r) {
			return r, err
		}
		if s.pos+1 < len(s.data) && s.data[s.pos] == '\\' && s.data[s.pos+1] == 'u' {
			s.pos += 2
			low, err := s.hex()
			if err != nil {
				return 0, err
			}
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return pair, nil
			}
		}
		return 0, s.syntax("half a surrogate pair in a string")
	}
	return 0, s.syntax("unknown escape sequence in a string")
}

func (s *scanner) hex() (rune, error) {
	if s.pos+4 > len(s.data) {
		return 0, s.syntax("a string does not end")
	}
	n, err := strconv.ParseUint(string(s.data[s.pos:s.pos+4]), 16, 16)
	if err != nil {
		return 0, s.syntax("unknown escape sequence in a string")
	}
	s.pos += 4
	return rune(n), nil
}

// digits reads a number as RFC 8259 section 6 spells it.
func (s *scanner) digits() (string, error) {
	start := s.pos
	if s.peek() == '-' {
		s.pos++
	}
	whole := s.run()
	if whole == 0 || whole > 1 && s.data[s.pos-whole] == '0' {
		return "", s.syntax("malformed number")
	}
	if s.peek() == '.' {
		s.pos++
		if s.run() == 0 {
			return "", s.syntax("malformed number")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if s.run() == 0 {
			return "", s.syntax("malformed number")
		}
	}
	return string(s.data[start:s.pos]), nil
}

func (s *scanner) run() int {
	start := s.pos
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.pos++
	}
	return s.pos - start
}

// literal steps over the word if it stands here.
func (s *scanner) literal(word string) bool {
	if len(s.data)-s.pos < len(word) || string(s.data[s.pos:s.pos+len(word)]) != word {
		return false
	}
	s.pos += len(word)
	return true
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// peek gives the byte here; 0 at the end, which no JSON token begins with.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

// found describes what stands here, for messages.
func (s *scanner) found() string {
	switch c := s.peek(); {
	case s.pos >= len(s.data):
		return "the end"
	case c == '{':
		return "an object"
	case c == '[':
		return "an array"
	case c == '"':
		return "a string"
	case c == '-' || c >= '0' && c <= '9':
		return "a number"
	default:
		return strconv.QuoteRune(rune(c))
	}
}

func (s *scanner) count() error {
	s.values++
	if s.values > maxValues {
		return &Problem{Pointer: s.pointer(), Clause: spec.BundleJSON, Err: fmt.Errorf("%w: more than %d values", ErrTooLarge, maxValues)}
	}
	return nil
}

func (s *scanner) syntax(why string) error {
	return &Problem{Pointer: s.pointer(), Clause: spec.BundleJSON, Err: fmt.Errorf("%w: %s at byte %d", ErrSyntax, why, s.pos)}
}

func (s *scanner) pointer() string {
	var b strings.Builder
	for _, t := range s.path {
		b.WriteByte('/')
		b.WriteString(spec.EscapeToken(t))
	}
	return b.String()
}
