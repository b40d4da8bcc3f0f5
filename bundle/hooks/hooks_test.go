package hooks

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

// write makes a directory of files.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// always is a hook at a stage, told by its path.
func always(path, stage string) string {
	return `{"version": "1.0.0", "hook": {"path": "` + path + `"}, "when": {"always": true}, "stages": ["` + stage + `"]}`
}

func paths(s Set) string {
	var list []string
	for _, h := range s {
		list = append(list, h.Hook.Path)
	}
	return strings.Join(list, " ")
}

func TestOrderAndOverriding(t *testing.T) {
	first := write(t, map[string]string{
		"01-b.json": always("/first/b", "prestart"), "02.json": always("/first/2", "prestart"), "01-A.json": always("/first/A", "prestart"),
		"readme.txt": "no hook", "old.json.bak": "{",
	})
	if err := os.Mkdir(filepath.Join(first, "dir.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	second := write(t, map[string]string{"02.json": always("/second/2", "poststart"), "00.json": always("/second/0", "prestart")})
	// What is replaced is not read.
	if err := os.WriteFile(filepath.Join(first, "02.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load(first, second)
	if err != nil {
		t.Fatal(err)
	}
	if got := paths(s); got != "/second/0 /first/A /first/b /second/2" {
		t.Errorf("got %s", got)
	}
	config := &specs.Spec{Hooks: &specs.Hooks{}}
	Add(config.Hooks, "prestart", specs.Hook{Path: "/there"})
	var at []string
	s.AddTo(config, func(pointer string) { at = append(at, pointer) })
	if want := []string{"/hooks/prestart/1", "/hooks/prestart/2", "/hooks/prestart/3", "/hooks/poststart/0"}; !slices.Equal(at, want) {
		t.Errorf("got %q, want %q", at, want)
	}
}

func TestConditions(t *testing.T) {
	c := Container{Command: "/sbin/init", Annotations: map[string]string{"com.example.a": "fluid", "b": "2"}, BindMounts: true}
	for when, want := range map[string]bool{
		`{}`:                false,
		`{"always": true}`:  true,
		`{"always": false}`: false,
		`{"always": false, "commands": ["init"]}`:                             false,
		`{"commands": ["/init$"]}`:                                            true,
		`{"commands": ["^x", "^/sbin"]}`:                                      true,
		`{"commands": ["^init"]}`:                                             false,
		`{"hasBindMounts": true}`:                                             true,
		`{"hasBindMounts": false}`:                                            false,
		`{"annotations": {"^com\\.example": "^f.*d$"}}`:                       true,
		`{"annotations": {"^com\\.example": "2"}}`:                            false,
		`{"annotations": {"example": "fluid", "b": "3"}}`:                     false,
		`{"annotations": {"example": "fluid", "b": "2"}, "commands": ["x"]}`:  false,
		`{"annotations": {"example": ""}, "commands": [], "always": null}`:    true,
		`{"hasBindMounts": true, "always": true, "unknown": [{"x": "kept"}]}`: true,
	} {
		h, err := Decode([]byte(`{"version":"1.0.0","hook":{"path":"/h"},"when":` + when + `,"stages":["prestart"]}`))
		if err != nil {
			t.Errorf("%s: %v", when, err)
			continue
		}
		if got := len(Set{h}.For(c)) == 1; got != want {
			t.Errorf("%s: got %v", when, got)
		}
	}
	for old, want := range map[string]bool{
		`"cmds": ["x"], "annotations": ["fl"]`:   true,
		`"cmd": ["x"], "hasbindmounts": true`:    true,
		`"cmd": ["x"], "annotation": ["3", "4"]`: false,
		`"annotation": ["3", "2"]`:               true,
		`"arguments": ["a"]`:                     false,
	} {
		h, err := Decode([]byte(`{"hook":"/h","stage":["poststop"],` + old + `}`))
		if err != nil {
			t.Errorf("%s: %v", old, err)
			continue
		}
		if got := len(Set{h}.For(c)) == 1; got != want {
			t.Errorf("%s: got %v", old, got)
		}
	}
}

func TestArgumentsOfTheOldForm(t *testing.T) {
	h, err := Decode([]byte(`{"version":"0.1.0","hook":"/h","arguments":["a","b"],"stages":["prestart","poststop"],"cmds":["."]}`))
	if err != nil || !slices.Equal(h.Hook.Args, []string{"/h", "a", "b"}) || len(h.Stages) != 2 {
		t.Errorf("got %+v, %v", h, err)
	}
}

func TestRefused(t *testing.T) {
	const ok = `"version":"1.0.0","hook":{"path":"/h"},"when":{"always":true}`
	for text, want := range map[string]struct {
		err error
		at  string
	}{
		`{"version":"2.0.0"}`: {ErrVersion, ": /version: "},
		`{"version":1}`:       {bundle.ErrType, ": /version: "},
		`{` + ok + `,"stages":["prestart","precreate"]}`:                                          {ErrPrecreate, ": /stages/1: "},
		`{` + ok + `,"stages":["preStart"]}`:                                                      {ErrStage, ": /stages/0: "},
		`{` + ok + `}`:                                                                            {bundle.ErrMissing, ": /stages: "},
		`{` + ok + `,"stages":"prestart"}`:                                                        {bundle.ErrType, ": /stages: "},
		`{"version":"1.0.0","when":{},"stages":[]}`:                                               {bundle.ErrMissing, ": /hook: "},
		`{"version":"1.0.0","hook":{"path":"/h"},"stages":[]}`:                                    {bundle.ErrMissing, ": /when: "},
		`{"version":"1.0.0","hook":{},"when":{},"stages":[]}`:                                     {bundle.ErrMissing, ": /hook/path: "},
		`{"version":"1.0.0","hook":{"path":"h"},"when":{},"stages":[]}`:                           {bundle.ErrInvalid, ": /hook/path: "},
		`{"version":"1.0.0","hook":{"path":"/h","timeout":0},"when":{},"stages":[]}`:              {bundle.ErrInvalid, ": /hook/timeout: "},
		`{"version":"1.0.0","hook":{"path":"/h"},"when":{"commands":["a","("]},"stages":[]}`:      {ErrPattern, ": /when/commands/1: "},
		`{"version":"1.0.0","hook":{"path":"/h"},"when":{"annotations":{"a/b":"["}},"stages":[]}`: {ErrPattern, ": /when/annotations/a~1b: "},
		`{"version":"1.0.0","version":"1.0.0"}`:                                                   {bundle.ErrDuplicateKey, ""},
		`{"hook":"/h","stage":[],"stages":[]}`:                                                    {bundle.ErrDuplicate, ": /stage: "},
		`{"hook":"/h","stage":[],"cmd":["x"],"cmds":[]}`:                                          {bundle.ErrDuplicate, ": /cmd: "},
		`{"hook":"/h","stage":[],"cmd":["x*", "*"]}`:                                              {ErrPattern, ": /cmd/1: "},
		`{"hook":"h","stage":["prestart"]}`:                                                       {bundle.ErrInvalid, ": /hook: "},
		`{"hook":"/h"}`:                                                                           {bundle.ErrMissing, ": /stages: "},
		`{"stages":[]}`:                                                                           {bundle.ErrMissing, ": /hook: "},
		``:                                                                                        {bundle.ErrType, ""},
		`{`:                                                                                       {bundle.ErrSyntax, ""},
		`[]`:                                                                                      {bundle.ErrType, ""},
		`{"hook":"` + strings.Repeat("a", MaxFile) + `"}`:                                         {bundle.ErrTooLarge, ""},
	} {
		dir := write(t, map[string]string{"a.json": text})
		_, err := Load(dir)
		var e *Error
		if !errors.As(err, &e) || !errors.Is(err, want.err) || e.Subject != filepath.Join(dir, "a.json") || !strings.Contains(err.Error(), want.at) || strings.Contains(err.Error(), "config.json: ") {
			t.Errorf("%.90s: got %v, want %v at %q", text, err, want.err, want.at)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "nowhere")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
}

// FuzzDecode: what is taken has a path, known stages and patterns that compile, whatever the bytes were.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(always("/h", "prestart")))
	f.Add([]byte(`{"hook":"/h","cmd":["a|b"],"stage":["poststop"],"annotation":["x"]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := Decode(raw)
		if err != nil {
			var p *bundle.Problem
			if !errors.As(err, &p) {
				t.Fatalf("%v is no problem", err)
			}
			return
		}
		Set{h}.For(Container{Command: "/sbin/init", Annotations: map[string]string{"a": "b"}})
		config := &specs.Spec{}
		Set{h}.AddTo(config, func(pointer string) {
			if pointer == "" {
				t.Errorf("a stage that nobody knows: %q", h.Stages)
			}
		})
	})
}
