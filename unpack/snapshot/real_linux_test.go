package snapshot

import (
	"testing"

	"github.com/oci-pipeline/oci/unpack/tartest"
)

// TestRealForms: real images give the same tree in both forms, and each layer's tar can be rebuilt.
func TestRealForms(t *testing.T) {
	needRoot(t)
	for _, name := range []string{"busybox", "debian", "python-zstd"} {
		t.Run(name, func(t *testing.T) {
			l, _, img := tartest.RealImage(t, name)
			sameForms(t, img.Layers(), l)
		})
	}
}
