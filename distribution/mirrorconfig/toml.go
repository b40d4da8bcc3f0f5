package mirrorconfig

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// maxFile bounds a configuration file in bytes; Debian's list of short names has 8 KiB.
const maxFile = 1 << 20

// document is a file that has been decoded, and its text to find lines in.
type document struct{ path, text string }

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
	d := document{path, text}
	dec := toml.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	var missing *toml.StrictMissingError
	var at *toml.DecodeError
	switch {
	case errors.As(err, &missing):
		return d, d.unknown(missing.Errors)
	case errors.As(err, &at):
		line, _ := at.Position()
		return d, d.fault(line, ErrConfig, "%s", message(at))
	case err != nil:
		return d, d.fault(0, ErrConfig, "%s", strings.TrimPrefix(err.Error(), "toml: "))
	}
	return d, nil
}

// message says what is wrong without the names of our types.
func message(e *toml.DecodeError) string {
	text := strings.TrimPrefix(e.Error(), "toml: ")
	got, rest, typed := strings.Cut(strings.TrimPrefix(text, "cannot decode TOML "), " into struct field ")
	_, want, ok := strings.Cut(rest, " of type ")
	if !typed || !ok {
		return text
	}
	return fmt.Sprintf("%q: %s where %s belongs", strings.Join(e.Key(), "."), got, want)
}

// fault is an error about line n of the document.
func (d document) fault(n int, kind error, format string, a ...any) error {
	return &Error{Op: "read", File: d.path, Line: n, Err: fmt.Errorf("%w: %s", kind, fmt.Sprintf(format, a...))}
}

// unknown reports every key that was not decoded, each with its line.
func (d document) unknown(list []toml.DecodeError) error {
	var errs []error
	for _, e := range list {
		key, hint := []string(e.Key()), ""
		if n := len(key); n > 1 && topLevel(key[n-1]) {
			hint = fmt.Sprintf(": it stands after [%s] and so belongs to that table; move it to the top", strings.Join(key[:n-1], "."))
		}
		if key[0] == "registries" { // [registries.search] and others
			hint = ": it is of version 1 of the format, which is not understood; see [[registry]] in containers-registries.conf(5)"
		}
		line, _ := e.Position()
		errs = append(errs, d.fault(line, ErrUnknownKey, "%q%s", strings.Join(key, "."), hint))
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

// line finds where a key or a table is defined; 0 if it cannot be found. The decoder tells the lines
// of what it refuses only, so this reads the text once more.
func (d document) line(key ...string) int {
	var table []string
	n := 0
	for text := range strings.Lines(d.text) {
		n++
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' {
			continue
		}
		if text[0] == '[' {
			table = splitKey(strings.Trim(text[:headerEnd(text)], "[]"))
			if slices.Equal(table, key) {
				return n
			}
			continue
		}
		name := text[:max(outside(text, '='), 0)]
		if slices.Equal(slices.Concat(table, splitKey(name)), key) {
			return n
		}
	}
	return 0
}

// at gives "file:line" of a key.
func (d document) at(key ...string) string { return fmt.Sprintf("%s:%d", d.path, d.line(key...)) }

// header finds the line of the nth (from 0) [[name]].
func (d document) header(name string, nth int) int {
	n := 0
	for text := range strings.Lines(d.text) {
		n++
		text = strings.TrimSpace(text)
		if !strings.HasPrefix(text, "[[") || strings.Trim(text[:headerEnd(text)], "[] ") != name {
			continue
		}
		if nth == 0 {
			return n
		}
		nth--
	}
	return d.line(name)
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
