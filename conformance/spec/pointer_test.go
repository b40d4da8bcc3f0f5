package spec_test

import (
	"slices"
	"testing"

	"github.com/oci-pipeline/oci/conformance/spec"
)

func TestPointers(t *testing.T) {
	for key, token := range map[string]string{"": "", "a": "a", "a/b~c": "a~1b~0c", "~1": "~01", "/": "~1"} {
		if got := spec.EscapeToken(key); got != token || spec.UnescapeToken(token) != key {
			t.Errorf("%q: %q", key, got)
		}
	}
	want := []string{"", "/a", "/a/0", "/a/2", "/a/10", "/a/10/x", "/a/x", "/b"}
	got := []string{"/b", "/a/10/x", "/a/x", "/a/10", "", "/a/2", "/a", "/a/0"}
	if slices.SortFunc(got, spec.ComparePointers); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if c := (spec.Clause{}).Citation(); c != "" {
		t.Errorf("%q", c)
	}
	if c := (spec.Clause{Spec: "s", Section: "x.md#y", Level: spec.Must, ID: "I"}).Citation(); c != " [s x.md#y MUST (I)]" {
		t.Errorf("%q", c)
	}
}
