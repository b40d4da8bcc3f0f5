package origin_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/oci-pipeline/oci/bundle/origin"
)

// TestUpdate: an edit by flags has the flags as its origin; one by hand, before it, is still told of, and what was not touched keeps
// its origin.
func TestUpdate(t *testing.T) {
	byHand := strings.NewReplacer(`"/"`, `"/by-hand"`, `"root":{"path":"rootfs"},`, ``, `"x/y~z"`, `"hostname":"by-hand","x/y~z"`).Replace(config)
	flags := strings.NewReplacer(`"B=2"`, `"NEW=1","B=2"`, `"-c"`, `"-x"`, `"C=3"`, `"C=4"`).Replace(byHand)
	for name, from := range map[string]origin.Record{
		"entries": record(t),
		"marks": {Image: "name", Marks: []origin.Mark{
			{Pointer: "/process/args", Kind: origin.Image, Name: "config.Cmd"},
			{Pointer: "/process/env/0", Kind: origin.Image, Name: "config.Env"},
			{Pointer: "/process/env/1", Kind: origin.Flag, Name: "--env"},
			{Pointer: "/process/env/2", Kind: origin.Host},
			{Pointer: "/x~1y~0z/kept/1/a", Kind: origin.Flag, Name: "--x"},
		}},
	} {
		before, flags := byHand, flags
		if name == "marks" { // they stand for the text as it is: no edit by hand is known of
			before = strings.NewReplacer(`"NEW=1",`, ``, `"-x"`, `"-c"`, `"C=4"`, `"C=3"`).Replace(config)
			flags = strings.NewReplacer(`"B=2"`, `"NEW=1","B=2"`, `"-c"`, `"-x"`, `"C=3"`, `"C=4"`).Replace(config)
		}
		r, err := origin.Update([]byte(before), []byte(flags), from, func(pointer string) string { return "flag of " + pointer })
		if err != nil {
			t.Fatal(err)
		}
		found, err := origin.Explain([]byte(flags), r)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			"/ociVersion default", "/process/cwd edited was default", "/process/args/0 image config.Cmd", "/process/args/1 flag flag of /process/args/1", "/process/env/0 image config.Env",
			"/process/env/1 flag flag of /process/env/1", "/process/env/2 flag --env", "/process/env/3 flag flag of /process/env/3", "/hostname added", "/x~1y~0z/kept/0 default", "/x~1y~0z/kept/1/a flag --x",
			"/root edited was default removed",
		}
		if name == "marks" {
			want = []string{
				"/ociVersion default", "/process/cwd default", "/process/args/0 image config.Cmd", "/process/args/1 flag flag of /process/args/1", "/process/env/0 image config.Env", "/process/env/1 flag flag of /process/env/1",
				"/process/env/2 flag --env", "/process/env/3 flag flag of /process/env/3", "/root default", "/x~1y~0z/kept/0 default", "/x~1y~0z/kept/1/a flag --x",
			}
		}
		if got := lines(found); !slices.Equal(got, want) || r.Image != "name" {
			t.Errorf("%s:\n got %q\nwant %q", name, got, want)
		}
	}
}

// TestUpdate_part: of what had one origin the edited part has another; a list that only lost an element has the flag as a whole.
func TestUpdate_part(t *testing.T) {
	before := `{"ociVersion":"1.0.2","mounts":[{"destination":"/a"},{"destination":"/b"}],"linux":{"resources":{"cpu":{"cpus":"1"}}},"process":{"cwd":"/","capabilities":{"bounding":["A","B"]}}}`
	after := strings.NewReplacer(`{"destination":"/b"}`, `{"destination":"/b"},{"destination":"/c"}`, `{"cpu"`, `{"pids":{"limit":1},"cpu"`, `,"B"`, ``).Replace(before)
	r, err := origin.Update([]byte(before), []byte(after), origin.Record{Marks: []origin.Mark{{Pointer: "/linux/resources", Kind: origin.Host, Name: "h"}, {Pointer: "/process/capabilities", Kind: origin.Default}}}, func(string) string { return "f" })
	if err != nil {
		t.Fatal(err)
	}
	found, err := origin.Explain([]byte(after), r)
	want := []string{"/ociVersion default", "/mounts/0 default", "/mounts/1 default", "/mounts/2 flag f", "/linux/resources/pids flag f", "/linux/resources/cpu host h", "/process/cwd default", "/process/capabilities/bounding flag f"}
	if got := lines(found); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\n got %q\nwant %q", err, got, want)
	}
}
