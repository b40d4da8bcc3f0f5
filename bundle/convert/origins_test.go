package convert

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/origin"
)

// entries converts and gives the origins by pointer.
func entries(t *testing.T, img ispec.Image, o Options) []origin.Entry {
	t.Helper()
	s, marks, err := SpecWithOrigins(img, testRoot(), o)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := bundle.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	list, err := origin.Trace(raw, marks)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// everything sets each flag that has a value of its own in the config.
func everything(o *Options) {
	score := -500
	o.Args, o.Workdir, o.User, o.GroupAdd = []string{"a", "b"}, "/other", "1:44", []string{"audio"}
	o.Entrypoint, o.EnvFile, o.Env = []string{"/e"}, []string{"FROMFILE=1"}, []string{"B=3", "NEW=n"}
	o.Terminal, o.StopSignal, o.OOMScoreAdj, o.Ulimits = true, "SIGQUIT", &score, []string{"nofile=10"}
	o.Root, o.ReadOnly, o.Tmpfs, o.ShmSize = "/elsewhere", true, []string{"/run"}, "1m"
	o.Mounts, o.Volumes, o.Devices = []string{"type=bind,src=/x,dst=/mnt"}, []string{"/host:/vol"}, []string{"/dev/kmsg:/dev/other"}
	o.Hostname, o.Domainname, o.Network, o.PID = "box", "example.org", "ns:/run/netns/a", "ns:/proc/7/ns/pid"
	o.IPC, o.Cgroupns = "ns:/proc/7/ns/ipc", "ns:/proc/7/ns/cgroup"
	o.CapAdd, o.CapDrop = []string{"net_admin"}, []string{"mknod"}
	o.SecurityOpts = append(o.SecurityOpts, "no-new-privileges", "apparmor=p", "mask=/proc/a")
	o.Sysctls = []string{"kernel.shmmax=5"}
	o.CgroupsPath, o.Memory, o.MemorySwap, o.MemoryReservation = "/x", "512m", "1g", "256m"
	o.CPUs, o.CPUShares, o.CpusetCpus, o.CpusetMems, o.PidsLimit = "1.5", 512, "0-1", "0", 100
	o.Annotations, o.Labels = []string{"a=b"}, []string{"note=mine"}
}

// TestOrigins_are_true: what is said to be a default stays as it is when image, flags and host are other ones; what is said
// to come from the image, a flag or the host is not there, or not the same, without it.
func TestOrigins_are_true(t *testing.T) {
	busy := plain()
	everything(&busy)
	busy.VolumeDir = func(v Volume) (string, error) { return "/volumes" + v.Destination, nil }
	busy.Host.ThermalThrottle = []string{"/sys/devices/system/cpu/cpu0/thermal_throttle"}
	busy.SpecMounts = []specs.Mount{{Destination: "/etc/hosts", Type: "bind", Source: "/gen/hosts", Options: []string{"rbind"}}}
	all := entries(t, testImage(), busy)

	bare := plain()
	bare.SecurityOpts = nil
	bareImage := ispec.Image{Config: ispec.ImageConfig{Cmd: []string{"sh"}}}
	barest, err := Spec(bareImage, nil, bare)
	if err != nil {
		t.Fatal(err)
	}
	least := index(t, barest, all)
	kinds := map[origin.Kind]int{}
	for _, e := range all {
		kinds[e.From]++
		same := slices.Contains(least[family(e.Pointer)], e.Digest)
		switch {
		case e.From == origin.Default && !same:
			t.Errorf("%s is called a default, and is another one without image and flags", e.Pointer)
		case e.From != origin.Default && same:
			t.Errorf("%s is said to come from %s %s, and is the same without", e.Pointer, e.From, e.Name)
		}
	}
	for _, k := range []origin.Kind{origin.Default, origin.Flag, origin.Image, origin.Host} {
		if kinds[k] == 0 {
			t.Errorf("nothing comes from %s", k)
		}
	}
}

// index gives the digests of the parts of s that lie where entries are: by pointer, and for elements of lists by the list.
func index(t *testing.T, s *specs.Spec, shape []origin.Entry) map[string][]string {
	t.Helper()
	raw, err := bundle.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	marks := make([]origin.Mark, 0, len(shape))
	for _, e := range shape {
		marks = append(marks, origin.Mark{Pointer: e.Pointer, Kind: origin.Default})
	}
	list, err := origin.Trace(raw, marks)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string][]string{}
	for _, e := range list {
		m[family(e.Pointer)] = append(m[family(e.Pointer)], e.Digest)
	}
	return m
}

