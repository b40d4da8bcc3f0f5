package spec

import (
	"cmp"
	"strconv"
	"strings"
)

// EscapeToken gives a key as a reference token of a JSON pointer (RFC 6901 section 3).
func EscapeToken(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}

// UnescapeToken gives the key that a reference token stands for.
func UnescapeToken(token string) string {
	return strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
}

// ComparePointers orders JSON pointers as one reads a document: what holds others before them, the members of a list by their number.
func ComparePointers(x, y string) int {
	for {
		var i, j string
		i, x, _ = strings.Cut(x, "/")
		j, y, _ = strings.Cut(y, "/")
		m, errM := strconv.Atoi(i)
		n, errN := strconv.Atoi(j)
		switch {
		case i == j && (x == "" || y == ""):
			return cmp.Compare(len(x), len(y))
		case i == j:
		case errM == nil && errN == nil && m != n:
			return cmp.Compare(m, n)
		default:
			return strings.Compare(i, j)
		}
	}
}
