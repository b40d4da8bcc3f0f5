package verify

import "fmt"

// Level is how much is proved. Each level has what the former has; see the package comment.
type Level int

// The levels, from cheap to strong.
const (
	Marker Level = iota + 1
	Metadata
	Content
	Exact
)

// Levels lists the names of the levels, from cheap to strong.
func Levels() []string { return []string{"marker", "metadata", "content", "exact"} }

// String gives the name of the level.
func (l Level) String() string {
	if l < Marker || l > Exact {
		return "unknown"
	}
	return Levels()[l-Marker]
}

// ParseLevel reads the name of a level.
func ParseLevel(s string) (Level, error) {
	for i, name := range Levels() {
		if s == name {
			return Marker + Level(i), nil
		}
	}
	return 0, &Error{Op: "parse level", Subject: fmt.Sprintf("%q", s), Err: ErrLevel}
}
