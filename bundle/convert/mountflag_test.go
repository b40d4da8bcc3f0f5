package convert

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle/origin"
)

// withFiles lets volumes and images be given, and tells which were asked for.
func withFiles(o *Options, asked *[]string) {
	o.VolumeDir = func(v Volume) (string, error) {
		*asked = append(*asked, fmt.Sprintf("volume %q %s %q %t", v.Name, v.Destination, v.Subpath, v.NoCopy))
		return "/v/" + v.Name, nil
	}
	o.ImageDir = func(m ImageMount) (string, error) {
		*asked = append(*asked, fmt.Sprintf("image %q %s %q %t", m.Image, m.Destination, m.Subpath, m.Writable))
		return "images/0", nil
	}
	o.OverlayDir = func(m OverlayMount) (string, error) {
		*asked = append(*asked, fmt.Sprintf("overlay %s %s %q %q", m.Source, m.Destination, m.Upper, m.Work))
		return "/overlay", nil
	}
	o.Chown = func(path string, uid, gid uint32) error {
		*asked = append(*asked, fmt.Sprintf("chown %s %d:%d", path, uid, gid))
		return nil
	}
}

func shown(m specs.Mount) string {
	s := strings.Join([]string{m.Type, m.Source, strings.Join(m.Options, ",")}, " ")
	for _, maps := range [][]specs.LinuxIDMapping{m.UIDMappings, m.GIDMappings} {
		for _, r := range maps {
			s += fmt.Sprintf(" %d:%d:%d", r.ContainerID, r.HostID, r.Size)
		}
	}
	return s
}

