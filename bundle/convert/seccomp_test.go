//go:build linux

package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle"
)

func allows(p *specs.LinuxSeccomp, call string) bool {
	return slices.ContainsFunc(p.Syscalls, func(c specs.LinuxSyscall) bool {
		return c.Action == specs.ActAllow && len(c.Args) == 0 && slices.Contains(c.Names, call)
	})
}

// TestSeccompDefault: the profile follows the capabilities, and each conversion has its own copy.
func TestSeccompDefault(t *testing.T) {
	o := plain()
	o.SecurityOpts = nil
	p := mustSpec(t, imageOf(""), o).Linux.Seccomp
	if p == nil || p.DefaultAction != specs.ActErrno || !allows(p, "read") || allows(p, "mount") || allows(p, "bpf") || len(p.Architectures) == 0 {
		t.Fatalf("%+v", p)
	}
	o.CapAdd = []string{"SYS_ADMIN"}
	if p := mustSpec(t, imageOf(""), o).Linux.Seccomp; !allows(p, "mount") {
		t.Error("CAP_SYS_ADMIN does not allow mount")
	}
	o.CapAdd = nil
	if p := mustSpec(t, imageOf(""), o).Linux.Seccomp; allows(p, "mount") {
		t.Error("a profile leaks into the next conversion")
	}
	o.Privileged, o.Rootless = true, true
	if p := mustSpec(t, imageOf(""), o).Linux.Seccomp; p != nil {
		t.Error("privileged has a profile")
	}
	o.SecurityOpts = []string{"seccomp=builtin"}
	if p := mustSpec(t, imageOf(""), o).Linux.Seccomp; p == nil {
		t.Error("privileged and seccomp=builtin has none")
	}
}

// TestSeccompFile: a profile in Docker's format.
func TestSeccompFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p.json")
	text := `{"defaultAction":"SCMP_ACT_ALLOW","archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]},{"architecture":"SCMP_ARCH_AARCH64","subArchitectures":[]}],
		"syscalls":[{"names":["swapon"],"action":"SCMP_ACT_ERRNO"},{"name":"reboot","action":"SCMP_ACT_ERRNO","excludes":{"caps":["CAP_SYS_BOOT"]}},
		{"names":["never"],"action":"SCMP_ACT_ERRNO","includes":{"minKernel":"99.0"}}]}`
	must(t, os.WriteFile(file, []byte(text), 0o600))
	o := plain()
	o.SecurityOpts = []string{"seccomp=" + file}
	p := mustSpec(t, imageOf(""), o).Linux.Seccomp
	if got, _ := json.Marshal(p.Syscalls); string(got) != `[{"names":["swapon"],"action":"SCMP_ACT_ERRNO"},{"names":["reboot"],"action":"SCMP_ACT_ERRNO"}]` {
		t.Errorf("%s", got)
	}
	o.CapAdd = []string{"SYS_BOOT"}
	if p := mustSpec(t, imageOf(""), o).Linux.Seccomp; len(p.Syscalls) != 1 {
		t.Errorf("%+v", p.Syscalls)
	}
	must(t, os.WriteFile(file, []byte(`{"defaultAction":"NOSUCH","syscalls":[{"names":[],"action":"x"}]}`), 0o600))
	if _, err := Spec(imageOf(""), nil, o); !errors.Is(err, ErrUsage) || !errors.Is(err, bundle.ErrInvalid) {
		t.Errorf("a profile with unknown actions: %v", err)
	}
}

// TestSeccomp_minKernel: a rule for kernels from this one on is there, one for the next kernel is not.
func TestSeccomp_minKernel(t *testing.T) {
	raw, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Skip("no kernel to ask: ", err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(string(raw), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "p.json")
	for kernel, there := range map[string]bool{
		fmt.Sprintf("%d.%d", major, minor): true, fmt.Sprintf("%d.%d", major, minor+1): false, fmt.Sprintf("%d.%d", major, max(minor-1, 0)): true,
		fmt.Sprintf("%d.0", major+1): false, fmt.Sprintf("%d.%d", major-1, 99): true,
	} {
		for _, list := range []string{"includes", "excludes"} {
			text := fmt.Sprintf(`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["swapon"],"action":"SCMP_ACT_ERRNO",%q:{"minKernel":%q}}]}`, list, kernel)
			must(t, os.WriteFile(file, []byte(text), 0o600))
			o := plain()
			o.SecurityOpts = []string{"seccomp=" + file}
			if n := len(mustSpec(t, imageOf(""), o).Linux.Seccomp.Syscalls); (n == 1) != (there == (list == "includes")) {
				t.Errorf("%s %s: %d rules", list, kernel, n)
			}
		}
	}
	for _, bad := range []string{"6", "x.y", "6.1.2", "-1.0"} {
		must(t, os.WriteFile(file, fmt.Appendf(nil, `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ERRNO","includes":{"minKernel":%q}}]}`, bad), 0o600))
		o := plain()
		o.SecurityOpts = []string{"seccomp=" + file}
		if _, err := Spec(imageOf(""), nil, o); !errors.Is(err, ErrUsage) {
			t.Errorf("minKernel %s: %v", bad, err)
		}
	}
}

// BenchmarkConvert is the conversion alone, BenchmarkConvertWrite with the writing of the bundle:
// at most 2 ms together.
func BenchmarkConvert(b *testing.B) {
	img := testImage()
	for b.Loop() {
		if _, err := Spec(img, testRoot(), Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkConvertWrite(b *testing.B) {
	img, dir := testImage(), b.TempDir()
	for b.Loop() {
		s, err := Spec(img, testRoot(), Options{})
		if err == nil {
			err = bundle.Write(dir, s)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	dir := b.TempDir()
	s, err := Spec(testImage(), testRoot(), Options{})
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "rootfs"), 0o755)
	}
	if err == nil {
		err = bundle.Write(dir, s)
	}
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := bundle.Load(dir); err != nil {
			b.Fatal(err)
		}
	}
}
