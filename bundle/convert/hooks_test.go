package convert

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/hooks"
	"github.com/oci-pipeline/oci/bundle/origin"
)

func hooksDir(t *testing.T, when string) string {
	t.Helper()
	dir := t.TempDir()
	text := `{"version": "1.0.0", "hook": {"path": "/bin/true"}, "when": ` + when + `, "stages": ["createRuntime", "poststop"]}`
	if err := os.WriteFile(filepath.Join(dir, "a.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestHooksDir(t *testing.T) {
	for name, tt := range map[string]struct {
		when string
		o    func(*Options)
		want bool
	}{
		"always":                       {`{"always": true}`, func(*Options) {}, true},
		"the command":                  {`{"commands": ["^/bin/prog$"]}`, func(*Options) {}, true},
		"an annotation of the user":    {`{"annotations": {"^a$": "^1$"}}`, func(o *Options) { o.Annotations = []string{"a=1"} }, true},
		"a label of the user":          {`{"annotations": {"^a$": "^1$"}}`, func(o *Options) { o.Labels = []string{"a=1"} }, true},
		"a bind mount":                 {`{"hasBindMounts": true}`, func(o *Options) { o.Volumes = []string{"/x:/y"} }, true},
		"a tmpfs is none":              {`{"hasBindMounts": true}`, func(o *Options) { o.Tmpfs = []string{"/y"} }, false},
		"volumes of the image neither": {`{"hasBindMounts": true}`, func(o *Options) { o.VolumeDir = func(Volume) (string, error) { return "/v", nil } }, false},
	} {
		o := plain()
		o.HooksDirs = []string{hooksDir(t, tt.when)}
		tt.o(&o)
		s, marks, err := SpecWithOrigins(testImage(), testRoot(), o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := s.Hooks != nil && len(s.Hooks.CreateRuntime) == 1 && len(s.Hooks.Poststop) == 1; got != tt.want {
			t.Errorf("%s: %+v", name, s.Hooks)
		}
		if last := marks[len(marks)-1]; tt.want && last != (origin.Mark{Pointer: "/hooks/poststop/0", Kind: origin.Flag, Name: "--hooks-dir"}) {
			t.Errorf("%s: %+v", name, last)
		}
	}
}

// TestH84_labels_of_an_image_start_no_hook: what runs on the host is not for an image to choose.
func TestH84_labels_of_an_image_start_no_hook(t *testing.T) {
	o := plain()
	o.HooksDirs, o.ImageLabels = []string{hooksDir(t, `{"annotations": {"note": ""}}`)}, AllowUnsafe
	if s := mustSpec(t, testImage(), o); s.Hooks != nil {
		t.Errorf("got %+v", s.Hooks)
	}
}

func TestEditAddsHooks(t *testing.T) {
	s := bundle.DefaultSpec()
	s.Annotations = map[string]string{"kind": "x"}
	s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/there"}}}
	o := Options{Host: testHost(), HooksDirs: []string{hooksDir(t, `{"annotations": {"kind": "x"}, "commands": ["^sh$"]}`)}, Devices: []string{"v.com/c=d"}, CDISpecDirs: []string{cdiDir(t)}}
	for range 2 { // the second time changes nothing
		if err := Edit(s, nil, o); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.Hooks.CreateRuntime) != 2 || s.Hooks.CreateRuntime[0].Path != "/there" || len(s.Hooks.Poststop) != 1 || len(s.Hooks.CreateContainer) != 1 {
		t.Errorf("got %+v", s.Hooks)
	}
}

func TestHooksDirErrorNamesTheFlagAndTheFile(t *testing.T) {
	o := plain()
	dir := hooksDir(t, `{"always": 1}`)
	o.HooksDirs = []string{dir}
	_, err := Spec(testImage(), testRoot(), o)
	var e *hooks.Error
	if !errors.Is(err, ErrUsage) || !errors.As(err, &e) || !errors.Is(err, bundle.ErrType) || !strings.Contains(err.Error(), "a.json: /when/always: ") {
		t.Errorf("got %v", err)
	}
}
