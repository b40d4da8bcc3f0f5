package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A semver is a version of semver.org as tags write it: "v1.2.3", "1.2", "1.2.3-rc.1". Missing numbers
// are zero; the build after "+" cannot be in a tag.
type semver struct {
	number [3]int
	given  int      // how many numbers there were
	pre    []string // identifiers of the pre-release; none of a release
}

// parseSemver reads a tag; ok is false for what is no version.
func parseSemver(s string) (v semver, ok bool) {
	s = strings.TrimPrefix(s, "v")
	core, pre, has := strings.Cut(s, "-")
	parts := strings.Split(core, ".")
	if len(parts) > len(v.number) || has && pre == "" {
		return v, false
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 || len(p) > 9 || p[0] < '0' || p[0] > '9' {
			return v, false
		}
		v.number[i] = n
	}
	v.given = len(parts)
	if has {
		v.pre = strings.Split(pre, ".")
	}
	return v, !slices.Contains(v.pre, "")
}

// compare orders versions by precedence (semver.org, 11).
func (v semver) compare(w semver) int {
	if c := slices.Compare(v.number[:], w.number[:]); c != 0 {
		return c
	}
	if len(v.pre) == 0 || len(w.pre) == 0 {
		return cmp.Compare(len(w.pre), len(v.pre)) // a release comes after its pre-releases
	}
	return slices.CompareFunc(v.pre, w.pre, func(a, b string) int {
		m, errM := strconv.ParseUint(a, 10, 64)
		n, errN := strconv.ParseUint(b, 10, 64)
		switch {
		case errM == nil && errN == nil:
			return cmp.Compare(m, n)
		case errM == nil:
			return -1
		case errN == nil:
			return 1
		}
		return strings.Compare(a, b)
	})
}

// A semverRange is what a constraint allows: any of its alternatives, each all of its bounds.
type semverRange [][]semverBound

type semverBound struct {
	op string // ">=", ">", "<=", "<", "=", "!="
	v  semver
}

// parseSemverRange reads constraints such as ">=1.2 <2", "^1.4", "~1.4.2", "1.4.2 || >=2". Each word is
// an operator with a version, a space or not between them; words that stand together, with a comma or not,
// must all hold, "||" parts alternatives. "1.2.x" and "1.2.*" are any of 1.2, "1.2 - 1.4" is from one to the
// other, as other tools have it.
func parseSemverRange(s string) (semverRange, error) {
	var r semverRange
	for part := range strings.SplitSeq(s, "||") {
		var all []semverBound
		for _, word := range semverWords(part) {
			bounds, err := parseSemverBound(word)
			if err != nil {
				return nil, err
			}
			all = append(all, bounds...)
		}
		if len(all) == 0 {
			return nil, fmt.Errorf("%q: a constraint is missing", s)
		}
		r = append(r, all)
	}
	return r, nil
}

// semverWords gives the words of a constraint, each operator joined with its version.
func semverWords(part string) []string {
	var words []string
	fields := strings.Fields(strings.ReplaceAll(part, ",", " "))
	for i := 0; i < len(fields); i++ {
		switch word := fields[i]; {
		case word == "-" && len(words) > 0 && i+1 < len(fields):
			i++
			words[len(words)-1] = ">=" + words[len(words)-1]
			words = append(words, "<="+fields[i])
		case strings.Trim(word, semverOperators) == "" && i+1 < len(fields):
			i++
			words = append(words, word+fields[i])
		default:
			words = append(words, word)
		}
	}
	return words
}

const semverOperators = "<>=^~!"

// wildcard reads "1.2.x", "1.*" and "*".
func wildcard(text string) ([]semverBound, bool) {
	core := strings.TrimRight(text, ".xX*")
	if !strings.ContainsAny(text, "xX*") {
		return nil, false
	}
	if core == "" || core == "v" {
		return []semverBound{{">=", semver{}}}, true
	}
	v, ok := parseSemver(core)
	if !ok || len(v.pre) > 0 {
		return nil, false
	}
	next := semver{number: v.number}
	next.raise(v.given - 1)
	return []semverBound{{">=", v}, {"<", next}}, true
}

func parseSemverBound(word string) ([]semverBound, error) {
	text := strings.TrimLeft(word, semverOperators)
	op := word[:len(word)-len(text)]
	if all, ok := wildcard(text); ok && (op == "" || op == "=" || op == "^" || op == "~") {
		return all, nil
	}
	v, ok := parseSemver(text)
	if !ok {
		return nil, fmt.Errorf("%q: no version after the operator %q", word, op)
	}
	next := semver{number: v.number}
	switch op {
	case ">=", ">", "<=", "<", "!=":
		return []semverBound{{op, v}}, nil
	case "", "=":
		return []semverBound{{"=", v}}, nil
	case "^": // up to the next change of the first number that is not zero
		i := 0
		for i < v.given-1 && v.number[i] == 0 {
			i++
		}
		next.raise(i)
	case "~": // up to the next minor version, or major one if no minor is given
		next.raise(min(v.given-1, 1))
	default:
		return nil, fmt.Errorf("%q: unknown operator %q", word, op)
	}
	return []semverBound{{">=", v}, {"<", next}}, nil
}

// raise gives the first version with a higher number i.
func (v *semver) raise(i int) {
	v.number[i]++
	clear(v.number[i+1:])
}

// match tells whether a version is in the range. Pre-releases are only if a bound of the same
// alternative is a pre-release of the same three numbers, as npm and others have it: "1.2.3-alpine" is
// not wanted by those who want ">=1.2".
func (r semverRange) match(v semver) bool {
	return slices.ContainsFunc(r, func(all []semverBound) bool {
		named := len(v.pre) == 0
		for _, b := range all {
			if !b.holds(v.compare(b.v)) {
				return false
			}
			named = named || len(b.v.pre) > 0 && b.v.number == v.number
		}
		return named
	})
}

func (b semverBound) holds(c int) bool {
	switch b.op {
	case ">=":
		return c >= 0
	case ">":
		return c > 0
	case "<=":
		return c <= 0
	case "<":
		return c < 0
	case "!=":
		return c != 0
	}
	return c == 0
}
