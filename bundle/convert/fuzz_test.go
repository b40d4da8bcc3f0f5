package convert

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
	"testing"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/bundle"
)

// FuzzSpec: whatever an image says, the config made of it is right, keeps the image's variables and
// arguments, mounts nothing of the host, and gives no label power.
func FuzzSpec(f *testing.F) {
	raw, err := json.Marshal(testImage())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw, testPasswd)
	f.Add([]byte(`{"config":{"Cmd":["x"],"User":"0:video","WorkingDir":"../..","Env":["a","=b"],"Volumes":{"a/../b":{}},"Labels":{"run.oci.x":""}}}`), "")
	f.Fuzz(func(t *testing.T, doc []byte, passwd string) {
		var img ispec.Image
		if json.Unmarshal(doc, &img) != nil {
			return
		}
		o := plain()
		o.VolumeDir = func(Volume) (string, error) { return "/volume", nil }
		s, err := Spec(img, files{"/etc/passwd": passwd, "/etc/group": testGroup}, o)
		if err != nil {
			return
		}
		if ps := bundle.Validate(s).Must(); len(ps) > 0 {
			t.Fatal(ps)
		}
		if !path.IsAbs(s.Process.Cwd) || slices.Contains(strings.Split(s.Process.Cwd, "/"), "..") {
			t.Fatalf("cwd %q", s.Process.Cwd)
		}
		if !slices.Equal(s.Process.Env[:len(img.Config.Env)], img.Config.Env) {
			t.Fatalf("env %q became %q", img.Config.Env, s.Process.Env)
		}
		if want := slices.Concat(img.Config.Entrypoint, img.Config.Cmd); !slices.Equal(s.Process.Args, want) {
			t.Fatalf("args %q became %q", want, s.Process.Args)
		}
		for _, m := range s.Mounts {
			if m.Type == "bind" && m.Source != "/volume" || !path.IsAbs(m.Destination) {
				t.Fatalf("mount %+v", m)
			}
		}
		for key := range s.Annotations {
			if UnsafeLabel(key) {
				t.Fatalf("annotation %q", key)
			}
		}
		if s.Hooks != nil || len(s.Process.Capabilities.Inheritable)+len(s.Process.Capabilities.Ambient) > 0 || len(s.Process.Capabilities.Bounding) != 14 {
			t.Fatal("an image has changed what no image may")
		}
	})
}
