package mirrorconfig

import (
	"fmt"
	"strings"

	"github.com/oci-pipeline/oci/image/reference"
)

// The values of short-name-mode; "" is enforcing.
const (
	modeEnforcing  = "enforcing"
	modePermissive = "permissive"
	modeDisabled   = "disabled"
)

// Expansion says what a short name means.
type Expansion struct {
	// Names are the full names that it may have, with its tag or digest. Of several the first that there
	// is, in order; a name that is full already is alone.
	Names []string
	// Source is "file:line" that says so; "" is Docker's rule, and a name that is full already.
	Source string
	// Alias tells that Source gives the name, and not registries to look in.
	Alias bool
}

// Expand says what a name means. One without a registry is looked for among the aliases; then it belongs
// to the registry of unqualified-search-registries. Where there is none, it is docker.io's, whose
// namespace of names of one part is library.
//
// Of several registries none is asked by chance: containers' tools ask the person at the terminal, and
// for a program it is what short-name-mode says. With permissive and disabled Names has them all, in
// order; with enforcing, which is the default, Expand gives ErrAmbiguous beside them.
func (c *Config) Expand(text string) (Expansion, error) {
	if c == nil || !Short(text) {
		return Expansion{Names: []string{text}}, nil
	}
	short, rest := text, ""
	if i := strings.IndexAny(text, ":@"); i >= 0 {
		short, rest = text[:i], text[i:]
	}
	if a, ok := c.aliases[short]; ok {
		return Expansion{Names: []string{a.name + rest}, Source: a.at.at("aliases", short), Alias: true}, nil
	}
	if len(c.search) == 0 {
		return Expansion{Names: []string{text}}, nil
	}
	e := Expansion{Source: c.searchAt}
	for _, s := range c.search {
		e.Names = append(e.Names, strings.TrimRight(s, "/")+"/"+text)
	}
	if len(e.Names) == 1 || c.mode == modePermissive || c.mode == modeDisabled {
		return e, nil
	}
	return e, &Error{Op: "expand", Err: fmt.Errorf("%s: %w: %s has it mean %s; give the full name, or an alias in [aliases]",
		text, ErrAmbiguous, c.searchAt, strings.Join(e.Names, " or "))}
}

// Short tells whether a reference is a name without a registry, by Docker's rule.
func Short(text string) bool {
	ref, err := reference.Parse(text)
	if err != nil || ref.Transport != reference.Registry || ref.Registry != reference.DefaultRegistry {
		return false
	}
	first, _, several := strings.Cut(text, "/")
	return !several || !strings.ContainsAny(first, ".:") // docker.io/x is full
}
