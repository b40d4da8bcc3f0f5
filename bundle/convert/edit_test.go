package convert

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle"
)

// options are each option that Edit and Spec share, by the name of its flag.
func options() map[string]func(*Options) {
	single := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 70000}}
	score, swappiness := 5, int64(60)
	all := map[string]func(*Options){
		"arguments":      func(o *Options) { o.Args = []string{"a", "b"} },
		"--env":          func(o *Options) { o.Env = []string{"A=changed", "NEW=1", "B"} },
		"--env-file":     func(o *Options) { o.EnvFile = []string{"# x", "A=file"} },
		"--workdir":      func(o *Options) { o.Workdir = "/w" },
		"--user":         func(o *Options) { o.User = "1000:8" },
		"--group-add":    func(o *Options) { o.GroupAdd = []string{"audio", "7"} },
		"--tty":          func(o *Options) { o.Terminal, o.Env = true, []string{"TERM=xterm"} },
		"--read-only":    func(o *Options) { o.ReadOnly = true },
		"--root":         func(o *Options) { o.Root = "/elsewhere" },
		"--tmpfs":        func(o *Options) { o.Tmpfs = []string{"/t:size=1m"} },
		"--mount":        func(o *Options) { o.Mounts = []string{"type=bind,src=/a,dst=/dev/shm", "type=tmpfs,dst=/m"} },
		"--volume":       func(o *Options) { o.Volumes = []string{"/a:/v:ro"} },
		"--device":       func(o *Options) { o.Devices = []string{"/dev/null:/dev/n:r"} },
		"--shm-size":     func(o *Options) { o.ShmSize = "1m" },
		"--hostname":     func(o *Options) { o.Hostname, o.Env = "box", []string{"HOSTNAME=box"} },
		"--domainname":   func(o *Options) { o.Domainname = "example.org" },
		"--network":      func(o *Options) { o.Network = "ns:/run/netns/a" },
		"--network=host": func(o *Options) { o.Network = "host" },
		"--pid":          func(o *Options) { o.PID = "host" },
		"--ipc":          func(o *Options) { o.IPC = "ns:/proc/7/ns/ipc" },
		"--uts":          func(o *Options) { o.UTS = "host" },
		"--cgroupns":     func(o *Options) { o.Cgroupns = "host" },
		"--uid-map":      func(o *Options) { o.UIDMappings, o.GIDMappings = single, single },
		"--cap-add":      func(o *Options) { o.CapAdd = []string{"net_admin"} },
		"--cap-drop":     func(o *Options) { o.CapDrop = []string{"mknod,chown"} },
		"--cap-drop ALL": func(o *Options) { o.CapDrop, o.CapAdd = []string{"ALL"}, []string{"kill"} },
		"--privileged":   func(o *Options) { o.Privileged = true },
		"--security-opt": func(o *Options) {
			o.SecurityOpts = append(o.SecurityOpts, "no-new-privileges", "apparmor=p", "mask=/proc/a", "unmask=/proc/s*")
		},
		"--sysctl":        func(o *Options) { o.Sysctls = []string{"kernel.shmmax=5", "net.ipv4.ip_unprivileged_port_start=80"} },
		"--cgroups-path":  func(o *Options) { o.CgroupsPath = "/x" },
		"--memory":        func(o *Options) { o.Memory, o.MemorySwap, o.MemoryReservation = "512m", "1g", "1m" },
		"--cpus":          func(o *Options) { o.CPUs, o.CPUShares, o.CpusetCpus, o.CpusetMems = "1.5", 100, "0", "0" },
		"--pids-limit":    func(o *Options) { o.PidsLimit = 7 },
		"--ulimit":        func(o *Options) { o.Ulimits = []string{"nofile=1:2"} },
		"--oom-score-adj": func(o *Options) { o.OOMScoreAdj = &score },
		"--annotation":    func(o *Options) { o.Annotations = []string{"x=y"} },
		"--label":         func(o *Options) { o.Labels = []string{"note=other"} },
		"--stop-signal":   func(o *Options) { o.StopSignal = "SIGHUP" },

		"--security-opt label": func(o *Options) {
			o.Host.SELinux, o.SecurityOpts = true, append(o.SecurityOpts, "label=type:t", "label=level:s0:c1,c2", "label=filetype:f")
		},
		"--security-opt proc-opts": func(o *Options) {
			o.SecurityOpts = append(o.SecurityOpts, "proc-opts=hidepid=1", "proc-opts=hidepid=2,subset=pid")
		},
		"--network=container": func(o *Options) {
			o.NamespaceOf = func(container string, kind specs.LinuxNamespaceType) (string, error) {
				return "/proc/7/ns/" + container + string(kind), nil
			}
			o.Network = "container:c"
		},

		"--memory-swappiness":  func(o *Options) { o.MemorySwappiness = &swappiness },
		"--oom-kill-disable":   func(o *Options) { o.OOMKillDisable = true },
		"--cpu-period":         func(o *Options) { o.CPUPeriod = 50_000 },
		"--cpu-quota":          func(o *Options) { o.CPUQuota = 20_000 },
		"--cpu-rt-period":      func(o *Options) { o.CPURTPeriod = 1000 },
		"--cpu-rt-runtime":     func(o *Options) { o.CPURTRuntime = 900 },
		"--cgroup-conf":        func(o *Options) { o.CgroupConf = []string{"memory.high=1", "memory.high=2", "io.max=8:0 rbps=1"} },
		"--cgroup-parent":      func(o *Options) { o.CgroupParent, o.ContainerID = "/a/b", "id" },
		"--blkio-weight":       func(o *Options) { o.BlkioWeight = 100 },
		"--device-cgroup-rule": func(o *Options) { o.DeviceCgroupRules = []string{"c 189:* rwm", "a *:* m", "c 189:* rwm"} },
	}
	if d := blockDevices(); len(d) > 0 {
		all["--blkio-weight-device"] = func(o *Options) { o.BlkioWeightDevices = []string{d[0] + ":100", d[0] + ":200"} }
		all["--device-read-bps"] = func(o *Options) { o.DeviceReadBps = []string{d[0] + ":1m", d[0] + ":2m"} }
		all["--device-write-bps"] = func(o *Options) { o.DeviceWriteBps = []string{d[0] + ":1m"} }
		all["--device-read-iops"] = func(o *Options) { o.DeviceReadIOps = []string{d[0] + ":100"} }
		all["--device-write-iops"] = func(o *Options) { o.DeviceWriteIOps = []string{d[0] + ":100"} }
	}
	return all
}

