package image

import (
	"fmt"
	goruntime "runtime"
	"slices"
	"strings"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/cpu"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// HostPlatform gives the platform that this machine runs. The variant is set for arm only: for
// amd64 the higher levels (v2 to v4) must be asked for by name.
func HostPlatform() ispec.Platform {
	p := ispec.Platform{OS: goruntime.GOOS, Architecture: goruntime.GOARCH}
	if p.Architecture == "arm" {
		p.Variant = "v6"
		if cpu.ARM.HasVFPv3 || cpu.ARM.HasNEON || cpu.ARM.HasLPAE {
			p.Variant = "v7"
		}
	}
	return normalize(p)
}

// ParsePlatform reads "os/arch", "os/arch/variant", "os(version)/arch" or "arch" alone, for which
// the system is linux. Names of other tools are understood: x86_64, aarch64, armhf, armel, i386.
func ParsePlatform(s string) (ispec.Platform, error) {
	parts := strings.Split(strings.ToLower(s), "/")
	var p ispec.Platform
	switch len(parts) {
	case 1:
		p.OS, p.Architecture = "linux", parts[0]
	case 2:
		p.OS, p.Architecture = parts[0], parts[1]
	case 3:
		p.OS, p.Architecture, p.Variant = parts[0], parts[1], parts[2]
	}
	if name, version, ok := strings.Cut(p.OS, "("); ok {
		p.OS = name
		p.OSVersion, ok = strings.CutSuffix(version, ")")
		if !ok || !platformWord(p.OSVersion) {
			p.OS = ""
		}
	}
	if !platformWord(p.OS) || !platformWord(p.Architecture) || len(parts) == 3 && !platformWord(p.Variant) {
		err := fmt.Errorf("%w: want os/arch or os/arch/variant, such as linux/amd64", ErrPlatformSyntax)
		return ispec.Platform{}, &Error{Op: "parse platform", Subject: fmt.Sprintf("%q", clip(s)), Err: err}
	}
	return normalize(p), nil
}

func platformWord(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789._-+") == ""
}

// FormatPlatform is the inverse of ParsePlatform.
func FormatPlatform(p ispec.Platform) string {
	s := p.OS
	if p.OSVersion != "" {
		s += "(" + p.OSVersion + ")"
	}
	s += "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// normalize brings the names of a platform to those of the table in image-index.md, and leaves out
// the variant where it is the one that is meant anyway.
func normalize(p ispec.Platform) ispec.Platform {
	switch p.Architecture {
	case "x86_64", "x86-64":
		p.Architecture = "amd64"
	case "aarch64":
		p.Architecture = "arm64"
	case "i386", "i686", "x86":
		p.Architecture = "386"
	case "armhf":
		p.Architecture, p.Variant = "arm", "v7"
	case "armel":
		p.Architecture, p.Variant = "arm", "v6"
	}
	if p.OS == "macos" {
		p.OS = "darwin"
	}
	if p.Variant != "" && p.Variant[0] >= '0' && p.Variant[0] <= '9' { // docker's "arm/7"
		p.Variant = "v" + p.Variant
	}
	switch {
	case p.Architecture == "arm" && p.Variant == "":
		p.Variant = "v7"
	case p.Architecture == "arm64" && (p.Variant == "v8" || p.Variant == "v8.0"), p.Architecture == "amd64" && p.Variant == "v1":
		p.Variant = ""
	}
	return p
}

// MatchPlatform tells whether an image for has runs on want, and how well: 0 is not at all, and of
// several the highest is the best. A machine runs the variants below its own: arm v7 also v6 and
// v5, arm64 v9 also v8, amd64 v3 also v2 and v1.
func MatchPlatform(has, want ispec.Platform) int {
	has, want = normalize(has), normalize(want)
	if has.OS != want.OS || has.Architecture != want.Architecture || !matchVersion(has, want) {
		return 0
	}
	if has.Variant == want.Variant {
		return 100
	}
	var h, w int
	switch has.Architecture {
	case "amd64":
		h, w = level(has.Variant, 1), level(want.Variant, 1)
	case "arm64":
		h, w = level(has.Variant, 8), level(want.Variant, 8)
	case "arm":
		h, w = level(has.Variant, 7), level(want.Variant, 7)
	default: // no order is known: only an image that names no variant, or a wish without one, fits
		if has.Variant == "" || want.Variant == "" {
			return 1
		}
		return 0
	}
	if h == 0 || w == 0 || h > w {
		return 0
	}
	return max(1, 100-(w-h))
}

// level gives the number in "v7" or "v8.2" in tenths, that of def for "", and 0 if there is none.
func level(variant string, def int) int {
	if variant == "" {
		return def * 10
	}
	var major, minor int
	if n, _ := fmt.Sscanf(variant, "v%d.%d", &major, &minor); n == 0 || major < 0 || major > 99 || minor < 0 || minor > 9 {
		return 0
	}
	return major*10 + minor
}

// matchVersion applies os.version and os.features. Only Windows images have them: the first three
// numbers of the version are those that must agree, and the features that an image names are needed.
func matchVersion(has, want ispec.Platform) bool {
	if has.OSVersion != "" && want.OSVersion != "" && build(has.OSVersion) != build(want.OSVersion) {
		return false
	}
	for _, f := range has.OSFeatures {
		if want.OSFeatures != nil && !slices.Contains(want.OSFeatures, f) {
			return false
		}
	}
	return true
}

func build(version string) string {
	parts := strings.SplitN(version, ".", 4)
	return strings.Join(parts[:min(len(parts), 3)], ".")
}

// Select gives the entry of an index that is to be used for the platform: the best match, and of
// equals the first (image-index.md). It may be an index again. ErrNoPlatform names the platforms
// that there are.
func Select(idx ispec.Index, want ispec.Platform) (ispec.Descriptor, error) {
	if all := Candidates(idx, want); len(all) > 0 {
		return all[0], nil
	}
	return ispec.Descriptor{}, NoPlatform(idx, want)
}

// NoPlatform is the error for an index of which nothing is for the platform. It names those that
// there are.
func NoPlatform(idx ispec.Index, want ispec.Platform) error {
	var have []string
	for _, d := range idx.Manifests {
		if d.Platform != nil && len(have) < 20 {
			have = append(have, clip(FormatPlatform(*d.Platform)))
		}
	}
	err := fmt.Errorf("%w: the index has %q", ErrNoPlatform, have)
	return &Error{Op: "select", Subject: FormatPlatform(want), Clause: spec.IndexPlatform, Err: err}
}

// HasPlatform tells whether a descriptor says which platform its content is for.
func HasPlatform(d ispec.Descriptor) bool {
	return d.Platform != nil && (d.Platform.OS != "" || d.Platform.Architecture != "")
}

// IsList tells whether an index is a list of artifacts, and no choice of images: each entry has a type of
// artifact, or a type that nobody here knows. The list that stands in for the referrers API is one.
func IsList(idx ispec.Index) bool {
	for _, d := range idx.Manifests {
		if HasPlatform(d) || d.ArtifactType == "" && (IsManifest(d.MediaType) || IsIndex(d.MediaType)) {
			return false
		}
	}
	return true
}

// Candidates gives the entries of an index that may be for the platform, best first. Entries
// without a platform come last, and only if there is none with a matching one: what they are for
// is told by the index that they name, or by the image's config.
func Candidates(idx ispec.Index, want ispec.Platform) []ispec.Descriptor {
	type scored struct {
		d     ispec.Descriptor
		score int
	}
	var match []scored
	var open []ispec.Descriptor
	for _, d := range idx.Manifests {
		switch {
		case !IsManifest(d.MediaType) && !IsIndex(d.MediaType):
		case !HasPlatform(d):
			if d.ArtifactType == "" { // a signature or the like is not an image to run
				open = append(open, d)
			}
		default:
			if n := MatchPlatform(*d.Platform, want); n > 0 {
				match = append(match, scored{d, n})
			}
		}
	}
	if len(match) == 0 {
		return open
	}
	slices.SortStableFunc(match, func(a, b scored) int { return b.score - a.score })
	out := make([]ispec.Descriptor, len(match))
	for i, m := range match {
		out[i] = m.d
	}
	return out
}
