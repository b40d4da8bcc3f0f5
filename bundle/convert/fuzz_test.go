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

// FuzzMountFlags: whatever the flags of mounts say, nothing panics, and what is taken is a config that is right: each mount once, at a
// place without "..", and nothing but a bind mount at /proc.
func FuzzMountFlags(f *testing.F) {
	for _, seed := range [][3]string{
		{"type=bind,src=/a,dst=/m,idmap=uids=0-1-10#10-11-10;gids=@0-100-10", "/a:/m:rslave,U", "/m:size=1m"},
		{"type=image,src=i,dst=/m,rw=true,subpath=a", "v:/v:nocopy,idmap", "/t:mode=0,tmpcopyup"},
		{`"type=volume",volume-subpath=../x,dst=/proc`, "/a:/b:O,upperdir=/u,workdir=/w", "/proc/:ro"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, mount, volume, tmpfs string) {
		o := plain()
		var asked []string
		withFiles(&o, &asked)
		o.Mounts, o.Volumes, o.Tmpfs = []string{mount}, []string{volume}, []string{tmpfs}
		s, err := Spec(imageOf(""), testRoot(), o)
		if err != nil {
			return
		}
		if ps := bundle.Validate(s).Must(); len(ps) > 0 {
			t.Fatal(ps)
		}
		seen := map[string]bool{}
		for _, m := range s.Mounts {
			dest := path.Clean(m.Destination)
			if seen[dest] || !path.IsAbs(m.Destination) || slices.Contains(strings.Split(m.Destination, "/"), "..") || dest == "/" {
				t.Fatalf("mount %+v", m)
			}
			if seen[dest] = true; dest == "/proc" && m.Type != "proc" && m.Type != "bind" {
				t.Fatalf("mount %+v", m)
			}
		}
	})
}
