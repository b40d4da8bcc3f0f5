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
			{Pointer: "/process/args", Kind: origin.Image, Name: "config.Cmd"}, {Pointer: "/process/env/0", Kind: origin.Image, Name: "config.Env"},
			{Pointer: "/process/env/1", Kind: origin.Flag, Name: "--env"}, {Pointer: "/process/env/2", Kind: origin.Host}, {Pointer: "/x~1y~0z/kept/1/a", Kind: origin.Flag, Name: "--x"},
		}},
	} {
		before := byHand
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
			"/ociVersion default", "/process/cwd edited was default", "/process/args flag flag of /process/args", "/process/env/0 image config.Env",
			"/process/env/1 flag flag of /process/env/1", "/process/env/2 flag --env", "/process/env/3 flag flag of /process/env/3", "/hostname added", "/x~1y~0z/kept/0 default", "/x~1y~0z/kept/1/a flag --x",
			"/root edited was default removed",
		}
		if name == "marks" {
			want = []string{
				"/ociVersion default", "/process/cwd default", "/process/args flag flag of /process/args", "/process/env/0 image config.Env", "/process/env/1 flag flag of /process/env/1",
				"/process/env/2 flag --env", "/process/env/3 flag flag of /process/env/3", "/root default", "/x~1y~0z/kept/0 default", "/x~1y~0z/kept/1/a flag --x",
			}
		}
		if got := lines(found); !slices.Equal(got, want) || r.Image != "name" {
			t.Errorf("%s:\n got %q\nwant %q", name, got, want)
		}
	}
}
