package convert

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

func imageOf(user string) ispec.Image {
	return ispec.Image{Config: ispec.ImageConfig{User: user, Cmd: []string{"x"}}}
}

// TestIS_V3_H35_user_forms: every form of Config.User, with its supplementary groups.
func TestIS_V3_H35_user_forms(t *testing.T) {
	for _, tt := range []struct {
		user, home string
		want       specs.User
	}{
		{"", "/root", specs.User{AdditionalGids: []uint32{0, 1}}},
		{"root", "/root", specs.User{AdditionalGids: []uint32{0, 1}}},
		{"app", "/home/app", specs.User{UID: 1000, GID: 1001, AdditionalGids: []uint32{1001, 44, 29}}},
		{"app:", "/home/app", specs.User{UID: 1000, GID: 1001, AdditionalGids: []uint32{1001, 44, 29}}},
		{"app:video", "/home/app", specs.User{UID: 1000, GID: 44}},
		{"app:7", "/home/app", specs.User{UID: 1000, GID: 7}},
		{"1000", "/home/app", specs.User{UID: 1000, GID: 1001}},
		{"1000:44", "/home/app", specs.User{UID: 1000, GID: 44}},
		{"1000:video", "/home/app", specs.User{UID: 1000, GID: 44}},
		{"4000", "/", specs.User{UID: 4000}},
		{"4000:4001", "/", specs.User{UID: 4000, GID: 4001}},
		{"0", "/root", specs.User{}}, // CVE-2016-3697: the user named "0" has uid 77
		{"77", "/zero", specs.User{UID: 77, GID: 77}},
		{":video", "/root", specs.User{GID: 44}},
		{"0:5", "/root", specs.User{GID: 5}}, // the group named "5" has gid 99
		{"4294967294", "/", specs.User{UID: 4294967294}},
		{"nohome", "/", specs.User{UID: 50, GID: 50, AdditionalGids: []uint32{50}}},
	} {
		t.Run(tt.user, func(t *testing.T) {
			s := mustSpec(t, imageOf(tt.user), plain())
			if d := cmp.Diff(tt.want, s.Process.User); d != "" {
				t.Error(d)
			}
			if !slices.Contains(s.Process.Env, "HOME="+tt.home) {
				t.Errorf("HOME: want %s, env %q", tt.home, s.Process.Env)
			}
		})
	}
}

