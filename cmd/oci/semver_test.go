package main

import (
	"strings"
	"testing"
)

func TestSemverOrder(t *testing.T) {
	// The order of semver.org, 11, between others.
	list := strings.Fields("0.9 v1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0 1.0.1 1.10 2")
	for i := range list {
		for j := range list {
			a, okA := parseSemver(list[i])
			b, okB := parseSemver(list[j])
			if !okA || !okB {
				t.Fatalf("%q or %q is no version", list[i], list[j])
			}
			if got, want := a.compare(b), i-j; got > 0 != (want > 0) || got < 0 != (want < 0) {
				t.Errorf("%s and %s: %d", list[i], list[j], got)
			}
		}
	}
	for _, bad := range strings.Fields("latest 1.2.3.4 1..2 1.x v +1 -1 1.-2 1.2.3- 1.2.3-a..b 9999999999 sha256-00ff") {
		if v, ok := parseSemver(bad); ok {
			t.Errorf("%q is taken for %v", bad, v)
		}
	}
}

func TestSemverRange(t *testing.T) {
	for _, c := range []struct{ text, in, out string }{
		{">=1.2 <2", "1.2 1.2.0 v1.9.9 1.36.1", "1.1.9 2 2.0.0 1.3.0-rc1 latest"},
		{"^1.2.3", "1.2.3 1.9", "1.2.2 2.0.0 2.0.0-rc1"},
		{"^0.2.3", "0.2.3 0.2.9", "0.3 1.0"},
		{"^0.0.3", "0.0.3", "0.0.4 0.1"},
		{"^0", "0.1 0.9.9", "1.0"},
		{"~1.4.2", "1.4.2 1.4.9", "1.5 1.4.1"},
		{"~1", "1.0 1.9", "2.0 0.9"},
		{"1.4.2 || >2", "1.4.2 2.0.1 3", "2.0.0 1.4.3"},
		{"=1.4", "1.4 1.4.0", "1.4.1"},
		{">= 3.12, < 4", "3.12 3.19.1", "3.11 4.0"},
		{"1.2.x", "1.2 1.2.9", "1.3 1.1.9 1.2.3-rc1"},
		{"1.*", "1.0 1.9", "2.0 0.9"},
		{"*", "0.0.1 9", "latest 1.0-rc1"},
		{"1.2 - 1.4", "1.2 1.3.7 1.4", "1.4.1 1.1"},
		{"~1.4 != 1.4.3", "1.4.2 1.4.4", "1.4.3"},
		{"<=1.4", "0.1 1.4", "1.4.1"},
		{">=1.0.0-rc.1", "1.0.0-rc.1 1.0.0-rc.2 1.0.0 1.1", "1.0.0-beta 1.1.0-alpine"},
	} {
		r, err := parseSemverRange(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		for _, want := range []bool{true, false} {
			for _, tag := range strings.Fields(map[bool]string{true: c.in, false: c.out}[want]) {
				v, ok := parseSemver(tag)
				if got := ok && r.match(v); got != want {
					t.Errorf("%q and %q: %t", c.text, tag, got)
				}
			}
		}
	}
	for _, bad := range []string{"", "||", ">=1 ||", ">=", "!1", "=>1", "- 1", "1 -", "1.", "x.1", ">=1.x", "latest"} {
		if r, err := parseSemverRange(bad); err == nil {
			t.Errorf("%q is taken for %v", bad, r)
		}
	}
}
