package origin_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/origin"
)

const config = `{"ociVersion":"1.0.2","process":{"cwd":"/","args":["sh","-c"],"env":["A=1","B=2","C=3"]},"root":{"path":"rootfs"},"x/y~z":{"kept":[1,{"a":2}]}}`

func record(t *testing.T) origin.Record {
	t.Helper()
	entries, err := origin.Trace([]byte(config), []origin.Mark{
		{Pointer: "/process/args", Kind: origin.Image, Name: "config.Cmd"},
		{Pointer: "/process/env/0", Kind: origin.Image, Name: "config.Env"},
		{Pointer: "/process/env/1", Kind: origin.Flag, Name: "--env"},
		{Pointer: "/process/env/2", Kind: origin.Host},
		{Pointer: "/x~1y~0z/kept/1/a", Kind: origin.Flag, Name: "--x"},
		{Pointer: "/not/there", Kind: origin.Flag, Name: "--none"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return origin.Record{Image: "name", Entries: entries}
}

// lines are the findings, one each: POINTER KIND NAME.
func lines(found []origin.Finding) (out []string) {
	for _, f := range found {
		line := f.Pointer + " " + string(f.From)
		if f.Name != "" {
			line += " " + f.Name
		}
		if f.Removed {
			line += " removed"
		}
		out = append(out, line)
	}
	return out
}

func TestExplain(t *testing.T) {
	untouched := []string{
		"/ociVersion default", "/process/cwd default", "/process/args image config.Cmd", "/process/env/0 image config.Env", "/process/env/1 flag --env",
		"/process/env/2 host", "/root default", "/x~1y~0z/kept/0 default", "/x~1y~0z/kept/1/a flag --x",
	}
	change := func(old, new string) string { return strings.Replace(config, old, new, 1) }
	with := func(changes ...string) []string {
		out := slices.Clone(untouched)
		for i := 0; i < len(changes); i += 2 {
			at := slices.Index(out, changes[i])
			out = slices.Replace(out, at, at+1, strings.Split(changes[i+1], ";")...)
		}
		return out
	}
	for name, tt := range map[string]struct {
		config string
		want   []string
	}{
		"untouched":         {config, untouched},
		"white space":       {strings.ReplaceAll(config, ",", " ,\n\t"), untouched},
		"another value":     {change(`"/"`, `"/x"`), with("/process/cwd default", "/process/cwd edited was default")},
		"an element less":   {change(`"-c"`, `"-x"`), with("/process/args image config.Cmd", "/process/args edited was image config.Cmd")},
		"moved in its list": {change(`"A=1","B=2","C=3"`, `"C=3","A=1","B=2"`), with("/process/env/0 image config.Env", "/process/env/0 host", "/process/env/1 flag --env", "/process/env/1 image config.Env", "/process/env/2 host", "/process/env/2 flag --env")},
		"inserted":          {change(`"A=1"`, `"N=0","A=1"`), with("/process/env/0 image config.Env", "/process/env/0 added;/process/env/1 image config.Env", "/process/env/1 flag --env", "/process/env/2 flag --env", "/process/env/2 host", "/process/env/3 host")},
		"added":             {change(`"cwd"`, `"user":{"uid":1},"cwd"`), with("/process/cwd default", "/process/user added;/process/cwd default")},
		"removed":           {change(`"cwd":"/",`, ``), append(with("/process/cwd default", "x")[:1], append(untouched[2:], "/process/cwd edited was default removed")...)},
		"another kind":      {change(`["A=1","B=2","C=3"]`, `[]`), append(append(slices.Clone(untouched[:3]), append([]string{"/process/env added"}, untouched[6:]...)...), "/process/env/0 edited was image config.Env removed", "/process/env/1 edited was flag --env removed", "/process/env/2 edited was host removed")},
	} {
		got, err := origin.Explain([]byte(tt.config), record(t))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !slices.Equal(lines(got), tt.want) {
			t.Errorf("%s:\n got %q\nwant %q", name, lines(got), tt.want)
		}
	}
}

// TestExplain_foreign: what is as by default is found, in lists wherever it stands.
func TestExplain_foreign(t *testing.T) {
	got, err := origin.ExplainForeign([]byte(`{"ociVersion":"1.0.2","hostname":"x","process":{"cwd":"/","args":["sh"],"rlimits":[{"type":"RLIMIT_CORE","soft":1,"hard":1}]},
		"mounts":[{"destination":"/x"},{"destination":"/proc","type":"proc","source":"proc","options":["nosuid","noexec","nodev"]}]}`))
	want := []string{"/ociVersion default", "/hostname unknown", "/process/cwd default", "/process/args default", "/process/rlimits unknown", "/mounts/0 unknown", "/mounts/1 default"}
	for i := range want {
		if strings.HasSuffix(want[i], "default") {
			want[i] += " the same by default"
		}
	}
	if err != nil || !slices.Equal(lines(got), want) {
		t.Errorf("%v, got %q\nwant %q", err, lines(got), want)
	}
}

// TestRecord: what is written is read again; what cannot have been written is refused, and never waited for or followed.
func TestRecord(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, origin.FileName)
	if _, err := origin.Read(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := os.Symlink("/etc/passwd", path); err != nil {
		t.Fatal(err)
	}
	if _, err := origin.Read(dir); !errors.Is(err, bundle.ErrNotRegular) {
		t.Errorf("a link: %v", err)
	}
	want := record(t)
	if err := origin.Write(dir, want); err != nil {
		t.Fatal(err)
	}
	if got, err := origin.Read(dir); err != nil || got.Image != "name" || !slices.Equal(got.Entries, want.Entries) {
		t.Errorf("%v, %+v", err, got)
	}
	for name, bad := range map[string]string{
		"no JSON": "x", "a kind": `{"entries":[{"pointer":"/a","from":"edited"}]}`, "no kind": `{"marks":[{"pointer":"/a"}]}`, "no pointer": `{"entries":[{"pointer":"a/b","from":"host"}]}`,
		"a key twice": `{"image":"a","image":"b"}`, "a type": `{"entries":{}}`, "no end": `{"entries":[`,
	} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		var e *bundle.Error
		if _, err := origin.Read(dir); !errors.As(err, &e) || e.Subject != dir {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzExplain: whatever the two documents are, each part of the config is told of once.
func FuzzExplain(f *testing.F) {
	f.Add(config, config, "/process/env/1")
	f.Add(`{"process":{"args":[]}}`, `{"process":[]}`, "/process/args/0/x")
	f.Add(`{"":{"":{"":1}}}`, `{"":{"/":[[]]}}`, "///")
	f.Fuzz(func(t *testing.T, was, is, pointer string) {
		if pointer != "" && pointer[0] != '/' {
			return
		}
		entries, err := origin.Trace([]byte(was), []origin.Mark{{Pointer: pointer, Kind: origin.Flag}})
		if err != nil {
			return
		}
		found, err := origin.Explain([]byte(is), origin.Record{Entries: entries})
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, x := range found {
			if !x.Removed && seen[x.Pointer] {
				t.Errorf("%q is told of twice", x.Pointer)
			}
			seen[x.Pointer] = seen[x.Pointer] || !x.Removed
		}
		if same, err := origin.Explain([]byte(was), origin.Record{Entries: entries}); err != nil || slices.ContainsFunc(same, func(f origin.Finding) bool { return f.From != origin.Default && f.From != origin.Flag }) {
			t.Errorf("%v, %q", err, lines(same))
		}
	})
}
