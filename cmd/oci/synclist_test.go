package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestSyncListIsStrict(t *testing.T) {
	const ends = "from='a.io/x'\nto='b.io/x'\n"
	for name, c := range map[string]struct{ text, want string }{
		"empty":           {"", "names no image"},
		"unknown key":     {"[[image]]\n" + ends + "semvr='1'", `line 4: invalid list: unknown key "image.semvr"`},
		"at the top":      {"prune=true\n[[image]]\n" + ends, "line 1"},
		"type":            {"[[image]]\n" + ends + "tags='latest'", "line 4"},
		"not TOML":        {"images:\n - x", "line 1"},
		"no from":         {"[[image]]\nto='b.io/x'", "from"},
		"with a tag":      {"[[image]]\nfrom='a.io/x:1'\nto='b.io/x'", "neither a repository"},
		"with a digest":   {"[[image]]\nfrom='a.io/x@sha256:" + strings.Repeat("0", 64) + "'\nto='b.io/x'", "neither a repository"},
		"an archive":      {"[[image]]\nfrom='oci-archive:x.tar'\nto='b.io/x'", "neither a repository"},
		"onto itself":     {"[[image]]\nfrom='a.io/x'\nto='a.io/x'", "same place"},
		"two to one":      {"[[image]]\n" + ends + "[[image]]\nfrom='c.io/x'\nto='b.io/x'", "another one goes to b.io/x"},
		"bad regex":       {"[[image]]\n" + ends + "regex='['", "regex"},
		"bad semver":      {"[[image]]\n" + ends + "semver='latest'", "semver"},
		"bad platform":    {"[[image]]\n" + ends + "platform='//'", "platform"},
		"a path as tag":   {"[[image]]\n" + ends + "tags=['../../x']", "invalid reference"},
		"a digest as tag": {"[[image]]\n" + ends + "tags=['x@sha256:" + strings.Repeat("0", 64) + "']", "image 1"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := decodeSyncList([]byte(c.text), false); !errors.Is(err, errSyncList) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	for _, bad := range []string{`{}`, `[]`, `{"image":[{"from":"a.io/x","to":"b.io/x","tag":"1"}]}`, `{"image":[{"from":"a.io/x","to":"b.io/x"}]} {}`} {
		if _, err := decodeSyncList([]byte(bad), true); !errors.Is(err, errSyncList) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestSyncListChooses(t *testing.T) {
	have := []string{"latest", "1.35", "1.36.1", "1.36.1-musl", "2.0", "sha256-" + strings.Repeat("a", 64)}
	for rules, want := range map[string]string{
		"":                                   "1.35 1.36.1 1.36.1-musl 2.0 latest",
		"semver='<2'":                        "1.35 1.36.1",
		"regex='musl'":                       "1.36.1-musl",
		"regex='^1'\nsemver='>=1.36'":        "1.36.1",
		"tags=['latest','2.0']":              "2.0 latest",
		"tags=['latest','x']\nsemver='1.35'": "1.35 latest x",
		"regex='nothing'":                    "",
	} {
		list, err := decodeSyncList([]byte("[[image]]\nfrom='a.io/x'\nto='oci:dir'\n"+rules), false)
		if err != nil {
			t.Fatal(err)
		}
		if got := list.Image[0].choose(have); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%q: %q, want %q", rules, got, want)
		}
	}
}

// FuzzSyncList: a list that is accepted names places that can be parsed again, and chooses each tag once.
func FuzzSyncList(f *testing.F) {
	f.Add("[[image]]\nfrom='a.io/x'\nto='oci:dir'\ntags=['1']\nsemver='>=1'", "1 2 latest", false)
	f.Add(`{"image":[{"from":"a.io/x","to":"b.io/x","regex":"."}]}`, "a b a", true)
	f.Fuzz(func(t *testing.T, text, tags string, asJSON bool) {
		list, err := decodeSyncList([]byte(text), asJSON)
		if err != nil {
			if !errors.Is(err, errSyncList) {
				t.Errorf("of another kind: %v", err)
			}
			return
		}
		for _, e := range list.Image {
			got := e.choose(strings.Fields(tags))
			if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
				t.Errorf("%q chooses %q", text, got)
			}
			for _, tag := range e.Tags {
				if err := e.to.tagged(tag).check(); err != nil {
					t.Errorf("%q: %v", text, err)
				}
			}
		}
	})
}
