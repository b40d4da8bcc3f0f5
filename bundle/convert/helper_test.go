package convert

import (
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle"
)

var update = flag.Bool("update", false, "write the golden files anew")

// files is a Rootfs in memory.
type files map[string]string

func (f files) Open(name string) (io.ReadCloser, error) {
	text, ok := f[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

const testPasswd = `root:x:0:0:root:/root:/bin/sh
# a comment
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
app:x:1000:1001:App,,,:/home/app:/bin/sh
0:x:77:77::/zero:/bin/sh
1000:x:78:78::/thousand:/bin/sh
big:x:4294967296:0::/:/bin/sh
minus:x:4294967295:0::/:/bin/sh
badgid:x:5:zero::/:/bin/sh
short:x
nohome:x:50:50
`

const testGroup = `root:x:0:
bin:x:1:root,daemon
app:x:1001:
video:x:44:app
audio:x:29:daemon,app
huge:x:4294967296:nobody
5:x:99:
`

func testRoot() files { return files{"/etc/passwd": testPasswd, "/etc/group": testGroup} }

// testHost is a machine that does not change.
func testHost() *Host {
	return &Host{CgroupV2: true, CgroupNamespaces: true, UnprivilegedPorts: true, SwapLimit: true, Mqueue: true}
}

// plain are options under which the result does not depend on the kernel of the machine.
func plain() Options {
	return Options{Host: testHost(), SecurityOpts: []string{"seccomp=unconfined"}}
}

func testImage() ispec.Image {
	created := time.Date(2026, 11, 25, 22, 38, 58, 280737369, time.UTC)
	return ispec.Image{
		Created: &created, Author: "someone",
		Platform: ispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7", OSVersion: "5.4", OSFeatures: []string{"a", "b"}},
		Config: ispec.ImageConfig{
			User: "app", Env: []string{"PATH=/bin", "B=2", "A=1", "EMPTY=", "B=again"}, WorkingDir: "/srv/",
			Entrypoint: []string{"/bin/prog", "-x"}, Cmd: []string{"one", "two words"},
			Labels:       map[string]string{"note": "ü \"quoted\"", "org.opencontainers.image.author": "label wins"},
			StopSignal:   "SIGINT",
			ExposedPorts: map[string]struct{}{"8080/tcp": {}, "53/udp": {}},
			Volumes:      map[string]struct{}{"/srv/data": {}, "/cache": {}},
		},
	}
}

func mustSpec(t *testing.T, img ispec.Image, o Options) *specs.Spec {
	t.Helper()
	s, err := Spec(img, testRoot(), o)
	if err != nil {
		t.Fatalf("Spec: %v", err)
	}
	return s
}

// golden compares a config with testdata/NAME.golden.json.
func golden(t *testing.T, name string, s *specs.Spec) {
	t.Helper()
	got, err := bundle.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", name+".golden.json")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs; run with -update and look at the difference:\n%s", file, got)
	}
}
