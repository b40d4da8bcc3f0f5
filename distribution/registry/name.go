package registry

import (
	"strings"

	// The digest algorithms that may be pushed register themselves.
	_ "crypto/sha256"
	_ "crypto/sha512"

	"github.com/opencontainers/go-digest"
)

// maxName bounds a repository name: clients limit host and name to 255 bytes together.
const maxName = 255

// validName reports whether s is a repository name: components of lower case letters and digits,
// joined inside by one ".", one or two "_", or any number of "-" (distribution-spec, Pulling
// manifests).
func validName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for c := range strings.SplitSeq(s, "/") {
		if !validComponent(c) {
			return false
		}
	}
	return true
}

func validComponent(c string) bool {
	if c == "" || !alnum(c[0]) || !alnum(c[len(c)-1]) {
		return false
	}
	for i := 0; i < len(c); {
		if alnum(c[i]) {
			i++
			continue
		}
		start := i
		for i < len(c) && !alnum(c[i]) {
			i++
		}
		switch sep := c[start:i]; {
		case sep == "." || sep == "_" || sep == "__":
		case strings.Trim(sep, "-") == "":
		default:
			return false
		}
	}
	return true
}

func alnum(b byte) bool { return b >= 'a' && b <= 'z' || b >= '0' && b <= '9' }

// validTag reports whether s is a tag: [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}.
func validTag(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		b := s[i]
		word := alnum(b) || b >= 'A' && b <= 'Z' || b == '_'
		if !word && (i == 0 || b != '.' && b != '-') {
			return false
		}
	}
	return true
}

// parseDigest accepts the digests that this registry can prove.
func parseDigest(s string) (digest.Digest, error) {
	d, err := digest.Parse(s) // also refuses an algorithm that is not compiled in
	if err != nil {
		return "", digestInvalid(err.Error())
	}
	return d, nil
}
