package validate

import (
	"slices"
	"strconv"
	"strings"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// systems are the values of GOOS that the Go documentation lists.
func systems() []string {
	return []string{
		"aix", "android", "darwin", "dragonfly", "freebsd", "illumos", "ios", "js", "linux", "netbsd", "openbsd", "plan9", "solaris", "wasip1", "windows",
	}
}

// architectures are those of GOARCH.
func architectures() []string {
	return []string{
		"386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le", "riscv64", "s390x", "wasm",
	}
}

// variants gives the rule for the variants of an architecture, as image-index.md#platform-variants has them, and in words; nil of one
// that the table does not have, whose variants may be any. A version is not bounded: the table ends in dots.
func variants(architecture string) (rule func(string) bool, words string) {
	numbered := func(prefix string, least, most int) func(string) bool {
		return func(v string) bool {
			n, err := strconv.Atoi(strings.TrimPrefix(v, prefix))
			return strings.HasPrefix(v, prefix) && err == nil && n >= least && n <= most
		}
	}
	switch architecture {
	case "arm":
		return numbered("v", 5, 8), "v5, v6, v7 or v8"
	case "arm64":
		return func(v string) bool {
			major, minor, ok := strings.Cut(v, ".")
			return numbered("v", 8, 99)(major) && (!ok || of(minor, digits))
		}, "v8, v8.1, v9 and so on"
	case "ppc64le":
		return numbered("power", 8, 99), "power8, power9 and so on"
	case "riscv64":
		return func(v string) bool {
			year, ok := strings.CutPrefix(v, "rva")
			year, profile := strings.CutSuffix(year, "u64")
			return ok && profile && len(year) == 2 && of(year, digits)
		}, "rva20u64, rva22u64 and so on"
	case "amd64":
		return numbered("v", 1, 99), "v1, v2, v3 and so on"
	}
	return nil, ""
}

// platformRules are the clauses for the platform of a document. What an empty name breaks depends on what it is for: an entry of an
// index with one is as good as one without a platform, a config with one cannot be used.
type platformRules struct{ required, empty, name, feature, variant spec.Clause }

// platform judges the properties of a platform, and gives them. known is false if os or architecture is not usable.
func (d *doc) platform(n *node, pointer string, c platformRules) (p ispec.Platform, known bool) {
	for _, want := range []struct {
		key   string
		value *string
		words []string
		hint  string
	}{
		{"os", &p.OS, systems(), "linux"},
		{"architecture", &p.Architecture, architectures(), "amd64"},
	} {
		v := d.required(n, text, pointer, want.key, c.required, want.hint)
		if v == nil {
			continue
		}
		if *want.value = v.text; v.text == "" {
			d.add(under(pointer, want.key), c.empty, want.hint, ErrInvalid, "an empty string")
			continue
		}
		d.oneOf(under(pointer, want.key), c.name, v.text, want.words)
	}
	p.OSVersion, _ = d.string(n, pointer, "os.version", c.required)
	p.OSFeatures = d.strings(n, pointer, "os.features", c.required)
	if p.OS == "windows" {
		for i, f := range p.OSFeatures {
			d.oneOf(at(under(pointer, "os.features"), i), c.feature, f, []string{"win32k"})
		}
	}
	variant, ok := d.string(n, pointer, "variant", c.required)
	if rule, words := variants(p.Architecture); ok && variant != "" && rule != nil && !rule(variant) {
		d.add(under(pointer, "variant"), c.variant, words, ErrInvalid, "%q is no variant of %s", clip(variant), p.Architecture)
	}
	p.Variant = variant
	return p, p.OS != "" && p.Architecture != ""
}

// samePlatform tells whether two entries of an index are chosen for the same machines.
func samePlatform(a, b ispec.Platform) bool {
	return a.OS == b.OS && a.Architecture == b.Architecture && a.Variant == b.Variant && a.OSVersion == b.OSVersion && slices.Equal(a.OSFeatures, b.OSFeatures)
}