// TestMountFlags: every key of --mount and every option of --volume and --tmpfs, and what becomes of it.
func TestMountFlags(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ flag, value, want, asked string }{
		{"mount", "type=bind,src=/a,dst=/m", "bind /a rbind,rprivate", ""},
		{"mount", "type=bind,src=a,dst=/m", "bind " + filepath.Join(here, "a") + " rbind,rprivate", ""},
		{"mount", "type=bind,src=/a:b,dst=/m", "bind /a:b rbind,rprivate", ""},
		{"mount", `"type=bind","src=/a,b",dst=/m`, "bind /a,b rbind,rprivate", ""},
		{"mount", "type=bind,src=/a,dst=/m,bind-nonrecursive,ro", "bind /a bind,rprivate,ro", ""},
		{"mount", "type=bind,src=/a,dst=/m,bind-nonrecursive=false,readonly=false,relabel=shared,consistency=cached", "bind /a rbind,rprivate", ""},
		{"mount", "type=bind,src=/a,dst=/m,bind-recursive=disabled", "bind /a bind,rprivate", ""},
		{"mount", "type=bind,src=/a,dst=/m,bind-recursive=readonly,readonly", "bind /a rbind,rprivate,rro", ""},
		{"mount", "type=bind,src=/a,dst=/m,bind-recursive=writable,readonly", "bind /a rbind,rprivate,ro", ""},
		{"mount", "type=bind,src=/a,dst=/m,bind-propagation=runbindable,nosuid,noexec,exec", "bind /a rbind,runbindable,nosuid,exec", ""},
		{"mount", "type=bind,src=/a,dst=/m,rw,U=true", "bind /a rbind,rprivate", "chown /a 0:0"},
		{"mount", "type=bind,src=/a,dst=/m,idmap=uids=0-1-10#10-11-5;gids=0-100-10", "bind /a rbind,rprivate,idmap 0:1:10 10:11:5 0:100:10", ""},
		{"mount", "type=bind,src=/a,dst=/m,idmap=uids=@0-1-10", "bind /a rbind,rprivate,idmap 0:1:10 0:1:10", ""},
		{"mount", "source=v,target=/m", "bind /v/v rbind,rprivate", `volume "v" /m "" false`},
		{"mount", "type=volume,dst=/m,volume-nocopy,ro", "bind /v/ rbind,rprivate,ro", `volume "" /m "" true`},
		{"mount", "type=volume,src=v.1,dst=/m,volume-subpath=a/b,volume-driver=local", "bind /v/v.1 rbind,rprivate", `volume "v.1" /m "a/b" false`},
		{"mount", "type=tmpfs,dst=/m,tmpfs-size=1m,tmpfs-mode=0700,exec", "tmpfs tmpfs nosuid,nodev,exec,size=1048576,mode=0700", ""},
		{"mount", "type=tmpfs,dst=/m,tmpcopyup,ro,chown", "tmpfs tmpfs noexec,nosuid,nodev,tmpcopyup,ro,uid=0,gid=0", ""},
		{"mount", "type=tmpfs,dst=/m,notmpcopyup", "tmpfs tmpfs noexec,nosuid,nodev", ""},
		{"mount", "type=ramfs,dst=/m,tmpfs-mode=700", "ramfs ramfs noexec,nosuid,nodev,mode=700", ""},
		{"mount", "type=devpts,dst=/m,mode=600,max=5,uid=1", "devpts devpts nosuid,noexec,newinstance,ptmxmode=0666,gid=5,mode=600,max=5,uid=1", ""},
		{"mount", "type=image,src=debian,dst=/m", "bind images/0 rbind,rprivate,ro", `image "debian" /m "" false`},
		{"mount", "type=image,src=debian,dst=/m,rw=true,subpath=usr", "bind images/0 rbind,rprivate", `image "debian" /m "usr" true`},
		{"mount", "type=image,src=debian,dst=/m,image-subpath=usr", "bind images/0 rbind,rprivate,ro", `image "debian" /m "usr" false`},
		{"volume", "/a:/m:ro,z,cached,nosuid,nodev,rslave", "bind /a rbind,rslave,ro,nosuid,nodev", ""},
		{"volume", "./a:/m:bind,Z", "bind " + filepath.Join(here, "a") + " bind,rprivate", ""},
		{"volume", "/a:/m:rro,U", "bind /a rbind,rprivate,rro", "chown /a 0:0"},
		{"volume", "v:/m:nocopy,noexec", "bind /v/v rbind,rprivate,noexec", `volume "v" /m "" true`},
		{"volume", "/a:/m:O,ro", "bind /overlay rbind,rprivate,ro", `overlay /a /m "" ""`},
		{"volume", "/a:/m:O,upperdir=/u,workdir=/w", "bind /overlay rbind,rprivate", `overlay /a /m "/u" "/w"`},
		{"volume", "/m", "bind /v/ rbind,rprivate", `volume "" /m "" false`},
		{"volume", "/a:/m:idmap=uids=5-6-1;gids=7-8-1,ro", "bind /a rbind,rprivate,ro,idmap 5:6:1 7:8:1", ""},
		{"tmpfs", "/m", "tmpfs tmpfs noexec,nosuid,nodev", ""},
		{"tmpfs", "/m:rw,exec,dev,size=64k,mode=1777,uid=5,tmpcopyup", "tmpfs tmpfs nosuid,exec,dev,size=64k,mode=1777,uid=5,tmpcopyup", ""},
	} {
		t.Run(tt.flag+" "+tt.value, func(t *testing.T) {
			o := plain()
			var asked []string
			withFiles(&o, &asked)
			list := map[string]*[]string{"mount": &o.Mounts, "volume": &o.Volumes, "tmpfs": &o.Tmpfs}[tt.flag]
			*list = []string{tt.value}
			s := mustSpec(t, imageOf(""), o)
			i := slices.IndexFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == "/m" })
			if i < 0 || shown(s.Mounts[i]) != tt.want {
				t.Errorf("got %v, want %s", s.Mounts[max(i, 0)], tt.want)
			}
			if got := strings.Join(asked, "; "); got != tt.asked {
				t.Errorf("asked for %s, want %s", got, tt.asked)
			}
		})
	}
}

