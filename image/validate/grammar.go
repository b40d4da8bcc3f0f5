package validate

import (
	"net/url"
	"strings"
	"time"
)

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	letter = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits = "0123456789"
)

// of tells whether s is not empty and has only characters of set.
func of(s, set string) bool { return s != "" && strings.Trim(s, set) == "" }

// digestGrammar is the grammar of descriptor.md#digests, whatever the algorithm.
func digestGrammar(s string) bool {
	algorithm, encoded, ok := strings.Cut(s, ":")
	return ok && algorithmGrammar(algorithm) && encodedGrammar(encoded)
}

func algorithmGrammar(s string) bool {
	for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return strings.ContainsRune("+._-", r) }) {
		if !of(part, lower+digits) {
			return false
		}
	}
	edges := strings.Trim(s, "+._-") == s // no separator at either end
	for i := 1; i < len(s); i++ {
		if strings.IndexByte("+._-", s[i]) >= 0 && strings.IndexByte("+._-", s[i-1]) >= 0 {
			return false
		}
	}
	return s != "" && edges
}

func encodedGrammar(s string) bool { return of(s, letter+digits+"=_-") }

// encodedLength is the length that an algorithm's encoded portion must have; 0 of one that is not registered.
func encodedLength(algorithm string) int {
	switch algorithm {
	case "sha256":
		return 64
	case "sha512":
		return 128
	}
	return 0
}

// uri tells whether s is a URI of RFC 3986: it has a scheme, and only characters of the grammar.
func uri(s string) bool {
	scheme, _, ok := strings.Cut(s, ":")
	if !ok || !of(scheme, letter+digits+"+-.") || strings.IndexByte(letter, scheme[0]) < 0 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) || !of(s[i+1:i+3], digits+"abcdefABCDEF") {
				return false
			}
			continue
		}
		if strings.IndexByte(letter+digits+"-._~:/?#[]@!$&'()*+,;=", c) < 0 {
			return false
		}
	}
	_, err := url.Parse(s)
	return err == nil && strings.Count(s, "#") <= 1
}

// dateTime tells whether s is a date-time of RFC 3339 section 5.6.
func dateTime(s string) bool {
	if strings.Contains(s, ",") { // which package time takes
		return false
	}
	s = strings.ToUpper(s)
	if len(s) > 19 && s[17:19] == "60" { // a leap second, which package time does not know
		s = s[:17] + "59" + s[19:]
	}
	_, err := time.Parse(time.RFC3339Nano, s)
	return err == nil
}

// refName is the grammar of org.opencontainers.image.ref.name.
func refName(s string) bool {
	for component := range strings.SplitSeq(s, "/") {
		component = strings.ReplaceAll(component, "--", ".") // as good as one separator, and no other two stand together
		if component == "" || strings.IndexByte(letter+digits, component[0]) < 0 || strings.IndexByte(letter+digits, component[len(component)-1]) < 0 {
			return false
		}
		for i := 1; i < len(component); i++ {
			separator := strings.IndexByte("-._:@+", component[i]) >= 0
			if !separator && strings.IndexByte(letter+digits, component[i]) < 0 || separator && strings.IndexByte("-._:@+", component[i-1]) >= 0 {
				return false
			}
		}
	}
	return true
}

// licenses tells whether s has the form of an SPDX license expression. The list of licenses grows: names are not looked up.
func licenses(s string) bool {
	s = strings.NewReplacer("(", " ( ", ")", " ) ").Replace(s)
	depth, operand := 0, true // whether an operand comes next
	words := strings.Fields(s)
	for i, w := range words {
		switch w {
		case "(":
			if !operand {
				return false
			}
			depth++
		case ")":
			if depth--; operand || depth < 0 {
				return false
			}
		case "AND", "OR", "WITH", "and", "or", "with":
			if operand || strings.EqualFold(w, "with") && words[i-1] == ")" {
				return false
			}
			operand = true
		default:
			if !operand || !licenseName(w) {
				return false
			}
			operand = false
		}
	}
	return !operand && depth == 0
}

// licenseName is an identifier with a plus or without, or a reference to a text of one's own.
func licenseName(w string) bool {
	if document, rest, ok := strings.Cut(w, ":"); ok {
		name, isDocument := strings.CutPrefix(document, "DocumentRef-")
		return isDocument && of(name, letter+digits+"-.") && strings.HasPrefix(rest, "LicenseRef-") && of(rest, letter+digits+"-.")
	}
	return of(strings.TrimSuffix(w, "+"), letter+digits+"-.")
}
