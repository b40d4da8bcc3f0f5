package convert

import (
	"testing"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestGolden fixes the whole config for one image under one set of options each.
func TestGolden(t *testing.T) {
	volumes := func(v Volume) (string, error) { return "/volumes/" + v.Name + v.Destination, nil }
	single := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 1}}
	score := -500
	minimal := ispec.Image{Platform: ispec.Platform{OS: "linux", Architecture: "amd64"}, Config: ispec.ImageConfig{Cmd: []string{"sh"}}}
	for _, tt := range []struct {
		name string
		img  ispec.Image
		o    func(*Options)
	}{
		{"minimal", minimal, func(*Options) {}},
		{"full", testImage(), func(*Options) {}},
		{"volumes", testImage(), func(o *Options) { o.VolumeDir = volumes }},
		{"interactive", minimal, func(o *Options) { o.Terminal, o.Hostname, o.Domainname = true, "box", "example.org" }},
		{"host-namespaces", minimal, func(o *Options) { o.Network, o.PID, o.IPC, o.UTS, o.Cgroupns = "host", "host", "host", "host", "host" }},
		{"joined-namespaces", minimal, func(o *Options) {
			o.Network, o.PID, o.IPC = "ns:/run/netns/a", "ns:/proc/7/ns/pid", "ns:/proc/7/ns/ipc"
		}},
		{"rootless", minimal, func(o *Options) { o.Rootless, o.UIDMappings, o.GIDMappings = true, single, single }},
		{"rootless-inside", minimal, func(o *Options) { o.Rootless, o.Network, o.PID, o.IPC = true, "host", "host", "host" }},
		{"privileged-rootless", minimal, func(o *Options) { o.Rootless, o.Privileged = true, true }},
		{"limits", minimal, func(o *Options) {
			o.Memory, o.MemoryReservation, o.CPUs, o.CPUShares, o.CpusetCpus, o.CpusetMems = "512m", "256m", "1.5", 512, "0-1", "0"
			o.PidsLimit, o.OOMScoreAdj, o.Ulimits = 100, &score, []string{"nofile=1024:4096", "core=-1"}
			o.CgroupsPath = "/oci/test"
		}},
		{"overrides", testImage(), func(o *Options) {
			o.Args, o.Workdir, o.User, o.GroupAdd = []string{"a", "b"}, "/other", "0:44", []string{"audio", "7"}
			o.EnvFile, o.Env = []string{"# c", "", "  FROMFILE=1", "A=file"}, []string{"B=3", "NEW=n", "FROMHOST", "EMPTY"}
			o.LookupEnv = func(n string) (string, bool) { return "host", n == "FROMHOST" }
			o.Labels, o.Annotations = []string{"note=mine", "bare"}, []string{"run.oci.handler=krun"}
			o.StopSignal, o.Root, o.ReadOnly = "SIGQUIT", "/elsewhere/rootfs", true
		}},
		{"mounts", testImage(), func(o *Options) {
			o.VolumeDir, o.ShmSize = volumes, "1m"
			o.Mounts = []string{"type=bind,src=/host,dst=/a/b/c,ro,bind-propagation=rslave", "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1777", "source=named,target=/n", "type=bind,src=/x,dst=/cache,bind-recursive=readonly"}
			o.Volumes = []string{"/host:/a:ro", "data:/data", "/anon"}
			o.Tmpfs = []string{"/run:size=64k,exec", "/tmp"}
			o.SpecMounts = []specs.Mount{{Destination: "/etc/hosts", Type: "bind", Source: "/gen/hosts", Options: []string{"rbind", "ro"}}}
		}},
		{"dev-and-sys", minimal, func(o *Options) { o.Volumes = []string{"/dev:/dev", "/sys:/sys"} }},
		{"security", minimal, func(o *Options) {
			o.SecurityOpts = append(o.SecurityOpts, "no-new-privileges", "apparmor=profile", "mask=/proc/a:/proc/kcore", "unmask=/proc/s*")
			o.CapAdd, o.CapDrop = []string{"net_admin,CAP_SYS_PTRACE"}, []string{"mknod"}
			o.Sysctls = []string{"net.core.somaxconn=10", "kernel/shmmax=5"}
			h := *o.Host
			h.ThermalThrottle = []string{"/sys/devices/system/cpu/cpu0/thermal_throttle"}
			o.Host = &h
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := plain()
			tt.o(&o)
			golden(t, tt.name, mustSpec(t, tt.img, o))
		})
	}
}
