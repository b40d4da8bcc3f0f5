package convert

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestSELinuxLabels: labels are set where SELinux is on and one is asked for, and nowhere else.
func TestSELinuxLabels(t *testing.T) {
	for name, tt := range map[string]struct {
		options        []string
		process, mount string
	}{
		"none":     {nil, "", ""},
		"disable":  {[]string{"label=type:x", "label=disable"}, "", ""},
		"type":     {[]string{"label=type:svirt_lxc_net_t"}, "system_u:system_r:svirt_lxc_net_t:s0", "system_u:object_r:container_file_t:s0"},
		"level":    {[]string{"label=level:s0:c100,c200"}, "system_u:system_r:container_t:s0:c100,c200", "system_u:object_r:container_file_t:s0:c100,c200"},
		"all":      {[]string{"label=user:u", "label=role:r", "label=type:t", "label=filetype:f", "label=level:s1"}, "u:r:t:s1", "u:object_r:f:s1"},
		"old form": {[]string{"label:type:t"}, "system_u:system_r:t:s0", "system_u:object_r:container_file_t:s0"},
	} {
		for _, on := range []bool{true, false} {
			o := plain()
			o.Host.SELinux = on
			o.SecurityOpts = append(o.SecurityOpts, tt.options...)
			s := mustSpec(t, imageOf(""), o)
			if !on {
				tt.process, tt.mount = "", ""
			}
			if s.Process.SelinuxLabel != tt.process || s.Linux.MountLabel != tt.mount {
				t.Errorf("%s, SELinux %v: %q, %q", name, on, s.Process.SelinuxLabel, s.Linux.MountLabel)
			}
		}
	}
}

// TestCapabilityNames: names are taken in any case, with or without CAP_, once each; a wrong one has the right one in its error.
func TestCapabilityNames(t *testing.T) {
	o := plain()
	o.CapAdd, o.CapDrop = []string{"net_admin", "CAP_NET_ADMIN", "Sys_Time,sys_time"}, []string{"MKNOD", "cap_mknod"}
	caps := mustSpec(t, imageOf(""), o).Process.Capabilities.Bounding
	if n := len(caps); n != 14-1+2 || slices.Contains(caps, "CAP_MKNOD") {
		t.Errorf("%q", caps)
	}
	for name, hint := range map[string]string{
		"NETADMIN": "did you mean CAP_NET_ADMIN?", "sys-admin": "did you mean CAP_SYS_ADMIN?", "MKNODE": "did you mean CAP_MKNOD?", "perf": "did you mean CAP_PERFMON?", "NET": "kernel", "NOSUCH": "kernel",
	} {
		o := plain()
		o.CapAdd = []string{name}
		_, err := Spec(imageOf(""), nil, o)
		if !errors.Is(err, ErrUsage) || !strings.HasSuffix(err.Error(), hint) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEdit_ids: a user and a group of an edit are to be ids of the user namespace that the config has.
func TestEdit_ids(t *testing.T) {
	maps := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 1000}}
	config := func() *specs.Spec {
		o := plain()
		o.UIDMappings, o.GIDMappings = maps, maps
		return mustSpec(t, imageOf(""), o)
	}
	for name, tt := range map[string]struct {
		set func(*Options)
		ok  bool
	}{
		"a user of it":   {func(o *Options) { o.User = "999:5" }, true},
		"a user beyond":  {func(o *Options) { o.User = "1000:5" }, false},
		"a group beyond": {func(o *Options) { o.User = "5:1000" }, false},
		"another group":  {func(o *Options) { o.GroupAdd = []string{"1000"} }, false},
		"with other maps": {func(o *Options) {
			o.User, o.UIDMappings = "1000:1000", []specs.LinuxIDMapping{{Size: 2000}}
			o.GIDMappings = o.UIDMappings
		}, true},
		"out of it":          {func(o *Options) { o.User, o.Userns = "1000:1000", "host" }, true},
		"into another one":   {func(o *Options) { o.User, o.Userns = "1000:1000", "ns:/proc/7/ns/user" }, true},
		"asked for the same": {func(o *Options) { o.Userns = "private" }, true},
	} {
		o := plain()
		o.SecurityOpts = nil
		tt.set(&o)
		if err := Edit(config(), nil, o); (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrUnmapped) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNamespaceOf: the namespaces of another container are asked for by kind, and its names are not changed.
func TestNamespaceOf(t *testing.T) {
	o := plain()
	o.NamespaceOf = func(container string, kind specs.LinuxNamespaceType) (string, error) {
		if container != "c" {
			return "", ErrInvalid
		}
		return "/proc/7/ns/" + string(kind), nil
	}
	o.PID, o.IPC, o.UTS, o.Network, o.Cgroupns, o.Userns = "container:c", "container:c", "container:c", "container:c", "container:c", "container:c"
	s := mustSpec(t, imageOf(""), o)
	if len(s.Linux.Namespaces) != 7 || s.Hostname != "" || len(s.Linux.UIDMappings) != 0 {
		t.Errorf("%+v", s.Linux.Namespaces)
	}
	for _, n := range s.Linux.Namespaces {
		if want := "/proc/7/ns/" + string(n.Type); n.Path != want && n.Type != specs.MountNamespace {
			t.Errorf("%s: %s", n.Type, n.Path)
		}
	}
	o.Hostname = "mine"
	if _, err := Spec(imageOf(""), testRoot(), o); !errors.Is(err, ErrUsage) {
		t.Error(err)
	}
	o = plain()
	o.NamespaceOf, o.Network = func(string, specs.LinuxNamespaceType) (string, error) { return "", ErrInvalid }, "container:gone"
	if _, err := Spec(imageOf(""), testRoot(), o); !errors.Is(err, ErrUsage) || !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
}
