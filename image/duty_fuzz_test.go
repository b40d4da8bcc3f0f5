package image

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// FuzzPlatform: what is read can be written, read again and is the same; and it matches itself.
func FuzzPlatform(f *testing.F) {
	for _, s := range []string{"linux/amd64", "amd64", "linux/arm/v7", "linux/arm/6", "windows(10.0.17763)/amd64", "linux/x86_64/v1", "a/b/c/d", "linux(1/x", "/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePlatform(s)
		if err != nil {
			return
		}
		text := FormatPlatform(p)
		again, err := ParsePlatform(text)
		if err != nil || FormatPlatform(again) != text {
			t.Fatalf("%q is %q, then %q, %v", s, text, FormatPlatform(again), err)
		}
		if MatchPlatform(p, p) == 0 {
			t.Fatalf("%q does not match itself", text)
		}
		if strings.ContainsFunc(text, func(r rune) bool { return r < '!' || r > '~' }) {
			t.Fatalf("%q", text)
		}
	})
}

// FuzzDescriptor: a descriptor that is let through is safe to use: its digest has parts that are safe in a
// path, its types no spaces, its size no sign, its data is its content.
func FuzzDescriptor(f *testing.F) {
	f.Add("a/b", emptyDigest.String(), int64(0), []byte(nil), "")
	f.Add("a/b", "sha256:../../x", int64(-1), []byte("{}"), "x")
	f.Add(ispec.MediaTypeEmptyJSON, ispec.DescriptorEmptyJSON.Digest.String(), int64(2), []byte("{}"), "application/spdx+json")
	f.Add("a/b", "sha512:"+strings.Repeat("0", 128), int64(1), []byte(nil), "")
	f.Fuzz(func(t *testing.T, mediaType, d string, size int64, data []byte, artifact string) {
		desc := ispec.Descriptor{MediaType: mediaType, Digest: digest.Digest(d), Size: size, Data: data, ArtifactType: artifact}
		if ValidateDescriptor(desc) != nil {
			return
		}
		alg, enc := desc.Digest.Algorithm(), desc.Digest.Encoded() // they panic on what is no digest
		if strings.Trim(enc, "0123456789abcdef") != "" || alg != digest.SHA256 && alg != digest.SHA512 || len(enc) != 2*alg.Size() {
			t.Fatalf("%q", d)
		}
		if desc.Digest.Validate() != nil || size < 0 || !strings.Contains(mediaType, "/") || strings.ContainsAny(mediaType+artifact, " ;\n\x1b") {
			t.Fatalf("%+v", desc)
		}
		if len(data) > 0 && alg.FromBytes(data) != desc.Digest {
			t.Fatalf("%+v", desc)
		}
	})
}
