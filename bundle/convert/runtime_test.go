//go:build linux

package convert

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/bundle"
)

// peers are the runtimes of the distribution that must run what is written here unchanged. crun
// 1.8 takes hybrid cgroups for cgroup v2 unless the v2 mount is hidden from it.
func peers() map[string]string {
	return map[string]string{
		"runc": `exec runc --root "$1/state" run --bundle "$1/b" "$2"`,
		"crun": `[ ! -d /sys/fs/cgroup/unified ] || mount -t tmpfs none /sys/fs/cgroup/unified
			exec crun --root "$1/state" run --bundle "$1/b" "$2"`,
	}
}

// busyboxRoot makes the smallest root file system that a shell runs in.
func busyboxRoot(t *testing.T, dir string) {
	t.Helper()
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Skip("no static busybox at /bin/busybox: ", err)
	}
	for _, d := range []string{"bin", "etc", "proc", "sys", "dev", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"bin/busybox": string(program), "etc/passwd": testPasswd, "etc/group": testGroup} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("busybox", filepath.Join(dir, "bin/sh")); err != nil {
		t.Fatal(err)
	}
}

// runUnder writes a bundle for the options and runs it under every peer.
func runUnder(t *testing.T, img ispec.Image, o Options, check func(t *testing.T, out string)) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: the runtimes make namespaces and cgroups")
	}
	for name, script := range peers() {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(name); err != nil {
				t.Skip("not installed: ", err)
			}
			dir := t.TempDir()
			busyboxRoot(t, filepath.Join(dir, "b/rootfs"))
			root, err := OpenRoot(filepath.Join(dir, "b/rootfs"))
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			s, err := Spec(img, root, o)
			if err != nil {
				t.Fatal(err)
			}
			if err := bundle.Write(filepath.Join(dir, "b"), s); err != nil {
				t.Fatal(err)
			}
			if _, err := bundle.Load(filepath.Join(dir, "b")); err != nil {
				t.Error("our own bundle is refused: ", err)
			}
			id := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
			cmd := exec.CommandContext(t.Context(), "unshare", "-m", "sh", "-c", script, "sh", dir, id)
			cmd.WaitDelay = time.Second
			out, err := cmd.CombinedOutput()
			if err != nil {
				raw, _ := os.ReadFile(filepath.Join(dir, "b", bundle.ConfigName))
				t.Fatalf("%s: %v\n%s\n%s", name, err, out, raw)
			}
			check(t, string(out))
		})
	}
}

func shell(script string) ispec.Image {
	return ispec.Image{
		Platform: ispec.Platform{OS: "linux"},
		Config: ispec.ImageConfig{
			Entrypoint: []string{"/bin/sh", "-c"}, Cmd: []string{"exec 2>&1; " + script}, User: "app", WorkingDir: "/tmp",
			Env: []string{"PATH=/bin", "GREETING=hello world"}, Labels: map[string]string{"note": "x"},
		},
	}
}

func wants(lines ...string) func(*testing.T, string) {
	return func(t *testing.T, out string) {
		t.Helper()
		for _, l := range lines {
			if !strings.Contains(out, l) {
				t.Errorf("no %q in:\n%s", l, out)
			}
		}
	}
}

// TestPeersRunOurBundles: process, identity, mounts and confinement arrive as the config says,
// with the default seccomp profile.
func TestPeersRunOurBundles(t *testing.T) {
	img := shell(`busybox id; pwd; echo "$GREETING"; echo "home=$HOME"; busybox hostname
		busybox grep -E "^(CapInh|CapEff|CapBnd|CapAmb|Seccomp|NoNewPrivs):" /proc/self/status
		busybox stat -c "%n %a" /dev/shm /dev/null; busybox head -c 3 /proc/kcore | busybox wc -c
		echo x > /proc/sysrq-trigger; busybox mount | busybox grep -E "on /(proc|sys|dev/pts|dev/mqueue) "`)
	runUnder(t, img, Options{Hostname: "box", SecurityOpts: []string{"no-new-privileges"}}, wants(
		"uid=1000(app) gid=1001(app) groups=29(audio),44(video),1001(app)", "\n/tmp\n", "hello world\n", "home=/home/app\n", "\nbox\n",
		"CapInh:\t0000000000000000", "CapEff:\t0000000000000000", "CapBnd:\t00000000a80425fb", "CapAmb:\t0000000000000000",
		"NoNewPrivs:\t1", "Seccomp:\t2", "/dev/shm 1777", "/dev/null 666", "\n0\n", "on /proc type proc", "on /sys type sysfs (ro", "on /dev/pts type devpts", "on /dev/mqueue type mqueue",
	))
}

// TestPeersRunWithOptions: what the flags ask for arrives too.
func TestPeersRunWithOptions(t *testing.T) {
	host := t.TempDir()
	if err := os.WriteFile(filepath.Join(host, "f"), []byte("from the host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	o := Options{
		User: "0", CapDrop: []string{"ALL"}, CapAdd: []string{"CHOWN"}, ReadOnly: true, Tmpfs: []string{"/run:mode=755"},
		Mounts:  []string{"type=bind,source=" + host + ",target=/data,readonly"},
		Devices: []string{"/dev/full:/dev/other:r"}, Ulimits: []string{"nofile=64:128"}, Sysctls: []string{"net.ipv4.ip_forward=1"},
		ShmSize: "1m", Env: []string{"GREETING=changed"}, PidsLimit: 50, Memory: "64m", SecurityOpts: []string{"seccomp=unconfined"},
	}
	img := shell(`busybox id -u; echo "$GREETING"; busybox cat /data/f; echo x > /data/g; echo y > /z; echo run > /run/ok && busybox cat /run/ok
		busybox grep -E "^(CapEff|Seccomp):" /proc/self/status; ulimit -Sn; ulimit -Hn; busybox cat /proc/sys/net/ipv4/ip_forward
		busybox stat -c "%F %t %T" /dev/other; busybox df -k /dev/shm | busybox tail -1`)
	runUnder(t, img, o, wants("0\nchanged\nfrom the host\n", "/data/g: Read-only", "/z: Read-only", "run\n", "CapEff:\t0000000000000001", "Seccomp:\t0", "\n64\n128\n1\n", "character special file 1 7", " 1024 "))
}

// TestPeersRunHostNamespaces: the config without namespaces of its own.
func TestPeersRunHostNamespaces(t *testing.T) {
	o := Options{Network: "host", PID: "host", IPC: "host", UTS: "host", Cgroupns: "host"}
	runUnder(t, shell(`echo ran; busybox hostname`), o, wants("ran\n"))
}

// TestPeersRunPrivileged: all capabilities and devices, nothing masked.
func TestPeersRunPrivileged(t *testing.T) {
	o := Options{Privileged: true, User: "0"}
	runUnder(t, shell(`busybox grep Seccomp: /proc/self/status; busybox mount | busybox grep "on /sys "; busybox ls -d /proc/acpi`), o, wants("Seccomp:\t0", "on /sys type sysfs (rw"))
}