// TestH16_mountFlagsRefused: what is wrong by itself is refused before anything is asked for, with the flag and its value (H-16).
func TestH16_mountFlagsRefused(t *testing.T) {
	for _, tt := range []struct{ flag, value, why string }{
		{"mount", "type=bind,src=/a,dst=/m/../../x", ".."},
		{"mount", "type=bind,src=/a,dst=m", "absolute"},
		{"mount", "type=bind,src=,dst=/m", "no value"},
		{"mount", "type=volume,src=../x,dst=/m", "no name of a volume"},
		{"mount", "type=volume,src=.hidden,dst=/m", "no name of a volume"},
		{"mount", "type=volume,src=-rf,dst=/m", "no name of a volume"},
		{"mount", "type=volume,src=" + strings.Repeat("a", 256) + ",dst=/m", "no name of a volume"},
		{"mount", "type=volume,src=v,dst=/m,subpath=../x", "stays inside"},
		{"mount", "type=volume,src=v,dst=/m,subpath=/x", "stays inside"},
		{"mount", "type=bind,src=/a,dst=/m,subpath=x", "subpath"},
		{"mount", "type=volume,src=v,dst=/proc", "CVE-2019-16884"},
		{"mount", "type=tmpfs,dst=/proc/", "CVE-2019-16884"},
		{"mount", "type=image,src=i,dst=//proc", "CVE-2019-16884"},
		{"mount", "type=image,dst=/m", "want an image"},
		{"mount", "type=image,src=i,dst=/m,idmap", "idmap"},
		{"mount", "type=bind,src=/a,dst=/m,idmap", "no user namespace"},
		{"mount", "type=bind,src=/a,dst=/m,idmap=uids=0-0", "want uids="},
		{"mount", "type=bind,src=/a,dst=/m,idmap=uids=0-4294967295-2", "want uids="},
		{"mount", "type=bind,src=/a,dst=/m,tmpcopyup", "tmpcopyup"},
		{"mount", "type=bind,src=/a,dst=/m,nocopy", "nocopy"},
		{"mount", "type=ramfs,dst=/m,tmpfs-size=1m", "ramfs"},
		{"mount", "type=volume,src=v,dst=/m,volume-opt=a=b", "unknown key"},
		{"mount", "type=volume,src=v,dst=/m,volume-driver=nfs", "none but local"},
		{"mount", "type=glob,src=/a*,dst=/m", "unknown type"},
		{"volume", "v:/m:O", "O is for"},
		{"volume", "/a:/m:O,U", "neither with"},
		{"volume", "/a:/m:O,upperdir=/u", "want both"},
		{"volume", "/a:/m:O,upperdir=u,workdir=w", "want both"},
		{"volume", "/a:/m:upperdir=/u,workdir=/w", "want both"},
		{"volume", "/a:/b:c:/m", "--mount"},
		{"volume", "v:/proc", "CVE-2019-16884"},
		{"volume", "a\x00b:/m", "NUL"},
		{"volume", "/a\x00b:/m", "NUL"},
		{"tmpfs", "/m:idmap", "unknown option"},
	} {
		t.Run(tt.flag+" "+tt.value, func(t *testing.T) {
			o := plain()
			var asked []string
			withFiles(&o, &asked)
			o.Volumes = []string{"first:/first"}
			list := map[string]*[]string{"mount": &o.Mounts, "volume": &o.Volumes, "tmpfs": &o.Tmpfs}[tt.flag]
			*list = append(*list, tt.value)
			_, err := Spec(imageOf(""), testRoot(), o)
			var e *UsageError
			if !errors.As(err, &e) || e.Flag != "--"+tt.flag || e.Value != tt.value || !strings.Contains(err.Error(), tt.why) {
				t.Errorf("got %v, want one about %q", err, tt.why)
			}
			if len(asked) > 0 && !strings.Contains(tt.why, "user namespace") {
				t.Errorf("asked for %v", asked)
			}
		})
	}
	o := plain()
	o.Tmpfs, o.Volumes = []string{"/m/"}, []string{"/a:/m"}
	if _, err := BindSources(o); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "two mounts") {
		t.Errorf("two at one place: %v", err)
	}
}

// TestMountsOfUserNamespace: idmap without maps has those of the container, @ is relative to them, and U is the user as the host knows it.
func TestMountsOfUserNamespace(t *testing.T) {
	o := plain()
	var asked []string
	withFiles(&o, &asked)
	maps := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 1000}}
	o.Userns, o.UIDMappings, o.GIDMappings, o.User = "private", maps, maps, "7:8"
	o.Volumes = []string{"/a:/m:idmap", "/b:/n:idmap=uids=@0-5-10;gids=@0-6-1", "/c:/o:U"}
	s := mustSpec(t, imageOf(""), o)
	var got []string
	for _, m := range s.Mounts {
		if len(m.Destination) == 2 {
			got = append(got, shown(m))
		}
	}
	want := []string{
		"bind /a rbind,rprivate,idmap 0:100000:1000 0:100000:1000", "bind /b rbind,rprivate,idmap 0:100005:10 0:100006:1", "bind /c rbind,rprivate",
	}
	if !slices.Equal(got, want) || !slices.Equal(asked, []string{"chown /c 100007:100008"}) {
		t.Errorf("got %q, asked %q", got, asked)
	}
	o.Volumes = []string{"/b:/n:idmap=uids=@0-995-10"}
	if _, err := Spec(imageOf(""), testRoot(), o); !errors.Is(err, ErrUsage) {
		t.Errorf("ids that the container does not have: %v", err)
	}
	o.User, o.Volumes = "5000", []string{"/c:/o:U"}
	if _, err := Spec(imageOf(""), testRoot(), o); err == nil {
		t.Error("gave files to a user without an id on the host")
	}
}

