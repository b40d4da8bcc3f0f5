package cgroup

import (
	"errors"
	"maps"
	"strings"
	"testing"
)

const hybridMounts = `22 1 8:1 / / rw - ext4 /dev/sda1 rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
99 31 0:32 / /var/lib/engine/x/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`

const hybridGroups = `9:name=systemd:/
4:memory:/jobs/7
2:cpu,cpuacct:/
0::/here
`

func TestParsePlace(t *testing.T) {
	for _, tt := range []struct {
		name, mounts, groups string
		version              string
		path                 string
		want                 map[string]string
	}{
		{
			"hybrid, absolute", hybridMounts, hybridGroups, "hybrid", "/a/b",
			map[string]string{
				"": "/sys/fs/cgroup/unified/a/b", "cpu": "/sys/fs/cgroup/cpu,cpuacct/a/b", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct/a/b",
				"memory": "/sys/fs/cgroup/memory/a/b", "name=systemd": "/sys/fs/cgroup/systemd/a/b",
			},
		},
		{
			"hybrid, by ID", hybridMounts, hybridGroups, "hybrid", "",
			map[string]string{
				"": "/sys/fs/cgroup/unified/here/ID", "cpu": "/sys/fs/cgroup/cpu,cpuacct/ID", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct/ID",
				"memory": "/sys/fs/cgroup/memory/jobs/7/ID", "name=systemd": "/sys/fs/cgroup/systemd/ID",
			},
		},
		{
			"RS-CG1 no path leads out", hybridMounts, "4:memory:/jobs/7\n", "v1", "../../../etc",
			map[string]string{"memory": "/sys/fs/cgroup/memory/jobs/7/etc"},
		},
		{
			"v2, beside the own group", "30 1 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
			"0::/user.slice/session-1.scope\n", "v2", "x",
			map[string]string{"": "/sys/fs/cgroup/user.slice/x"},
		},
		{
			"v2, own group is the root", "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/\n", "v2", "",
			map[string]string{"": "/sys/fs/cgroup/ID"},
		},
		{
			"v1 in a container without a cgroup namespace",
			"32 31 0:29 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n", "3:cpu:/docker/abc/sub\n", "v1", "",
			map[string]string{"cpu": "/sys/fs/cgroup/cpu/sub/ID"},
		},
		{
			"a group outside of the mount", "32 31 0:29 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n",
			"3:cpu:/docker/abcd\n", "v1", "",
			map[string]string{"cpu": "/sys/fs/cgroup/cpu/ID"},
		},
		{
			"a group outside of the namespace", "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/../x\n", "v2", "",
			map[string]string{"": "/sys/fs/cgroup/ID"},
		},
		{
			"escaped mount point", `30 1 0:26 / /mnt/c\040g rw - cgroup2 cgroup2 rw` + "\n", "0::/\n", "v2", "/y",
			map[string]string{"": "/mnt/c g/y"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := Parse(tt.mounts, tt.groups)
			if err != nil {
				t.Fatal(err)
			}
			if got := l.Version(); got != tt.version {
				t.Errorf("version %s", got)
			}
			unified, v1, err := place(l, tt.path, "ID")
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			if unified != "" {
				got[""] = unified
			}
			for _, g := range v1 {
				for _, c := range g.controllers {
					got[c] = g.dir
				}
			}
			if !maps.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	if _, err := Parse("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n", hybridGroups); !errors.Is(err, ErrNoCgroup) {
		t.Errorf("no hierarchy: %v", err)
	}
	for _, groups := range []string{"x\n", "0:\n", "0::relative\n"} {
		if _, err := Parse(hybridMounts, groups); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", groups, err)
		}
	}
	l, err := Parse(hybridMounts, hybridGroups)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"/", "..", "/..", "./"} {
		if _, _, err := place(l, p, "ID"); !errors.Is(err, ErrPath) {
			t.Errorf("RS-CG1 %q: %v", p, err)
		}
	}
}

// FuzzParse: whatever the texts and the path, each group lies below a mount point, and is not one.
func FuzzParse(f *testing.F) {
	f.Add(hybridMounts, hybridGroups, "/a")
	f.Add("30 1 0:26 /x /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/x/y\n", "../b")
	f.Fuzz(func(t *testing.T, mounts, groups, cgroupsPath string) {
		l, err := Parse(mounts, groups)
		if err != nil {
			return
		}
		unified, v1, err := place(l, cgroupsPath, "ID")
		if err != nil {
			return
		}
		if m := l.unified.mount; m != "" && (!below(unified, strings.TrimSuffix(m, "/")) || unified == m) {
			t.Errorf("%q is not below %q", unified, m)
		}
		for _, g := range v1 {
			if !below(g.dir, strings.TrimSuffix(g.mount, "/")) || g.dir == g.mount {
				t.Errorf("%q is not below %q", g.dir, g.mount)
			}
		}
	})
}
