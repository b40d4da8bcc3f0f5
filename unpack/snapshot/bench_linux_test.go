package snapshot

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// detachedFS gives a new file system of a kind at a path that every thread of this process alone can use: it is mounted nowhere.
func detachedFS(b *testing.B, kind, size string) string {
	b.Helper()
	if kind == "here" {
		return b.TempDir()
	}
	source := "none"
	if kind != "tmpfs" {
		file := filepath.Join(b.TempDir(), "img")
		for _, args := range [][]string{{"truncate", "-s", size, file}, {"mkfs." + kind, "-q", file}} {
			if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
				b.Skipf("%q: %v: %s", args, err, out)
			}
		}
		out, err := exec.Command("losetup", "--find", "--show", file).Output()
		if err != nil {
			b.Skipf("losetup: %v", err)
		}
		source = strings.TrimSpace(string(out))
		b.Cleanup(func() { _ = exec.Command("losetup", "--detach", source).Run() })
	}
	fs, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		b.Skipf("no %s: %v", kind, err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigSetString(fs, "source", source); err != nil {
		b.Fatal(err)
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		b.Skipf("mount %s: %v", kind, err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { unix.Close(fd) })
	return fmt.Sprintf("/proc/self/fd/%d", fd)
}

// BenchmarkCopy copies the files of an image (debian, if there is one to be had) within a file system: sharing blocks and not.
// The cp of coreutils is beside it as a yardstick; it has one directory to copy, and no layers to merge.
func BenchmarkCopy(b *testing.B) {
	needRoot(b)
	for _, kind := range []string{"here", "tmpfs", "xfs", "btrfs"} {
		for _, how := range []string{"shared", "unshared", "cp"} {
			if how == "shared" && kind == "tmpfs" {
				continue // it cannot
			}
			b.Run(kind+"/"+how, func(b *testing.B) { benchmarkCopy(b, detachedFS(b, kind, "2G"), how) })
		}
	}
}

func benchmarkCopy(b *testing.B, fs, how string) {
	l, _, img := tartest.RealImage(b, "debian")
	s, err := Open(filepath.Join(fs, "layers"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	dirs, err := s.Ensure(b.Context(), img.Layers(), l)
	if err != nil {
		b.Fatal(err)
	}
	var res Copied
	var cpu int64
	for b.Loop() {
		began := processorTime(b)
		dir := filepath.Join(fs, "copy")
		if how == "cp" {
			cmd := exec.Command("cp", "-a", "--reflink=auto", dirs[0], "copy")
			if cmd.Dir, err = filepath.EvalSymlinks(fs); err != nil || strings.HasPrefix(fs, "/proc/") {
				b.Skip("cp is another process, which has no way there")
			}
			err = cmd.Run()
		} else {
			res, err = Copy(b.Context(), dir, CopyOptions{Layers: dirs, Unshared: how == "unshared"})
		}
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		cpu += processorTime(b) - began
		if err := removeAll(dir); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(cpu)/1e3/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(res.Entries), "files")
	b.ReportMetric(float64(res.Copied)/1e6, "MB-copied")
	b.ReportMetric(float64(res.Shared)/1e6, "MB-shared")
}

// processorTime is what this process and its children have used, in microseconds: on a machine with other work
// it says more than the clock.
func processorTime(b *testing.B) int64 {
	b.Helper()
	var sum int64
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		if err := unix.Getrusage(who, &u); err != nil {
			b.Fatal(err)
		}
		sum += u.Utime.Nano()/1000 + u.Stime.Nano()/1000
	}
	return sum
}

// BenchmarkMount mounts and lets go of stacks, without and with id maps.
func BenchmarkMount(b *testing.B) {
	needRoot(b)
	for _, n := range []int{1, 10, 100} {
		base := b.TempDir()
		o := MountOptions{ReadOnly: true}
		for i := range n {
			dir := filepath.Join(base, fmt.Sprint(i), "fs")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				b.Fatal(err)
			}
			o.Layers = append(o.Layers, dir)
		}
		for _, mapped := range []bool{false, true} {
			if mapped {
				o.UIDMap, o.GIDMap = []unpack.IDMap{{HostID: 100000, Size: 65536}}, []unpack.IDMap{{HostID: 100000, Size: 65536}}
			}
			b.Run(fmt.Sprintf("layers=%d,mapped=%v", n, mapped), func(b *testing.B) {
				for b.Loop() {
					f, err := Mount(b.Context(), o)
					if err != nil {
						b.Fatal(err)
					}
					f.Close()
				}
			})
		}
	}
}