// blockDevices are those that the machine has; none where there are no such files.
func blockDevices() (paths []string) {
	entries, _ := os.ReadDir("/dev")
	for _, e := range entries {
		if e.Type()&(os.ModeDevice|os.ModeCharDevice) == os.ModeDevice {
			paths = append(paths, "/dev/"+e.Name())
		}
	}
	return paths
}

// unordered gives the config as text, with lists whose order means nothing sorted.
func unordered(t *testing.T, s *specs.Spec) string {
	t.Helper()
	slices.SortFunc(s.Mounts, func(a, b specs.Mount) int { return strings.Compare(a.Destination, b.Destination) })
	for i := range s.Mounts {
		slices.Sort(s.Mounts[i].Options)
	}
	if s.Linux == nil {
		s.Linux = &specs.Linux{}
		defer func() { s.Linux = nil }()
	}
	slices.SortFunc(s.Linux.Namespaces, func(a, b specs.LinuxNamespace) int { return strings.Compare(string(a.Type), string(b.Type)) })
	slices.Sort(s.Linux.MaskedPaths)
	if s.Process != nil {
		slices.Sort(s.Process.Env)
	}
	raw, err := bundle.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestEdit_as_Spec: a config that an option is added to by Edit is the one that Spec makes with the option.
func TestEdit_as_Spec(t *testing.T) {
	img := testImage()
	img.Config.Entrypoint = nil // with it, arguments replace only a part of process.args
	// What Spec does besides: it fits the defaults to the options.
	besides := map[string]func(s *specs.Spec){
		"--network=host": func(s *specs.Spec) { // parameters of a namespace that is not there any more
			for k := range s.Linux.Sysctl {
				delete(s.Linux.Sysctl, k)
			}
		},
		"--uid-map":           func(s *specs.Spec) { delete(s.Linux.Sysctl, "net.ipv4.ping_group_range") },
		"--network":           func(s *specs.Spec) { s.Linux.Sysctl = nil },
		"--network=container": func(s *specs.Spec) { s.Linux.Sysctl = nil },
		"--uts":               func(s *specs.Spec) {},
	}
	for name, set := range options() {
		with := plain()
		set(&with)
		want := mustSpec(t, img, with)
		for _, twice := range []bool{false, true} {
			got := mustSpec(t, img, plain())
			for range map[bool]int{false: 1, true: 2}[twice] {
				if err := Edit(got, testRoot(), with); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			if fit := besides[name]; fit != nil {
				fit(got)
			}
			if got, want := unordered(t, got), unordered(t, mustClone(t, want)); got != want {
				t.Errorf("%s, twice %v:\n%s", name, twice, firstDifference(got, want))
			}
		}
	}
}

func mustClone(t *testing.T, s *specs.Spec) *specs.Spec {
	t.Helper()
	raw, err := bundle.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	again := new(specs.Spec)
	if err := bundle.Decode(raw, again); err != nil {
		t.Fatal(err)
	}
	return again
}

func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d: got  %s\n          want %s", i+1, strings.Join(a[i:min(i+3, len(a))], " "), strings.Join(b[i:min(i+3, len(b))], " "))
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(a), len(b))
}

