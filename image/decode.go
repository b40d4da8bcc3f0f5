package image

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// Limits of the documents. The documents of real images are under 64 KiB; registries are asked to
// take manifests of 4 MiB (distribution-spec, "Pushing Manifests").
const (
	MaxManifestSize = 8 << 20 // bytes of a manifest or an index
	MaxConfigSize   = 8 << 20 // bytes of a config
	MaxLayers       = 500     // of one manifest; overlayfs takes no more
	MaxManifests    = 10_000  // entries of one index
	MaxIndexDepth   = 4       // indexes within indexes that are followed
	maxJSONDepth    = 64      // objects and arrays within each other
)

// decodeStrict decodes raw into v, and gives the names of the outermost object.
//
// Beyond what encoding/json does it refuses: more than limit bytes, nesting deeper than
// maxJSONDepth, bytes that are not UTF-8, an outermost value that is no object, and a name that
// occurs twice in an object, of which every parser may take another. A name that differs from one
// of the specification only in case is not that name, and is ignored.
func decodeStrict(raw []byte, limit int, v any) (map[string]struct{}, error) {
	if len(raw) > limit {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are accepted", ErrTooLarge, len(raw), limit)
	}
	if !utf8.Valid(raw) {
		return nil, fmt.Errorf("%w: not UTF-8", ErrMalformed)
	}
	s := scanner{raw: raw}
	top, err := s.document()
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(s.clean(), v); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return top, nil
}

// DecodeStrict decodes a document of at most limit bytes, whose outermost value is an object, into v, as
// strictly as the decoders of this package do: ErrTooLarge, ErrMalformed, ErrDuplicateKey.
func DecodeStrict(raw []byte, limit int, v any) error {
	_, err := decodeStrict(raw, limit, v)
	return err
}

// scanner walks the objects of a JSON text. It looks at structure alone; that the text is valid in
// its details is for encoding/json to say, which always runs after it.
type scanner struct {
	raw    []byte
	pos    int
	masked [][2]int // where the names are that encoding/json must not take for others
}

func (s *scanner) bad(why string) error {
	return fmt.Errorf("%w: %s at byte %d", ErrMalformed, why, s.pos)
}

// document walks the whole text and gives the names of its outermost object.
func (s *scanner) document() (map[string]struct{}, error) {
	if s.next() != '{' {
		return nil, s.bad("not a JSON object")
	}
	top, err := s.object(1, false)
	if err != nil {
		return nil, err
	}
	if s.next() != 0 || s.pos != len(s.raw) {
		return nil, s.bad("data after the document")
	}
	return top, nil
}

// next skips white space and gives the byte there, 0 at the end.
func (s *scanner) next() byte {
	for s.pos < len(s.raw) {
		switch c := s.raw[s.pos]; c {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// object walks the object that starts at pos. freeForm says that its names are data (annotations,
// labels), for which case counts.
func (s *scanner) object(depth int, freeForm bool) (map[string]struct{}, error) {
	if depth > maxJSONDepth {
		return nil, s.bad("nested too deeply")
	}
	names := make(map[string]struct{})
	s.pos++ // {
	if s.next() == '}' {
		s.pos++
		return names, nil
	}
	for {
		name, err := s.name(freeForm)
		if err != nil {
			return nil, err
		}
		if _, dup := names[name]; dup {
			return nil, fmt.Errorf("%w: %q at byte %d", ErrDuplicateKey, clip(name), s.pos)
		}
		names[name] = struct{}{}
		if s.next() != ':' {
			return nil, s.bad("no colon")
		}
		s.pos++
		if err := s.value(depth, !freeForm && isFreeForm(name)); err != nil {
			return nil, err
		}
		more, err := s.more('}')
		if err != nil || !more {
			return names, err
		}
	}
}

// more passes the comma or the end of an object or array.
func (s *scanner) more(end byte) (bool, error) {
	switch s.next() {
	case ',':
		s.pos++
		return true, nil
	case end:
		s.pos++
		return false, nil
	}
	return false, s.bad("no comma or end")
}

func (s *scanner) value(depth int, freeForm bool) error {
	switch s.next() {
	case '{':
		_, err := s.object(depth+1, freeForm)
		return err
	case '[':
		return s.array(depth + 1)
	case '"':
		_, err := s.text()
		return err
	}
	start := s.pos // a number, true, false or null
	for s.pos < len(s.raw) && bytes.IndexByte([]byte(" \t\r\n,]}:{[\""), s.raw[s.pos]) < 0 {
		s.pos++
	}
	if s.pos == start {
		return s.bad("no value")
	}
	return nil
}

func (s *scanner) array(depth int) error {
	if depth > maxJSONDepth {
		return s.bad("nested too deeply")
	}
	s.pos++ // [
	if s.next() == ']' {
		s.pos++
		return nil
	}
	for {
		if err := s.value(depth, false); err != nil {
			return err
		}
		more, err := s.more(']')
		if err != nil || !more {
			return err
		}
	}
}

// name reads the name of a member, and marks it to be masked if encoding/json would take it for
// one that it is not.
func (s *scanner) name(freeForm bool) (string, error) {
	if s.next() != '"' {
		return "", s.bad("no name")
	}
	start := s.pos
	lit, err := s.text()
	if err != nil {
		return "", err
	}
	name := string(lit[1 : len(lit)-1])
	if bytes.IndexByte(lit, '\\') >= 0 { // "\u006dediaType" is mediaType
		if err := json.Unmarshal(lit, &name); err != nil {
			return "", fmt.Errorf("%w: %w", ErrMalformed, err)
		}
	}
	if !freeForm && misspelt(name) {
		s.masked = append(s.masked, [2]int{start + 1, s.pos - 1})
	}
	return name, nil
}

// text passes a string literal and gives it with its quotes.
func (s *scanner) text() ([]byte, error) {
	start := s.pos
	for i := s.pos + 1; i < len(s.raw); i++ {
		switch s.raw[i] {
		case '\\':
			i++
		case '"':
			s.pos = i + 1
			return s.raw[start:s.pos], nil
		}
	}
	return nil, s.bad("unfinished string")
}

// clean gives the text with the masked names written over by underscores, which name nothing.
func (s *scanner) clean() []byte {
	if len(s.masked) == 0 {
		return s.raw
	}
	out := bytes.Clone(s.raw)
	for _, m := range s.masked {
		for i := m[0]; i < m[1]; i++ {
			out[i] = '_'
		}
	}
	return out
}

// isFreeForm tells whether the object under this name has data for names.
func isFreeForm(name string) bool {
	switch name {
	case "annotations", "Labels", "ExposedPorts", "Volumes":
		return true
	}
	return false
}

// misspelt tells whether name differs from a property of the image-spec only in case.
func misspelt(name string) bool {
	for _, known := range [...]string{
		"imageLayoutVersion", // of image-layout.md
		"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations",
		"digest", "size", "urls", "data", "platform",
		"architecture", "os", "os.version", "os.features", "variant",
		"created", "author", "rootfs", "history", "type", "diff_ids", "created_by", "comment", "empty_layer",
		"User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal", "ArgsEscaped",
	} {
		if name == known {
			return false
		}
		if strings.EqualFold(name, known) {
			return true
		}
	}
	return false
}

// documentError names the decoder, the document and the clause of a failure.
func documentError(op string, c spec.Clause, err error) error {
	return &Error{Op: op, Clause: c, Err: err}
}