// family is the pointer without its last token where that is an index.
func family(pointer string) string {
	i := strings.LastIndexByte(pointer, '/')
	if i > 0 && strings.Trim(pointer[i+1:], "0123456789") == "" {
		return pointer[:i]
	}
	return pointer
}

// TestOrigins_name_each: each flag is the origin of all that it changes.
func TestOrigins_name_each(t *testing.T) {
	// A namespace that is not there any more, and what lay in it, has no origin to tell; nor a capability that was taken away.
	leaves := map[string]bool{"--network": true, "--pid": true, "--uts": true, "--cgroupns": true}
	besides := map[string][]string{"--tty": {"--env"}, "--hostname": {"--env"}, "--cpus": {"--cpu-shares"}} // set by the same option of the table
	for name, set := range options() {
		flag := strings.Fields(strings.Split(name, "=")[0])[0]
		if flag == "--root" {
			flag = "DIR"
		}
		with := plain()
		set(&with)
		without := index(t, mustSpec(t, testImage(), plain()), entries(t, testImage(), with))
		named := 0
		for _, e := range entries(t, testImage(), with) {
			changed := !slices.Contains(without[family(e.Pointer)], e.Digest)
			// a set is marked as a whole, and a value may be what it was before
			if e.From == origin.Flag && strings.Contains(e.Name, flag) {
				named++
			} else if changed && !slices.Contains(besides[flag], e.Name) && e.Pointer != "/ociVersion" {
				t.Errorf("%s changes %s, which is said to come from %s %s", name, e.Pointer, e.From, e.Name)
			}
		}
		if named == 0 && !leaves[flag] {
			t.Errorf("%s: nothing is said to come from it", name)
		}
	}
}

// TestOrigins_keep_no_secrets: the values of flags are not in what is kept.
func TestOrigins_keep_no_secrets(t *testing.T) {
	o := plain()
	o.Env, o.Args = []string{"TOKEN=hunter2"}, []string{"--password=hunter2"}
	raw, err := json.Marshal(entries(t, testImage(), o))
	if err != nil || strings.Contains(string(raw), "hunter2") {
		t.Errorf("%v: %s", err, raw)
	}
}

// TestOrigins_of_image: the fields of an image config, by what they became.
func TestOrigins_of_image(t *testing.T) {
	got := map[string]string{}
	for _, e := range entries(t, testImage(), plain()) {
		if e.From == origin.Image {
			got[e.Pointer] = e.Name
		}
	}
	want := map[string]string{
		"/process/args/0": "config.Entrypoint[0]", "/process/args/1": "config.Entrypoint[1]", "/process/args/2": "config.Cmd[0]", "/process/args/3": "config.Cmd[1]",
		"/process/cwd": "config.WorkingDir", "/process/user": "config.User",
		"/process/env/0": "config.Env[0]", "/process/env/1": "config.Env[1]", "/process/env/2": "config.Env[2]", "/process/env/3": "config.Env[3]", "/process/env/4": "config.Env[4]", "/process/env/5": "/etc/passwd",
		"/annotations/note": `config.Labels["note"]`, "/annotations/org.opencontainers.image.author": `config.Labels["org.opencontainers.image.author"]`,
		"/annotations/org.opencontainers.image.os": "os", "/annotations/org.opencontainers.image.architecture": "architecture", "/annotations/org.opencontainers.image.variant": "variant",
		"/annotations/org.opencontainers.image.os.version": "os.version", "/annotations/org.opencontainers.image.os.features": "os.features", "/annotations/org.opencontainers.image.created": "created",
		"/annotations/org.opencontainers.image.stopSignal": "config.StopSignal", "/annotations/org.opencontainers.image.exposedPorts": "config.ExposedPorts",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func BenchmarkSpec(b *testing.B) {
	o := Options{Host: testHost()}
	for b.Loop() {
		if _, err := Spec(testImage(), testRoot(), o); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSpecWithOrigins is what a bundle costs beyond its files: at most 2 ms with the writing of config.json.
func BenchmarkSpecWithOrigins(b *testing.B) {
	o, dir := Options{Host: testHost()}, b.TempDir()
	for b.Loop() {
		s, marks, err := SpecWithOrigins(testImage(), testRoot(), o)
		if err != nil {
			b.Fatal(err)
		}
		raw, err := bundle.Marshal(s)
		if err != nil {
			b.Fatal(err)
		}
		list, err := origin.Trace(raw, marks)
		if err != nil {
			b.Fatal(err)
		}
		if err := bundle.WriteText(dir, raw); err != nil {
			b.Fatal(err)
		}
		if err := origin.Write(dir, origin.Record{Entries: list}); err != nil {
			b.Fatal(err)
		}
	}
}