// TestEdit_nothing: without options a config of anybody stays as it is, whatever it lacks.
func TestEdit_nothing(t *testing.T) {
	for _, raw := range []string{
		`{"ociVersion":"1.0.0","root":{"path":"r"}}`,
		`{"ociVersion":"1.3.0","root":{"path":"r"},"process":{"args":["a"],"cwd":"/","user":{"uid":1,"gid":2,"umask":18,"additionalGids":[5]},"capabilities":{"ambient":["CAP_KILL"]}},"linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW"}}}`,
	} {
		s := new(specs.Spec)
		if err := bundle.Decode([]byte(raw), s); err != nil {
			t.Fatal(err)
		}
		before := mustClone(t, s)
		o := plain()
		o.SecurityOpts = nil
		if err := Edit(s, nil, o); err != nil {
			t.Fatal(err)
		}
		if (s.Linux == nil) != (before.Linux == nil) {
			t.Errorf("linux is %+v", s.Linux)
		}
		if got, want := unordered(t, s), unordered(t, before); got != want {
			t.Error(firstDifference(got, want))
		}
	}
}

// TestEdit_keeps_what_is_there: options add to what somebody else wrote.
func TestEdit_keeps_what_is_there(t *testing.T) {
	umask, swap := uint32(18), int64(9)
	s := &specs.Spec{
		Version: "1.0.0", Root: &specs.Root{Path: "r", Readonly: true}, Annotations: map[string]string{"a": "b"},
		Process: &specs.Process{Args: []string{"p"}, Cwd: "/", User: specs.User{UID: 1, GID: 2, Umask: &umask, AdditionalGids: []uint32{5}}, Capabilities: &specs.LinuxCapabilities{Bounding: []string{"CAP_SYS_ADMIN", "CAP_KILL"}, Ambient: []string{"CAP_KILL"}}},
		Linux:   &specs.Linux{Resources: &specs.LinuxResources{Memory: &specs.LinuxMemory{Swap: &swap}}, Namespaces: []specs.LinuxNamespace{{Type: specs.MountNamespace}, {Type: specs.NetworkNamespace, Path: "/n"}}},
	}
	o := plain()
	o.SecurityOpts, o.Host.SwapLimit = nil, false
	o.User, o.Memory, o.CapDrop, o.Labels, o.PID = "3:4", "512m", []string{"KILL"}, []string{"c=d"}, "private"
	if err := Edit(s, nil, o); err != nil {
		t.Fatal(err)
	}
	p := s.Process
	switch {
	case p.User.UID != 3 || *p.User.Umask != umask, !slices.Equal(p.Capabilities.Bounding, []string{"CAP_SYS_ADMIN"}), len(p.Capabilities.Ambient) != 0,
		*s.Linux.Resources.Memory.Swap != swap, s.Annotations["a"] != "b", s.Annotations["c"] != "d", len(s.Linux.Namespaces) != 3, s.Linux.Namespaces[1].Path != "/n", s.Version != "1.0.0":
		t.Errorf("%s", unordered(t, s))
	}
	// A user namespace that is there keeps its ids when it is asked for again, and loses them with it.
	ids := []specs.LinuxIDMapping{{HostID: 1000, Size: 10}}
	s.Linux.UIDMappings, s.Linux.GIDMappings = ids, ids
	o = plain()
	for userns, want := range map[string]int{"private": 1, "host": 0} {
		again := mustClone(t, s)
		if o.Userns = userns; Edit(again, nil, o) != nil || len(again.Linux.UIDMappings) != want {
			t.Errorf("%s: %+v", userns, again.Linux)
		}
	}
	o = plain()
	o.User = "nobody"
	if err := Edit(s, nil, o); !errors.Is(err, ErrUnknownUser) {
		t.Error(err)
	}
	o = plain()
	o.Entrypoint, o.Args = []string{}, nil
	if err := Edit(s, nil, o); !errors.Is(err, ErrUsage) {
		t.Error(err)
	}
}

// TestEdit_what_was_wrong: a config that breaks a MUST already can be edited; what an option breaks is refused.
func TestEdit_what_was_wrong(t *testing.T) {
	s := &specs.Spec{Version: "1.0.0", Root: &specs.Root{Path: "r"}, Process: &specs.Process{Args: []string{"p"}, Cwd: "relative"}, Mounts: []specs.Mount{{Destination: "/a", Options: []string{"x\x00"}}}}
	o := plain()
	o.SecurityOpts, o.Tmpfs = nil, []string{"/b"}
	if err := Edit(s, nil, o); err != nil || len(s.Mounts) != 2 {
		t.Errorf("%v, %+v", err, s.Mounts)
	}
	o = plain()
	o.SecurityOpts, o.Network = nil, "ns:/n\x00"
	if err := Edit(s, nil, o); err == nil {
		t.Error("a path with NUL was taken")
	}
}
