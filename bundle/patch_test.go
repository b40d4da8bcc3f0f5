package bundle_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle"
)

// foreign has what Spec knows nothing of at every kind of place, and an order and spelling of its own.
const foreign = `{"x-first":{"kept":[1.50,"\u0041"]},"hostname":"h","ociVersion":"1.0.2","root":{"readonly":false,"path":"rootfs","x-root":1},
 "process":{"cwd":"/","terminal":false,"args":["sh"],"env":["A=1","B=2"],"x-process":{"a":null},"rlimits":[{"type":"RLIMIT_CORE","x-limit":7,"soft":1,"hard":2}],"user":{"x-user":true}},
 "mounts":[{"destination":"/a","x-mount":"a","source":"/s"},{"x-mount":"b","destination":"/b","options":["ro"]}],
 "linux":{"namespaces":[{"type":"pid","x-ns":1},{"type":"mount"}],"resources":{"devices":[{"allow":false,"access":"rwm","x-rule":1}],"memory":{"limit":1000000,"x-memory":"m"}}}}`

// decoded gives the config of a text.
func decoded(t *testing.T, raw string) *specs.Spec {
	t.Helper()
	s := new(specs.Spec)
	if err := bundle.Decode([]byte(raw), s); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return s
}

// squeezed takes the white space out of a text without any in its strings.
func squeezed(raw string) string { return strings.Join(strings.Fields(raw), "") }

func TestPatch(t *testing.T) {
	limit := int64(5)
	for name, tt := range map[string]struct {
		change func(*specs.Spec)
		edits  []string // old, new, ... of the text
	}{
		"nothing":             {func(*specs.Spec) {}, nil},
		"a scalar":            {func(s *specs.Spec) { s.Hostname = "other" }, []string{`"hostname":"h"`, `"hostname":"other"`}},
		"gone":                {func(s *specs.Spec) { s.Hostname = "" }, []string{`"hostname":"h",`, ``}},
		"was said to be none": {func(s *specs.Spec) { s.Process.Terminal = true }, []string{`"terminal":false`, `"terminal":true`}},
		"new":                 {func(s *specs.Spec) { s.Domainname = "d" }, []string{`"x-memory":"m"}}}}`, `"x-memory":"m"}}},"domainname":"d"}`}},
		"below unknown":       {func(s *specs.Spec) { s.Linux.Resources.Memory.Limit = &limit }, []string{`1000000`, `5`}},
		"an element":          {func(s *specs.Spec) { s.Process.Env[1] = "B=3" }, []string{`"B=2"`, `"B=3"`}},
		"of the same name":    {func(s *specs.Spec) { s.Mounts[0] = specs.Mount{Destination: "/a", Type: "tmpfs"} }, []string{`"x-mount":"a","source":"/s"`, `"x-mount":"a","type":"tmpfs"`}},
		"moved":               {func(s *specs.Spec) { slices.Reverse(s.Mounts) }, []string{`[{"destination":"/a","x-mount":"a","source":"/s"},{"x-mount":"b","destination":"/b","options":["ro"]}]`, `[{"x-mount":"b","destination":"/b","options":["ro"]},{"destination":"/a","x-mount":"a","source":"/s"}]`}},
		"inserted":            {func(s *specs.Spec) { s.Mounts = slices.Insert(s.Mounts, 1, specs.Mount{Destination: "/n"}) }, []string{`{"x-mount":"b"`, `{"destination":"/n"},{"x-mount":"b"`}},
		"removed":             {func(s *specs.Spec) { s.Mounts = s.Mounts[1:] }, []string{`{"destination":"/a","x-mount":"a","source":"/s"},`, ``}},
		"a limit":             {func(s *specs.Spec) { s.Process.Rlimits[0].Hard = 9 }, []string{`"hard":2`, `"hard":9`}},
		"a namespace":         {func(s *specs.Spec) { s.Linux.Namespaces[0].Path = "/n" }, []string{`"x-ns":1`, `"x-ns":1,"path":"/n"`}},
		"another rule":        {func(s *specs.Spec) { s.Linux.Resources.Devices[0].Allow = true }, []string{`{"allow":false,"access":"rwm","x-rule":1}`, `{"allow":true,"access":"rwm"}`}},
		"always written":      {func(s *specs.Spec) { s.Process.User.UID = 3 }, []string{`"x-user":true`, `"x-user":true,"uid":3`}},
	} {
		after := decoded(t, foreign)
		tt.change(after)
		got, err := bundle.Patch([]byte(foreign), decoded(t, foreign), after)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := squeezed(foreign)
		for i := 0; i < len(tt.edits); i += 2 {
			if !strings.Contains(want, tt.edits[i]) {
				t.Fatalf("%s: the text has no %s", name, tt.edits[i])
			}
			want = strings.Replace(want, tt.edits[i], tt.edits[i+1], 1)
		}
		if squeezed(string(got)) != want {
			t.Errorf("%s:\n got %s\nwant %s", name, squeezed(string(got)), want)
		}
		again, err := bundle.Marshal(decoded(t, string(got)))
		if meant, _ := bundle.Marshal(after); err != nil || string(again) != string(meant) {
			t.Errorf("%s: it reads as\n%s", name, again)
		}
	}
}

