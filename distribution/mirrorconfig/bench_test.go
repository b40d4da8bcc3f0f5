package mirrorconfig

import "testing"

// BenchmarkExpand: what a short name costs with the files of this machine.
func BenchmarkExpand(b *testing.B) {
	for b.Loop() {
		c, err := Load(Options{Defaults: true})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Expand("fedora"); err != nil {
			b.Fatal(err)
		}
	}
}
