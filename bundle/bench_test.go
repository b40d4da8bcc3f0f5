package bundle

import "testing"

func BenchmarkMarshal(b *testing.B) {
	s := DefaultSpec()
	for b.Loop() {
		if _, err := Marshal(s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	s, dir := DefaultSpec(), b.TempDir()
	for b.Loop() {
		if err := Write(dir, s); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkValidate: at most 10 ms for a whole bundle.
func BenchmarkValidate(b *testing.B) {
	s := DefaultSpec()
	for b.Loop() {
		Validate(s)
	}
}
