//go:build linux

package plan

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

var shifted = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}

// TestGoldenMounts fixes the steps of the options that the other configurations do not have.
func TestGoldenMounts(t *testing.T) {
	s := loadSpec(t, "runc-spec.json")
	s.Mounts = []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc"},
		{Destination: "/mapped", Type: "none", Source: "/data", Options: []string{"rbind", "ridmap", "ro"}, UIDMappings: shifted, GIDMappings: shifted},
		{Destination: "/scratch", Type: "tmpfs", Source: "tmpfs", Options: []string{"tmpcopyup", "nosuid", "size=1m"}},
		{Destination: "/tree", Type: "bind", Source: "/data", Options: []string{"rbind", "rro", "rnosuid", "rnosymfollow", "rnoatime", "rslave"}},
		{Destination: "/tree", Options: []string{"bind", "remount", "noexec"}},
		{Destination: "/image", Type: "overlay", Source: "overlay", Options: []string{"lowerdir=" + strings.Repeat("/a", 130) + `:/b\:c`}},
		{Destination: "/relative", Type: "bind", Source: "volumes/_0", Options: []string{"rbind"}},
	}
	p, err := Compile(Input{
		Spec: s, Bundle: "/bundle", Host: testHost(), FDs: testFDs(),
		Mounts: map[int]GivenMount{1: {FD: 6, Kind: Directory}, 2: {FD: 7, Kind: Directory}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(p.String(), "# /mounts/1\n")
	got, _, _ = strings.Cut(got, "# /linux/devices\n")
	file := filepath.Join("testdata", "mounts.steps")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("steps differ from %s (-want +got):\n%s", file, d)
	}
}

// TestRSMT1_RSMT2_idmaps: which mounts need maps, which they get, and what is refused (RS-MT1, RS-MT2).
func TestRSMT1_RSMT2_idmaps(t *testing.T) {
	own := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 5, Size: 1}}
	user := specs.LinuxNamespace{Type: specs.UserNamespace}
	for _, tt := range []struct {
		name   string
		mount  specs.Mount
		userns []specs.LinuxNamespace
		want   string // host id of 0, or path of the namespace
		clause spec.Clause
		err    error
	}{
		{name: "own maps", mount: specs.Mount{Options: []string{"bind", "idmap"}, UIDMappings: own, GIDMappings: own}, want: "5"},
		{name: "own maps without the option", mount: specs.Mount{Options: []string{"bind"}, UIDMappings: own, GIDMappings: own}, userns: []specs.LinuxNamespace{user}, want: "5"},
		{name: "the container's", mount: specs.Mount{Type: "bind", Options: []string{"idmap"}}, userns: []specs.LinuxNamespace{user}, want: "100000"},
		{name: "of a joined namespace", mount: specs.Mount{Options: []string{"rbind", "ridmap"}}, userns: []specs.LinuxNamespace{{Type: specs.UserNamespace, Path: "/ns"}}, want: "/ns"},
		{name: "no maps", mount: specs.Mount{Options: []string{"bind", "idmap"}}, clause: spec.MountIDMap, err: ErrInvalid},
		{name: "half of them", mount: specs.Mount{Options: []string{"bind", "idmap"}, UIDMappings: own}, clause: spec.MountIDMappings, err: ErrInvalid},
		{name: "no bind mount", mount: specs.Mount{Type: "tmpfs", Options: []string{"idmap"}}, err: ErrUnsupported},
		{name: "copied up in a bind mount", mount: specs.Mount{Options: []string{"bind", "tmpcopyup"}}, err: ErrInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &specs.Spec{Mounts: []specs.Mount{tt.mount}, Linux: &specs.Linux{Namespaces: tt.userns}}
			if tt.userns != nil {
				s.Linux.UIDMappings, s.Linux.GIDMappings = shifted, shifted
			}
			got, err := NeedsOutside(s)
			if tt.err != nil {
				var e *Error
				if !errors.Is(err, tt.err) || !errors.As(err, &e) || e.Clause != tt.clause {
					t.Fatalf("got %v, want %v with %q", err, tt.err, tt.clause)
				}
				return
			}
			if err != nil || len(got) != 1 {
				t.Fatal(got, err)
			}
			if m := got[0]; !m.IDMap || m.Userns != tt.want && (len(m.UIDs) == 0 || tt.want != strconv.Itoa(int(m.UIDs[0].HostID))) {
				t.Errorf("got %+v, want %s", m, tt.want)
			}
		})
	}
	s := loadSpec(t, "runc-spec.json")
	s.Mounts = []specs.Mount{{Destination: "/x", Source: "/y", Options: []string{"bind", "idmap"}, UIDMappings: own, GIDMappings: own}}
	if _, err := Compile(Input{Spec: s, Bundle: "/b", Host: testHost(), FDs: testFDs()}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("compiled without the mount that it needs: %v", err)
	}
}

// TestRSMT3_options: every option of the table of config.md is taken for what it is, and not for one of a file system (RS-MT3).
func TestRSMT3_options(t *testing.T) {
	const table = `async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev nodiratime noexec noiversion
		nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev rdiratime relatime remount rexec rnoatime
		rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw rshared rslave rstrictatime rsuid
		rsymfollow runbindable rw shared silent slave strictatime suid symfollow sync tmpcopyup unbindable idmap ridmap`
	for _, o := range strings.Fields(table) {
		if got := parseMountOptions([]string{o}); len(got.data) > 0 {
			t.Errorf("%s is given to the file system", o)
		}
	}
	if got := parseMountOptions([]string{"size=1m", "mode=755"}); len(got.data) != 2 {
		t.Errorf("options of a file system: %+v", got)
	}
}
