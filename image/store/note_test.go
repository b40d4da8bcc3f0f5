package store

import (
	"io"
	"strings"
	"testing"

	"github.com/oci-pipeline/oci/image/store/storetest"
)

// TestDC10_note: what a transfer notes lies beside the bytes for the next process, and only as long.
func TestDC10_note(t *testing.T) {
	content := strings.Repeat("0123456789", 100)
	d := storetest.Describe(content)
	root := t.TempDir()
	for _, c := range []struct{ set, want string }{
		{`registry.example cdn.example "etag"`, `registry.example cdn.example "etag"`},
		{strings.Repeat("\x01", maxNote), strings.Repeat("\x01", maxNote)},
		{strings.Repeat("x", maxNote+1), ""},
		{"", ""},
	} {
		s := open(t, root, Options{})
		in, err := s.Ingest(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if in.Note() != "" {
			t.Errorf("a new ingest has the note %q", in.Note())
		}
		in.SetNote(c.set)
		if _, err := io.WriteString(in, content[:500]); err != nil {
			t.Fatal(err)
		}
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		if in, err = open(t, root, Options{}).Ingest(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		if in.Note() != c.want || in.Offset() != 500 {
			t.Errorf("after %.20q: note %.20q at %d", c.set, in.Note(), in.Offset())
		}
		if err := in.Abort(); err != nil { // with the bytes goes the note
			t.Fatal(err)
		}
	}
}