// TestIS_V3_numeric_groups_option: image-spec config.md's reading of a numeric user.
func TestIS_V3_numeric_groups_option(t *testing.T) {
	o := plain()
	o.NumericGroups = true
	got := mustSpec(t, imageOf("1000"), o).Process.User.AdditionalGids
	if want := []uint32{1001, 44, 29}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestIS_V3_H34_refused: unknown users, and numbers that are no ids and must not become names.
func TestIS_V3_H34_refused(t *testing.T) {
	for user, want := range map[string]error{
		"nobody": ErrUnknownUser, "short": ErrUnknownUser, "0x1": ErrUnknownUser, "+1": ErrUnknownUser, "1.5": ErrUnknownUser, " 1": ErrUnknownUser, "-": ErrUnknownUser,
		"1000:nogroup": ErrUnknownGroup, "app:0x1": ErrUnknownGroup, "#a comment": ErrUnknownUser,
		"4294967296": ErrIDRange, "4294967295": ErrIDRange, "-1": ErrIDRange, "99999999999999999999999": ErrIDRange,
		"0:4294967296": ErrIDRange, "0:-1": ErrIDRange,
		"big": ErrIDRange, "minus": ErrIDRange, "badgid": ErrIDRange, "0:huge": ErrIDRange, "a\x00b": ErrInvalid,
	} {
		_, err := Spec(imageOf(user), testRoot(), plain())
		if !errors.Is(err, want) {
			t.Errorf("USER %q: got %v, want %v", user, err, want)
		}
		var e *Error
		if !errors.As(err, &e) || e.Clause != spec.ConversionUser || e.Subject != "config.User" {
			t.Errorf("USER %q: no clause in %v", user, err)
		}
		o := plain()
		o.User = user
		var ue *UsageError
		if _, err := Spec(imageOf(""), testRoot(), o); !errors.Is(err, want) || !errors.As(err, &ue) || ue.Flag != "--user" {
			t.Errorf("--user %q: got %v", user, err)
		}
	}
}

// TestIS_V3_no_user_files: without /etc/passwd an id works and a name does not.
func TestIS_V3_no_user_files(t *testing.T) {
	for _, root := range []Rootfs{files{}, nil} {
		s, err := Spec(imageOf("5:6"), root, plain())
		if err != nil || s.Process.User.UID != 5 || s.Process.User.GID != 6 {
			t.Errorf("5:6: %v", err)
		}
		if _, err := Spec(imageOf("root"), root, plain()); !errors.Is(err, ErrUnknownUser) {
			t.Errorf("root: %v", err)
		}
	}
}

func TestGroupAdd(t *testing.T) {
	o := plain()
	o.User, o.GroupAdd = "app", []string{"video", "9", "9"}
	if got, want := mustSpec(t, imageOf(""), o).Process.User.AdditionalGids, []uint32{1001, 44, 29, 9}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, bad := range []string{"nogroup", "-1", "4294967295", "huge"} {
		o.GroupAdd = []string{bad}
		if _, err := Spec(imageOf(""), testRoot(), o); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "--group-add") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestH33_unmapped: ids that the user namespace does not have.
func TestH33_unmapped(t *testing.T) {
	o := plain()
	o.Rootless = true
	if _, err := Spec(imageOf("app"), testRoot(), o); !errors.Is(err, ErrUnmapped) {
		t.Errorf("inside, single id: %v", err)
	}
	o.UIDMappings = []specs.LinuxIDMapping{{HostID: 100000, Size: 65536}}
	o.GIDMappings = []specs.LinuxIDMapping{{HostID: 100000, Size: 1002}}
	s, err := Spec(imageOf("app"), testRoot(), o)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.Process.User.AdditionalGids, []uint32{1001, 44, 29}; !slices.Equal(got, want) {
		t.Errorf("groups: got %v, want %v", got, want)
	}
	o.GroupAdd = []string{"5000"}
	if _, err := Spec(imageOf("app"), testRoot(), o); !errors.Is(err, ErrUnmapped) || !errors.Is(err, ErrUsage) {
		t.Errorf("--group-add 5000: %v", err)
	}
	o.GroupAdd = nil
	o.Userns = "host" // the caller stands in the namespace already
	if s := mustSpec(t, imageOf("app"), o); s.Process.User.UID != 1000 || len(s.Linux.UIDMappings) > 0 || len(s.Linux.Namespaces) != 6 {
		t.Errorf("inside, many ids: %+v", s.Linux)
	}
	if _, err := Spec(imageOf("70000"), testRoot(), o); !errors.Is(err, ErrUnmapped) {
		t.Errorf("70000: %v", err)
	}
}

// endless is a file that never ends, as a FIFO or a device could be.
type endless struct{}

func (endless) Open(string) (io.ReadCloser, error) { return io.NopCloser(zeros{}), nil }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestH14_bounded: CVE-2026-47262.
func TestH14_bounded(t *testing.T) {
	if _, err := Spec(imageOf("app"), endless{}, plain()); !errors.Is(err, ErrUserFile) {
		t.Errorf("endless: %v", err)
	}
	var group strings.Builder
	for i := range maxGroups + 1 {
		fmt.Fprintf(&group, "g:x:%d:app\n", i)
	}
	root := files{"/etc/passwd": testPasswd, "/etc/group": group.String()}
	if _, err := Spec(imageOf("app"), root, plain()); !errors.Is(err, ErrUserFile) {
		t.Errorf("too many groups: %v", err)
	}
	if _, err := Spec(imageOf("1000"), root, plain()); err != nil {
		t.Errorf("a numeric user needs no groups: %v", err)
	}
}

// FuzzUser: whatever the files and the USER, an accepted id is in range, and digits stay what they are.
func FuzzUser(f *testing.F) {
	for _, u := range []string{"app", "0", "1000:video", "-1", "4294967296", ":", "big"} {
		f.Add(u, testPasswd, testGroup)
	}
	f.Fuzz(func(t *testing.T, user, passwd, group string) {
		u, err := users{passwd: []byte(passwd), group: []byte(group)}.resolve(user, false)
		if err != nil {
			return
		}
		if u.UID > maxID || u.GID > maxID {
			t.Fatalf("id out of range: %+v", u)
		}
		name, g, _ := strings.Cut(user, ":")
		if id, numeric, _ := parseID(name); numeric && (id != u.UID || u.AdditionalGids != nil) {
			t.Fatalf("USER %q became %+v", user, u)
		}
		if g != "" && u.AdditionalGids != nil {
			t.Fatalf("USER %q has supplementary groups %v", user, u.AdditionalGids)
		}
	})
}