// TestPatch_own: a text of Marshal is patched to what Marshal would have written.
func TestPatch_own(t *testing.T) {
	before, after := bundle.DefaultSpec(), bundle.DefaultSpec()
	after.Process.Args, after.Hostname, after.Mounts = []string{"a", "<&>\u2028"}, "", after.Mounts[1:]
	raw, err := bundle.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	got, err := bundle.Patch(raw, before, after)
	if want, _ := bundle.Marshal(after); err != nil || string(got) != string(want) {
		t.Errorf("%v: %s", err, got)
	}
}

func TestRemove(t *testing.T) {
	for pointer, edit := range map[string][2]string{
		"/hostname":                        {`"hostname":"h",`, ``},
		"/x-first/kept/0":                  {`1.50,`, ``},
		"/process/env/0":                   {`"A=1",`, ``},
		"/process/env/B":                   {`,"B=2"`, ``},
		"/process/args/sh":                 {`"sh"`, ``},
		"/process/rlimits/RLIMIT_CORE":     {`{"type":"RLIMIT_CORE","x-limit":7,"soft":1,"hard":2}`, ``},
		"/mounts/~1b":                      {`,{"x-mount":"b","destination":"/b","options":["ro"]}`, ``},
		"/mounts/~1b/options/ro":           {`"options":["ro"]`, `"options":[]`},
		"/linux/namespaces/pid":            {`{"type":"pid","x-ns":1},`, ``},
		"/linux/resources/memory/x-memory": {`,"x-memory":"m"`, ``},
		"/linux/resources/devices/0":       {`{"allow":false,"access":"rwm","x-rule":1}`, ``},
	} {
		got, err := bundle.Remove([]byte(foreign), pointer)
		if want := strings.Replace(squeezed(foreign), edit[0], edit[1], 1); err != nil || squeezed(string(got)) != want || want == squeezed(foreign) {
			t.Errorf("%s: %v\n got %s\nwant %s", pointer, err, squeezed(string(got)), want)
		}
	}
	for pointer, kind := range map[string]error{
		"": bundle.ErrInvalid, "/": bundle.ErrInvalid, "hostname": bundle.ErrInvalid, "/nothing": bundle.ErrMissing, "/process/env/2": bundle.ErrMissing, "/process/env/00": bundle.ErrMissing,
		"/hostname/0": bundle.ErrMissing, "/mounts/~1c": bundle.ErrMissing, "/process/env/A=1/x": bundle.ErrMissing, "/mounts/0/": bundle.ErrMissing,
	} {
		var p *bundle.Problem
		if _, err := bundle.Remove([]byte(foreign), pointer); !errors.Is(err, kind) || !errors.As(err, &p) || p.Pointer != pointer {
			t.Errorf("%q: %v", pointer, err)
		}
	}
}

// TestRemove_mends: what Decode refuses can be removed, and no more than JSON is asked of the rest.
func TestRemove_mends(t *testing.T) {
	got, err := bundle.Remove([]byte(`{"ociVersion": 1, "process": {"args": [{}], "x": []}}`), "/ociVersion")
	if err != nil || squeezed(string(got)) != `{"process":{"args":[{}],"x":[]}}` {
		t.Errorf("%s, %v", got, err)
	}
	for raw, kind := range map[string]error{
		``: bundle.ErrSyntax, `{"a":1,"a":2}`: bundle.ErrDuplicateKey, `{"a":1} x`: bundle.ErrSyntax, strings.Repeat(`{"a":`, 100) + `1` + strings.Repeat(`}`, 100): bundle.ErrTooDeep,
		`"` + strings.Repeat("x", bundle.MaxConfigSize) + `"`: bundle.ErrTooLarge,
	} {
		if _, err := bundle.Remove([]byte(raw), "/a"); !errors.Is(err, kind) {
			t.Errorf("%.40s: %v", raw, err)
		}
	}
}

// FuzzPatch: whatever the two texts say, the patched one reads as the second.
func FuzzPatch(f *testing.F) {
	matrix, err := os.ReadFile(filepath.Join("testdata", "validate", "base.json"))
	if err == nil {
		f.Add(foreign, string(matrix))
	}
	f.Add(foreign, `{"ociVersion":"1.0.2","mounts":[{"destination":"/b"},{"destination":"/b"}],"linux":{"namespaces":[]}}`)
	f.Add(`{"linux":null}`, `{"linux":{"resources":{}}}`)
	f.Fuzz(func(t *testing.T, a, b string) {
		before, after := new(specs.Spec), new(specs.Spec)
		if bundle.Decode([]byte(a), before) != nil || bundle.Decode([]byte(b), after) != nil {
			return // no configs
		}
		got, err := bundle.Patch([]byte(a), before, after)
		if err != nil {
			t.Fatal(err)
		}
		again := new(specs.Spec)
		if err := bundle.Decode(got, again); err != nil {
			t.Fatalf("%s: %v", got, err)
		}
		have, err := bundle.Marshal(again)
		if want, _ := bundle.Marshal(after); err != nil || string(have) != string(want) {
			t.Errorf("got %s\nwant %s", have, want)
		}
	})
}
