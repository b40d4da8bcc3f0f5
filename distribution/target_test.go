package distribution

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/oci-pipeline/oci/distribution/registrytest"
)

// TestTarget: what a destination has is asked where content goes, be it a mirror that takes pushes, or
// a registry that a mirror stands in for.
func TestTarget(t *testing.T) {
	up, _, ref := setup(t, registrytest.Options{})
	near := registrytest.New(t, registrytest.Options{})
	for _, tt := range []struct {
		capabilities string
		near         bool // content goes to the mirror
	}{
		{`["pull", "resolve"]`, false},
		{`["pull", "resolve", "push"]`, true},
	} {
		up.Forget()
		near.Forget()
		c := newClient(t, Options{Mirrors: hostsToml(t, up.Host, fmt.Sprintf("[host.%q]\ncapabilities = %s\n", near.URL, tt.capabilities))})
		d, err := c.ResolveTarget(t.Context(), ref)
		tags, terr := c.TargetTags(t.Context(), ref)
		if tt.near {
			if !errors.Is(err, ErrNotFound) || !errors.Is(terr, ErrNotFound) || len(up.Requests()) != 0 {
				t.Errorf("%s: %v, %v; the registry was asked %d times", tt.capabilities, err, terr, len(up.Requests()))
			}
			continue
		}
		if err != nil || d.Digest == "" || terr != nil || !slices.Equal(tags, []string{ref.Tag}) || len(near.Requests()) != 0 {
			t.Errorf("%s: %v %v, %q %v; the mirror was asked %d times", tt.capabilities, d.Digest, err, tags, terr, len(near.Requests()))
		}
	}
}
