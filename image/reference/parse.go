package reference

import (
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// Limits: a host and name of 255 characters is what registries take (distribution-spec, "Pulling
// manifests"); a path is bounded by the system, and the whole by this.
const (
	maxName = 255
	maxTag  = 128
	maxText = 8192
)

// The grammars of distribution-spec, "Pulling manifests".
var (
	clauseName = spec.Clause{ID: "DC-01", Level: spec.Must, Spec: "distribution-spec", Section: "spec.md#pulling-manifests"}
	clauseTag  = spec.Clause{ID: "DC-02", Level: spec.Must, Spec: "distribution-spec", Section: "spec.md#pulling-manifests"}
)

// Parse reads a reference; see the package comment for its forms. It gives ErrSyntax, or
// ErrTransport for a place that other tools know and this one does not.
func Parse(s string) (Ref, error) {
	if s == "" || len(s) > maxText {
		return Ref{}, failure(s, spec.Clause{}, ErrSyntax, "empty or too long")
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }); i >= 0 {
		return Ref{}, failure(s, spec.Clause{}, ErrSyntax, "a character that cannot be shown")
	}
	prefix, rest, _ := strings.Cut(s, ":")
	switch prefix {
	case "docker":
		if name, ok := strings.CutPrefix(rest, "//"); ok {
			return parseName(s, name)
		}
	case "ocidir": // regctl's spelling
		if path, ok := strings.CutPrefix(rest, "//"); ok {
			return parsePath(s, OCI, path)
		}
	case string(OCI), string(OCIArchive), string(DockerArchive), string(Dir):
		return parsePath(s, Transport(prefix), rest)
	case string(OCIHTTPS), string(OCIHTTP):
		return parseURL(s, Transport(prefix), rest)
	case "docker-daemon", "containers-storage", "ostree", "sif", "tarball", "http", "https":
		return Ref{}, failure(s, spec.Clause{}, ErrTransport, "%s: is not one of registry names, oci:, oci-archive:, docker-archive:, dir:, oci+https:", prefix)
	}
	return parseName(s, s)
}

// parseName reads a name in a registry.
func parseName(whole, s string) (Ref, error) {
	r := Ref{Transport: Registry}
	if name, d, ok := strings.Cut(s, "@"); ok {
		if err := checkDigest(whole, d); err != nil {
			return Ref{}, err
		}
		s, r.Digest = name, digest.Digest(d)
	}
	// A colon after the last slash starts the tag; before it, a port.
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, '/') {
		s, r.Tag = s[:i], s[i+1:]
		if !validTag(r.Tag) {
			return Ref{}, failure(whole, clauseTag, ErrSyntax, "%q is not a tag", r.Tag)
		}
	}
	r.Registry, r.Repository = splitHost(s)
	if !validHost(r.Registry) {
		return Ref{}, failure(whole, clauseName, ErrSyntax, "%q is not a registry", r.Registry)
	}
	if len(r.Name()) > maxName {
		return Ref{}, failure(whole, clauseName, ErrSyntax, "a name of more than %d characters", maxName)
	}
	if !validRepository(r.Repository) {
		hint := ""
		if validRepository(strings.ToLower(r.Repository)) {
			hint = "; names are lower case"
		}
		return Ref{}, failure(whole, clauseName, ErrSyntax, "%q is not a repository name%s", r.Repository, hint)
	}
	if r.Tag == "" && r.Digest == "" {
		r.Tag = DefaultTag
	}
	return r, nil
}

// splitHost applies Docker's rule for what is a host and what a repository.
func splitHost(s string) (host, repository string) {
	host, repository, ok := strings.Cut(s, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" && host == strings.ToLower(host) {
		host, repository = DefaultRegistry, s
	}
	if host == "index.docker.io" || host == "registry-1.docker.io" {
		host = DefaultRegistry
	}
	if host == DefaultRegistry && !strings.Contains(repository, "/") {
		repository = DefaultNamespace + "/" + repository
	}
	return host, repository
}

// validHost tells whether s is a DNS name, an IPv4 address or an IPv6 address in brackets, with or
// without a port.
func validHost(s string) bool {
	host := s
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		n, err := strconv.ParseUint(s[i+1:], 10, 16)
		if err != nil || n == 0 || s[i+1] == '+' {
			return false
		}
		host = s[:i]
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		return ok && validIPv6(inner)
	}
	if host == "" {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
			return false
		}
	}
	return true
}

// validIPv6 tells whether s is an address of RFC 4291 section 2.2, form 1 or 2: groups of hex digits,
// and one "::" for those that are left out. Zones and embedded IPv4 addresses name no registry.
func validIPv6(s string) bool {
	left, right, short := strings.Cut(s, "::")
	n := 0
	for i, part := range [...]string{left, right} {
		if part == "" && (short || i == 1) {
			continue
		}
		for group := range strings.SplitSeq(part, ":") {
			if group == "" || len(group) > 4 || strings.Trim(group, "0123456789abcdefABCDEF") != "" {
				return false
			}
			n++
		}
	}
	if short {
		return n < 8
	}
	return n == 8
}

// validRepository is `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` for each of the components between slashes.
func validRepository(s string) bool {
	for c := range strings.SplitSeq(s, "/") {
		if !validComponent(c) {
			return false
		}
	}
	return true
}

