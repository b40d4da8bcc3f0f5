package mirrorconfig

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/BurntSushi/toml"
)

// maxFile bounds a configuration file in bytes; Debian's list of short names has 8 KiB.
const maxFile = 1 << 20

// document is a file that has been decoded, and its text to find lines in.
type document struct {
	path, text string
	meta       toml.MetaData
}

// load decodes the file at path into v, strictly. It gives fs.ErrNotExist if there is none.
func load(path string, v any) (document, error) {
	f, err := os.Open(path)
	if err != nil {
		return document{}, &Error{Op: "read", File: path, Err: err}
	}
	defer f.Close() //nolint:errcheck // read only
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return document{}, &Error{Op: "read", File: path, Err: fmt.Errorf("%w: not a regular file", ErrConfig)}
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return document{}, &Error{Op: "read", File: path, Err: fmt.Errorf("%w: %w", ErrConfig, err)}
	case len(raw) > maxFile:
		return document{}, &Error{Op: "read", File: path, Err: fmt.Errorf("%w: larger than %d bytes", ErrConfig, maxFile)}
	}
	return decode(path, string(raw), v)
}

func decode(path, text string, v any) (document, error) {
	meta, err := toml.Decode(text, v)
	d := document{path, text, meta}
	var at toml.ParseError
	switch {
	case errors.As(err, &at):
		return d, d.fault(at.Position.Line, ErrConfig, "%s", strings.TrimSpace(at.Message))
	case err != nil:
		return d, d.fault(0, ErrConfig, "%s", strings.TrimPrefix(err.Error(), "toml: "))
	}
	return d, d.unknown()
}

// fault is an error about line n of the document.
func (d document) fault(n int, kind error, format string, a ...any) error {
	return &Error{Op: "read", File: d.path, Line: n, Err: fmt.Errorf("%w: %s", kind, fmt.Sprintf(format, a...))}
}

// unknown reports every key that was not decoded, each with its line.
func (d document) unknown() error {
	var errs []error
	seen := ""
	for _, key := range d.meta.Undecoded() {
		name := key.String()
		if seen != "" && strings.HasPrefix(name, seen+".") {
			continue // a table that is unknown was named already
		}
		seen = name
		hint := ""
		if n := len(key); n > 1 && topLevel(key[n-1]) {
			hint = fmt.Sprintf(": it stands after [%s] and so belongs to that table; move it to the top", key[:n-1])
		}
		errs = append(errs, d.fault(d.line(key), ErrUnknownKey, "%q%s", name, hint))
	}
	return errors.Join(errs...)
}

// topLevel tells whether a key is known at the top of registries.conf or hosts.toml only.
func topLevel(key string) bool {
	switch key {
	case "unqualified-search-registries", "short-name-mode", "credential-helpers", "server":
		return true
	}
	return false
}

// line finds where a key is first defined; 0 if it cannot be found. The decoder keeps no positions,
// so this reads the text once more, by lines: headers of tables, and keys before an equals sign.
func (d document) line(key toml.Key) int {
	var table []string
	best, inside := 0, false // inside: of an inline table or array that holds the key
	n := 0
	for text := range strings.Lines(d.text) {
		n++
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' {
			continue
		}
		if text[0] == '[' && !inside {
			table = splitKey(strings.Trim(text[:headerEnd(text)], "[]"))
			if equal(table, key) {
				return n
			}
			continue
		}
		name, rest, ok := cutKey(text)
		if ok && !inside {
			full := append(append([]string(nil), table...), splitKey(name)...)
			if equal(full, key) {
				return n
			}
			if len(full) < len(key) && equal(full, key[:len(full)]) {
				best, inside, text = n, true, rest
			}
		}
		if inside && hasKey(text, key[len(key)-1]) {
			return n
		}
		inside = inside && !strings.HasSuffix(text, "]") && !strings.HasSuffix(text, "}")
	}
	return best
}

// header finds the line of the nth (from 0) [[name]].
func (d document) header(name string, nth int) int {
	n := 0
	for text := range strings.Lines(d.text) {
		n++
		text = strings.TrimSpace(text)
		if !strings.HasPrefix(text, "[[") || !equal(splitKey(strings.Trim(text[:headerEnd(text)], "[]")), []string{name}) {
			continue
		}
		if nth == 0 {
			return n
		}
		nth--
	}
	return d.line(toml.Key{name})
}

// headerEnd is where the header of a table ends that text starts with: a comment may follow.
func headerEnd(text string) int {
	var quote byte
	for i := range len(text) {
		switch c := text[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '#':
			return len(strings.TrimRight(text[:i], " \t"))
		}
	}
	return len(text)
}

func equal(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// hasKey tells whether a line of an inline table gives the key a value.
func hasKey(text, key string) bool {
	for {
		_, rest, ok := strings.Cut(text, key)
		if !ok {
			return false
		}
		if strings.HasPrefix(strings.TrimLeft(rest, `"' `), "=") {
			return true
		}
		text = rest
	}
}

// cutKey splits `key = value` at the first equals sign outside of quotes.
func cutKey(text string) (key, value string, ok bool) {
	i := outside(text, '=')
	if i < 0 {
		return "", "", false
	}
	return text[:i], text[i+1:], true
}

// splitKey splits a dotted key, quoted parts whole.
func splitKey(s string) []string {
	var out []string
	for {
		i := outside(s, '.')
		part := s
		if i >= 0 {
			part = s[:i]
		}
		part = strings.TrimSpace(part)
		if n := len(part); n > 1 && (part[0] == '"' || part[0] == '\'') && part[n-1] == part[0] {
			part = part[1 : n-1]
		}
		out = append(out, part)
		if i < 0 {
			return out
		}
		s = s[i+1:]
	}
}

// outside gives the index of the first c that no quotes enclose; -1 if there is none.
func outside(s string, c byte) int {
	var quote byte
	for i := range len(s) {
		switch b := s[i]; {
		case quote != 0:
			if b == quote {
				quote = 0
			}
		case b == '"' || b == '\'':
			quote = b
		case b == c:
			return i
		}
	}
	return -1
}
