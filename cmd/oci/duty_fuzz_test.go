package main

import (
	"strings"
	"testing"
)

// FuzzSemver: precedence is an order: of two versions one comes first, whichever way it is asked; equal ones
// are alike to a third; and what a range lets through is a version.
func FuzzSemver(f *testing.F) {
	f.Add("v1.2.3", "1.2.3-rc.1", "1.2", ">=1.2, <2")
	f.Add("1", "1.0.0", "1.0.0-0", "^1.2.3")
	f.Add("1.2.3-01", "1.2.3-1", "1.2.3-99999999999999999999", "~1.2 || 3")
	f.Fuzz(func(t *testing.T, a, b, c, text string) {
		v, okV := parseSemver(a)
		w, okW := parseSemver(b)
		x, okX := parseSemver(c)
		if okV && strings.ContainsAny(a, " \n/") && !strings.Contains(a, "-") {
			t.Fatalf("%q is a version", a)
		}
		if r, err := parseSemverRange(text); err == nil && okV {
			_ = r.match(v)
		}
		if okV && okW && okX {
			if v.compare(w) != -w.compare(v) || v.compare(v) != 0 {
				t.Fatalf("%q, %q: %d and %d", a, b, v.compare(w), w.compare(v))
			}
			if v.compare(w) <= 0 && w.compare(x) <= 0 && v.compare(x) > 0 {
				t.Fatalf("%q <= %q <= %q, and not the first <= the last", a, b, c)
			}
		}
	})
}