func validComponent(c string) bool {
	const alphanumeric = "abcdefghijklmnopqrstuvwxyz0123456789"
	for {
		rest := strings.TrimLeft(c, alphanumeric)
		if len(rest) == len(c) {
			return false // nothing, or a separator at the start or the end
		}
		if rest == "" {
			return true
		}
		c = strings.TrimLeft(rest, "._-")
		switch sep := rest[:len(rest)-len(c)]; {
		case sep == ".", sep == "_", sep == "__", sep != "" && strings.Trim(sep, "-") == "":
		default:
			return false
		}
	}
}

// validTag is `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
func validTag(s string) bool {
	const word = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
	return s != "" && len(s) <= maxTag && s[0] != '.' && s[0] != '-' && strings.Trim(s, word+".-") == ""
}

// checkDigest proves that d is a digest that this project can compute.
func checkDigest(whole, s string) error {
	algorithm, encoded, _ := strings.Cut(s, ":")
	size := 0
	switch digest.Algorithm(algorithm) {
	case digest.SHA256:
		size = 64
	case digest.SHA512:
		size = 128
	default:
		return failure(whole, spec.DescriptorAlgorithm, ErrSyntax, "%q is not a digest of a known algorithm", s)
	}
	if len(encoded) != size || strings.Trim(encoded, "0123456789abcdef") != "" {
		return failure(whole, spec.DescriptorDigest, ErrSyntax, "%q is not a digest", s)
	}
	return nil
}

// parsePath reads PATH[:NAME][@DIGEST]. The path ends at the first colon, as it does for skopeo: the
// names in a layout are often full references and have colons of their own.
func parsePath(whole string, t Transport, s string) (Ref, error) {
	r := Ref{Transport: t}
	if t == OCI || t == OCIArchive {
		var err error
		if s, r.Digest, err = cutDigest(whole, s); err != nil {
			return Ref{}, err
		}
	}
	if t == Dir {
		r.Path = s
	} else {
		r.Path, r.Tag, _ = strings.Cut(s, ":")
	}
	if r.Path == "" {
		return Ref{}, failure(whole, spec.Clause{}, ErrSyntax, "no path after %s:", t)
	}
	if r.Tag == "" || validPosition(r.Tag) {
		return r, nil
	}
	if t == DockerArchive {
		in, err := parseName(whole, r.Tag)
		if err != nil {
			return Ref{}, err
		}
		r.Tag = in.String()
	}
	if err := checkLayoutName(whole, r.Tag); err != nil {
		return Ref{}, err
	}
	return r, nil
}

// cutDigest takes @DIGEST off the end. "/home/me@host/dir:tag" has none: one has no slash.
func cutDigest(whole, s string) (string, digest.Digest, error) {
	i := strings.LastIndexByte(s, '@')
	if i < 0 || !strings.Contains(s[i:], ":") || strings.Contains(s[i:], "/") {
		return s, "", nil
	}
	return s[:i], digest.Digest(s[i+1:]), checkDigest(whole, s[i+1:])
}

// checkLayoutName refuses what cannot be a name in a layout.
func checkLayoutName(whole, name string) error {
	if len(name) > 2*maxName || strings.ContainsAny(name, " \t\"'\\") {
		return failure(whole, spec.LayoutIndex, ErrSyntax, "%q is not a name", name)
	}
	return nil
}

// parseURL reads //HOST[:PORT]/DIR[:NAME][@DIGEST]. As in a path, the first colon ends the directory:
// one that belongs to it is written %3A.
func parseURL(whole string, t Transport, s string) (Ref, error) {
	r := Ref{Transport: t}
	s, ok := strings.CutPrefix(s, "//")
	if !ok {
		return Ref{}, failure(whole, spec.Clause{}, ErrSyntax, "want %s://HOST/DIR", t)
	}
	var err error
	if s, r.Digest, err = cutDigest(whole, s); err != nil {
		return Ref{}, err
	}
	r.Registry, s, _ = strings.Cut(s, "/")
	if !validHost(r.Registry) {
		return Ref{}, failure(whole, spec.Clause{}, ErrSyntax, "%q is not a host", r.Registry)
	}
	s, r.Tag, _ = strings.Cut(s, ":")
	s = strings.TrimRight(s, "/")
	for part := range strings.SplitSeq(s, "/") {
		if s != "" && (part == "" || part == "." || part == "..") || strings.ContainsAny(part, "?#\\ \"'<>") || badEscape(part) {
			return Ref{}, failure(whole, spec.Clause{}, ErrSyntax, "%q is not a directory of a URL", s)
		}
	}
	r.Path = "/" + s
	if validPosition(r.Tag) {
		return r, nil
	}
	if err := checkLayoutName(whole, r.Tag); err != nil {
		return Ref{}, err
	}
	return r, nil
}

// badEscape tells whether a percent sign of s is not followed by two hex digits.
func badEscape(s string) bool {
	const hex = "0123456789abcdefABCDEF"
	for i := range len(s) {
		if s[i] == '%' && (i+3 > len(s) || strings.Trim(s[i+1:i+3], hex) != "") {
			return true
		}
	}
	return false
}

// validPosition tells whether s is "@N", the image at position N of the file.
func validPosition(s string) bool {
	n, ok := strings.CutPrefix(s, "@")
	return ok && n != "" && len(n) <= 6 && strings.Trim(n, "0123456789") == ""
}
