package convert

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/origin"
	"github.com/oci-pipeline/oci/bundle/pid1"
)

func TestInit(t *testing.T) {
	img := testImage()
	img.Architecture = "arm64"
	o := plain()
	o.Init, o.Tmpfs = true, []string{"/run"}
	var written []byte
	o.InitFile = func(program []byte) (string, error) { written = program; return "init", nil }
	s, marks, err := SpecWithOrigins(img, testRoot(), o)
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := pid1.ELF("arm64"); !slices.Equal(written, want) {
		t.Errorf("%d bytes were written, not the init of the image's machine", len(written))
	}
	if want := []string{InitDestination, "--", "/bin/prog", "-x", "one", "two words"}; !slices.Equal(s.Process.Args, want) {
		t.Errorf("got %q", s.Process.Args)
	}
	last := s.Mounts[len(s.Mounts)-1]
	if last.Destination != InitDestination || last.Source != "init" || !mountsAt(s.Mounts[:len(s.Mounts)-1], "/run") {
		t.Errorf("got %+v", s.Mounts)
	}
	for _, want := range []origin.Mark{
		{Pointer: "/process/args/0", Kind: origin.Flag, Name: "--init"}, {Pointer: origin.At("/mounts", len(s.Mounts)-1), Kind: origin.Flag, Name: "--init"},
	} {
		if !slices.Contains(marks, want) {
			t.Errorf("no mark %+v in %+v", want, marks)
		}
	}
	at := func(pointer, name string) bool {
		return slices.ContainsFunc(marks, func(m origin.Mark) bool { return m.Pointer == pointer && strings.HasPrefix(m.Name, name) })
	}
	if !at("/process/args/2", "config.Entrypoint") || !at("/process/args/4", "config.Cmd") || at("/process/args/1", "config") {
		t.Errorf("the arguments of the image are not told from those of the init: %+v", marks)
	}
}

// TestInitEdit: a second time changes nothing, and hooks still know the program.
func TestInitEdit(t *testing.T) {
	s := bundle.DefaultSpec()
	o := Options{Host: testHost(), Init: true, InitFile: func([]byte) (string, error) { return "init", nil }}
	for range 2 {
		if err := Edit(s, nil, o); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(s.Process.Args, []string{InitDestination, "--", "sh"}) || len(s.Mounts) != len(bundle.DefaultSpec().Mounts)+1 {
		t.Errorf("got %q, %+v", s.Process.Args, s.Mounts)
	}
	if err := Edit(s, nil, Options{Host: testHost(), HooksDirs: []string{hooksDir(t, `{"commands": ["^sh$"]}`)}}); err != nil || s.Hooks == nil {
		t.Errorf("%v, %+v", err, s.Hooks)
	}
	if err := Edit(&specs.Spec{Version: "1.0.2", Root: &specs.Root{Path: "r"}}, nil, o); !errors.Is(err, ErrUsage) {
		t.Errorf("no program: %v", err)
	}
}

func TestInitRefused(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	raw, err := pid1.ELF("arm64")
	if err != nil {
		t.Fatal(err)
	}
	program := string(raw)
	dynamic := []byte(program)
	dynamic[64] = 3 // PT_INTERP
	static := file("static", program, 0o755)
	write := func([]byte) (string, error) { return "init", nil }
	for name, tt := range map[string]struct {
		o    Options
		arch string
		want string // in the error; "" if there is none
	}{
		"a static program":          {Options{InitPath: static}, "riscv64", ""},
		"386":                       {Options{Init: true, InitFile: write}, "386", ""},
		"no bundle":                 {Options{Init: true}, "amd64", "--init-path takes one of the host"},
		"another machine":           {Options{Init: true, InitFile: write}, "riscv64", "no init for this machine: riscv64"},
		"nothing there":             {Options{InitPath: filepath.Join(dir, "nowhere")}, "amd64", "no such file"},
		"a directory":               {Options{InitPath: dir}, "amd64", "not an executable file"},
		"not executable":            {Options{InitPath: file("plain", program, 0o644)}, "amd64", "not an executable file"},
		"a script":                  {Options{InitPath: file("script", "#!/bin/sh\n"+strings.Repeat("#", 100), 0o755)}, "amd64", "not an ELF program"},
		"the beginning of one":      {Options{InitPath: file("short", program[:70], 0o755)}, "amd64", "not an ELF program"},
		"a dynamic program":         {Options{InitPath: file("dynamic", string(dynamic), 0o755)}, "amd64", "dynamic linker"},
		"a mount at the same place": {Options{Init: true, InitFile: write, Volumes: []string{"/x:/run/oci-init/"}}, "amd64", "is where --init shows the init"},
	} {
		img := testImage()
		img.Architecture = tt.arch
		o := plain()
		o.Init, o.InitPath, o.InitFile, o.Volumes = tt.o.Init, tt.o.InitPath, tt.o.InitFile, tt.o.Volumes
		s, err := Spec(img, testRoot(), o)
		switch {
		case tt.want == "" && (err != nil || s.Process.Args[0] != InitDestination):
			t.Errorf("%s: %v", name, err)
		case tt.want != "" && (!errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: got %v", name, err)
		}
	}
	if runtime.GOOS == "linux" {
		if err := checkStatic("/bin/ls"); err == nil || !strings.Contains(err.Error(), "dynamic linker") {
			t.Errorf("/bin/ls: %v", err)
		}
	}
}
