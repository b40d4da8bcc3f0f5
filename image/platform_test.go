package image

import (
	"errors"
	goruntime "runtime"
	"strings"
	"testing"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestParsePlatform(t *testing.T) {
	for in, want := range map[string]string{
		"linux/amd64": "linux/amd64", "amd64": "linux/amd64", "linux/x86_64": "linux/amd64", "linux/amd64/v1": "linux/amd64",
		"linux/amd64/v3": "linux/amd64/v3", "linux/arm": "linux/arm/v7", "linux/arm/6": "linux/arm/v6", "linux/armel": "linux/arm/v6", "linux/armhf": "linux/arm/v7",
		"linux/arm64/v8": "linux/arm64", "LINUX/AARCH64": "linux/arm64", "windows(10.0.17763)/amd64": "windows(10.0.17763)/amd64", "linux/riscv64": "linux/riscv64",
	} {
		p, err := ParsePlatform(in)
		if err != nil || FormatPlatform(p) != want {
			t.Errorf("%q: %q, %v, want %q", in, FormatPlatform(p), err, want)
			continue
		}
		if again, err := ParsePlatform(FormatPlatform(p)); err != nil || FormatPlatform(again) != want {
			t.Errorf("%q is no fixed point: %v, %v", want, again, err)
		}
	}
	for _, in := range []string{"", "/", "linux/", "/amd64", "linux//v7", "a/b/c/d", "linux/am d64", "linux(1/amd64", "linux/amd64/", "linux/\x1b"} {
		if p, err := ParsePlatform(in); !errors.Is(err, ErrPlatformSyntax) {
			t.Errorf("%q: %v, %v", in, p, err)
		}
	}
}

func TestHostPlatform(t *testing.T) {
	if p := HostPlatform(); p.OS != goruntime.GOOS || p.Architecture != goruntime.GOARCH {
		t.Errorf("%v", p)
	}
}

// index makes an index of entries "os/arch/variant", "" for one without a platform.
func index(t *testing.T, platforms ...string) ispec.Index {
	t.Helper()
	var x ispec.Index
	for _, s := range platforms {
		d := describe(ispec.MediaTypeImageManifest, s)
		d.Annotations = map[string]string{"is": s}
		if s != "" {
			parts := append(strings.Split(s, "/"), "")
			d.Platform = &ispec.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}
		}
		x.Manifests = append(x.Manifests, d)
	}
	return x
}

func TestIS_I2_Select(t *testing.T) {
	for _, c := range []struct {
		have []string
		want string
		is   string // "-": none
	}{
		{[]string{"linux/arm64", "linux/amd64"}, "linux/amd64", "linux/amd64"},
		{[]string{"linux/amd64/v3", "linux/amd64"}, "linux/amd64", "linux/amd64"},
		{[]string{"linux/amd64/v3"}, "linux/amd64", "-"},
		{[]string{"linux/amd64", "linux/amd64/v2", "linux/amd64/v4"}, "linux/amd64/v3", "linux/amd64/v2"},
		{[]string{"linux/arm/v5", "linux/arm/v6", "linux/arm/v7"}, "linux/arm", "linux/arm/v7"},
		{[]string{"linux/arm/v5", "linux/arm/v6", "linux/arm/v7"}, "linux/arm/v6", "linux/arm/v6"},
		{[]string{"linux/arm/v5"}, "linux/arm/v7", "linux/arm/v5"},
		{[]string{"linux/arm/v7"}, "linux/arm/v6", "-"},
		{[]string{"linux/arm64/v8"}, "linux/arm64", "linux/arm64/v8"},
		{[]string{"linux/arm64"}, "linux/arm64/v9", "linux/arm64"},
		{[]string{"unknown/unknown", "linux/amd64"}, "linux/amd64", "linux/amd64"},
		{[]string{"windows/amd64"}, "linux/amd64", "-"},
		{[]string{""}, "linux/amd64", ""},
		{[]string{"", "linux/amd64"}, "linux/amd64", "linux/amd64"},
		{[]string{"linux/x86_64"}, "linux/amd64", "linux/x86_64"},
		{nil, "linux/amd64", "-"},
	} {
		p, err := ParsePlatform(c.want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Select(index(t, c.have...), p)
		if c.is == "-" {
			if !errors.Is(err, ErrNoPlatform) {
				t.Errorf("%q of %q: %v, %v, want ErrNoPlatform", c.want, c.have, got.Annotations, err)
			}
			continue
		}
		if err != nil || got.Annotations["is"] != c.is {
			t.Errorf("%q of %q: %v, %v, want %q", c.want, c.have, got.Annotations, err, c.is)
		}
	}
}

func TestIS_I2_first_of_equals(t *testing.T) {
	x := index(t, "linux/amd64", "linux/amd64")
	x.Manifests[0].Annotations["is"], x.Manifests[1].Annotations["is"] = "first", "second"
	got, err := Select(x, ispec.Platform{OS: "linux", Architecture: "amd64"})
	if err != nil || got.Annotations["is"] != "first" {
		t.Errorf("%v, %v", got.Annotations, err)
	}
}

func TestMatchPlatform_windows(t *testing.T) {
	has := ispec.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.17763.1066", OSFeatures: []string{"win32k"}}
	want := ispec.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.17763.5"}
	if MatchPlatform(has, want) == 0 {
		t.Error("the same build does not match")
	}
	want.OSVersion = "10.0.20348"
	if MatchPlatform(has, want) != 0 {
		t.Error("another build matches")
	}
	want.OSVersion, want.OSFeatures = "", []string{}
	if MatchPlatform(has, want) != 0 {
		t.Error("a feature that is not there matches")
	}
}

// TestIsList: an index of artifacts is no choice of images, one with any image is.
func TestIsList(t *testing.T) {
	art := ispec.Descriptor{MediaType: ispec.MediaTypeImageManifest, ArtifactType: "application/x"}
	plain := ispec.Descriptor{MediaType: ispec.MediaTypeImageManifest}
	unknown := ispec.Descriptor{MediaType: "application/x"}
	amd64 := ispec.Descriptor{MediaType: ispec.MediaTypeImageManifest, ArtifactType: "application/x", Platform: &ispec.Platform{OS: "linux", Architecture: "amd64"}}
	for _, tt := range []struct {
		entries []ispec.Descriptor
		want    bool
	}{
		{nil, true},
		{[]ispec.Descriptor{art, unknown}, true},
		{[]ispec.Descriptor{art, plain}, false},
		{[]ispec.Descriptor{art, amd64}, false},
	} {
		if got := IsList(ispec.Index{Manifests: tt.entries}); got != tt.want {
			t.Errorf("%v: got %t, want %t", tt.entries, got, tt.want)
		}
	}
}
