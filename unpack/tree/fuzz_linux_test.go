package tree_test

import (
	"os"
	"testing"
)

// FuzzModel: whatever layers say, the model and both forms of unpacking give the same tree, or all refuse.
func FuzzModel(f *testing.F) {
	if os.Geteuid() != 0 {
		f.Skip("needs root: owners and devices")
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		const most = 40 // entries: what meets what needs few
		inAllForms(t, raw[:min(len(raw), most*opBytes)])
	})
}