// TestMountListings: what a caller may look at before it makes anything.
func TestMountListings(t *testing.T) {
	o := plain()
	o.Mounts = []string{"type=image,src=b,dst=/1", "type=image,src=a,dst=/2", "type=image,src=b,dst=/3", "type=bind,src=/x,dst=/4"}
	o.Volumes = []string{"/y:/5", "v:/6"}
	images, err := MountedImages(o)
	if err != nil || !slices.Equal(images, []string{"b", "a"}) {
		t.Error(images, err)
	}
	sources, err := BindSources(o)
	want := []BindSource{{"--mount", o.Mounts[3], "/x"}, {"--volume", "/y:/5", "/y"}}
	if err != nil || !slices.Equal(sources, want) {
		t.Error(sources, err)
	}
}

// TestVolumesFrom: the mounts of another container, where the user mounts nothing else.
func TestVolumesFrom(t *testing.T) {
	o := plain()
	o.Volumes, o.VolumesFrom = []string{"/mine:/a"}, []string{"one", "two:ro"}
	if _, err := Spec(imageOf(""), testRoot(), o); !errors.Is(err, ErrUsage) {
		t.Errorf("without containers: %v", err)
	}
	o.MountsOf = func(id string) ([]specs.Mount, error) {
		if id == "none" {
			return nil, os.ErrNotExist
		}
		bind := func(dest string) specs.Mount {
			return specs.Mount{Destination: dest, Type: "bind", Source: "/of/" + id, Options: []string{"rbind", "rprivate"}}
		}
		return []specs.Mount{bind("/a"), bind("/b"), bind("/" + id)}, nil
	}
	s, marks, err := SpecWithOrigins(imageOf(""), testRoot(), o)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, m := range s.Mounts {
		if m.Type == "bind" {
			got = append(got, m.Destination+" "+m.Source+" "+strings.Join(m.Options[2:], ","))
			from := slices.IndexFunc(marks, func(k origin.Mark) bool { return k.Pointer == origin.At("/mounts", i) })
			if want := map[bool]string{true: "--volume", false: "--volumes-from"}[m.Destination == "/a"]; from < 0 || marks[from].Name != want {
				t.Errorf("%s does not come from %s", m.Destination, want)
			}
		}
	}
	if want := []string{"/a /mine ", "/b /of/one ", "/one /of/one ", "/two /of/two ro"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	for _, bad := range []string{"none", "one:what"} {
		o.VolumesFrom = []string{bad}
		var e *UsageError
		if _, err := Spec(imageOf(""), testRoot(), o); !errors.As(err, &e) || e.Value != bad {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestReadOnlyTmpfs: with a root that is read-only, and where nothing else is mounted.
func TestReadOnlyTmpfs(t *testing.T) {
	for _, readonly := range []bool{false, true} {
		o := plain()
		o.ReadOnly, o.ReadOnlyTmpfs, o.Volumes = readonly, true, []string{"/a:/tmp"}
		var got []string
		for _, m := range mustSpec(t, imageOf(""), o).Mounts {
			if slices.Contains([]string{"/run", "/tmp", "/var/tmp"}, m.Destination) {
				got = append(got, m.Destination+" "+m.Type)
			}
		}
		want := []string{"/tmp bind"}
		if readonly {
			want = []string{"/tmp bind", "/run tmpfs", "/var/tmp tmpfs"}
		}
		if !slices.Equal(got, want) {
			t.Errorf("read-only %t: %v, want %v", readonly, got, want)
		}
	}
}
