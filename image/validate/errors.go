package validate

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// The kinds of problems. Each Problem wraps one of them.
var (
	ErrMalformed    = errors.New("malformed JSON")
	ErrDuplicateKey = errors.New("key occurs twice")
	ErrType         = errors.New("wrong type")
	ErrMissing      = errors.New("required property is missing")
	ErrInvalid      = errors.New("invalid value")
	ErrMismatch     = errors.New("content is not what is said of it")
	ErrAbsent       = errors.New("absent")
	ErrUnusual      = errors.New("unusual")
	ErrTooLarge     = errors.New("too large to be judged")
	ErrLayer        = errors.New("unreadable layer")
)

// Error says what could not be judged, and why.
type Error struct {
	Op      string      // "validate layout", "validate image"
	Subject string      // a path, a reference or a digest
	Clause  spec.Clause // zero if the system failed
	Err     error
}

// Error gives "op subject: why [clause]".
func (e *Error) Error() string {
	return strings.TrimSpace(e.Op+" "+e.Subject) + ": " + e.Err.Error() + e.Clause.Citation()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Problem is one violation in an image or a layout, or something that one may want to know of it.
type Problem struct {
	Where   string      // the file in the layout ("index.json", "blobs/sha256/..."), or the digest of the content; "" of a document alone
	Pointer string      // JSON pointer (RFC 6901) into a document; "" is all of it
	Entry   string      // of a layer: the name of the entry, as the tar has it; raw bytes
	Clause  spec.Clause // the requirement; zero if a limit of this package keeps it from being judged
	Err     error       // wraps one of the kinds above
	Hint    string      // what to write instead
}

// Error gives `where#pointer: why [clause]`, or `where "entry": why [clause]`.
func (p *Problem) Error() string {
	at := p.Where
	switch {
	case p.Entry != "":
		at += " " + strconv.Quote(p.Entry)
	case p.Where == "":
		at = strings.ToValidUTF8(cmp.Or(p.Pointer, "document"), "?")
	case p.Pointer != "":
		at += "#" + strings.ToValidUTF8(p.Pointer, "?")
	}
	return at + ": " + p.Err.Error() + p.Clause.Citation()
}

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.Err }

// Level is that of the clause; what cannot be judged is as bad as what breaks a MUST.
func (p *Problem) Level() spec.Level { return cmp.Or(p.Clause.Level, spec.Must) }

// Problems are all that was found.
type Problems []*Problem

// Level gives the problems of a level.
func (ps Problems) Level(l spec.Level) Problems {
	var out Problems
	for _, p := range ps {
		if p.Level() == l {
			out = append(out, p)
		}
	}
	return out
}

// sort orders problems by place, as one reads: the members of a list by their number. What is of one place stays as it was.
func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.Where, b.Where), spec.ComparePointers(a.Pointer, b.Pointer))
	})
}

// under gives the pointer of a member of an object.
func under(base, key string) string { return base + "/" + spec.EscapeToken(key) }

// at gives the pointer of an element of an array.
func at(base string, index int) string { return base + "/" + strconv.Itoa(index) }
