package convert

import (
	"errors"
	"slices"
	"strings"
	"testing"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/conformance/spec"
)

// TestIS_V1_args: Cmd is appended to Entrypoint; what the user gives replaces as with Docker.
func TestIS_V1_args(t *testing.T) {
	for _, tt := range []struct {
		entrypoint, cmd     []string // of the image
		newEntrypoint, args []string // of the user
		want                string
	}{
		{[]string{"e", "1"}, []string{"c", "2"}, nil, nil, "e 1 c 2"},
		{nil, []string{"c"}, nil, nil, "c"},
		{[]string{"e"}, nil, nil, nil, "e"},
		{[]string{"e"}, []string{"c"}, nil, []string{"a"}, "e a"},
		{[]string{"e"}, []string{"c"}, []string{"n"}, nil, "n"},
		{[]string{"e"}, []string{"c"}, []string{"n"}, []string{"a"}, "n a"},
		{[]string{"e"}, []string{"c"}, []string{}, []string{"a"}, "a"},
	} {
		o := plain()
		o.Entrypoint, o.Args = tt.newEntrypoint, tt.args
		img := ispec.Image{Config: ispec.ImageConfig{Entrypoint: tt.entrypoint, Cmd: tt.cmd}}
		if got := strings.Join(mustSpec(t, img, o).Process.Args, " "); got != tt.want {
			t.Errorf("%+v: got %q", tt, got)
		}
	}
	o := plain()
	o.Entrypoint = []string{}
	for _, img := range []ispec.Image{{}, {Config: ispec.ImageConfig{Entrypoint: []string{"e"}, Cmd: []string{"c"}}}} {
		if _, err := Spec(img, nil, o); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "cleared") {
			t.Errorf("cleared, no command: %v", err)
		}
	}
	if _, err := Spec(ispec.Image{}, nil, plain()); !errors.Is(err, ErrNoCommand) {
		t.Errorf("no command: %v", err)
	}
}

// TestIS_V1_H15_cwd: verbatim if runtime-spec allows it, else resolved against "/".
func TestIS_V1_H15_cwd(t *testing.T) {
	for dir, want := range map[string]string{
		"": "/", "/": "/", "/a/b": "/a/b", "/a/": "/a/", "/a//b": "/a//b", "a/b": "/a/b", ".": "/", "./x": "/x",
		"..": "/", "/../../etc": "/etc", "../../a": "/a", "/a/../../b": "/b", "/..a": "/..a", "/proc/self/fd/7": "/proc/self/fd/7",
	} {
		img := ispec.Image{Config: ispec.ImageConfig{Cmd: []string{"x"}, WorkingDir: dir}}
		if got := mustSpec(t, img, plain()).Process.Cwd; got != want {
			t.Errorf("%q: got %q, want %q", dir, got, want)
		}
	}
}

// TestIS_V1_env: the image's variables keep their values, order and doubles; defaults only fill gaps.
func TestIS_V1_env(t *testing.T) {
	img := imageOf("app")
	img.Config.Env = []string{"Z=1", "HOME=/mine", "TERM=dumb", "Z=2", "NOVALUE", "PATH=", "=odd"}
	o := plain()
	o.Terminal, o.Hostname = true, "box"
	want := append(slices.Clone(img.Config.Env), "HOSTNAME=box")
	if got := mustSpec(t, img, o).Process.Env; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !slices.Equal(img.Config.Env[:2], []string{"Z=1", "HOME=/mine"}) {
		t.Error("the image was changed")
	}
	o.Env = []string{"Z=3"}
	if got := mustSpec(t, img, o).Process.Env; got[0] != "Z=3" || slices.Contains(got, "Z=2") {
		t.Errorf("override: %q", got)
	}
}

// TestHostileImage: what no process can be given is refused, with the field and a kind.
func TestHostileImage(t *testing.T) {
	for _, tt := range []struct {
		subject string
		change  func(*ispec.Image)
		want    error
	}{
		{"config.Env", func(i *ispec.Image) { i.Config.Env = []string{"A=b\x00c"} }, ErrInvalid},
		{"config.Entrypoint", func(i *ispec.Image) { i.Config.Cmd = []string{"a\x00"} }, ErrInvalid},
		{"config.WorkingDir", func(i *ispec.Image) { i.Config.WorkingDir = "/a\x00" }, ErrInvalid},
		{"config.Volumes", func(i *ispec.Image) { i.Config.Volumes = map[string]struct{}{"/a/../../b": {}} }, ErrInvalid},
		{"config.Volumes", func(i *ispec.Image) { i.Config.Volumes = map[string]struct{}{"/": {}} }, ErrInvalid},
		{"config.Volumes", func(i *ispec.Image) { i.Config.Volumes = map[string]struct{}{"": {}} }, ErrInvalid},
		{"config.Volumes", func(i *ispec.Image) { i.Config.Volumes = map[string]struct{}{"/a\x00": {}} }, ErrInvalid},
		{"os", func(i *ispec.Image) { i.OS = "windows" }, ErrPlatform},
		{"config.Labels", func(i *ispec.Image) { i.Config.Labels = map[string]string{"run.oci.hooks.stdout": "/x"} }, ErrUnsafeLabel},
	} {
		img := testImage()
		tt.change(&img)
		_, err := Spec(img, testRoot(), plain())
		var e *Error
		if !errors.Is(err, tt.want) || !errors.As(err, &e) || e.Subject != tt.subject {
			t.Errorf("%s: got %v", tt.subject, err)
		}
	}
}

// TestIS_V2_IS_V5_annotations: labels win over what is derived; values are not touched.
func TestIS_V2_IS_V5_annotations(t *testing.T) {
	img := testImage()
	img.Config.Labels["org.opencontainers.image.exposedPorts"] = "label"
	img.Config.Labels[""] = "no key"
	got := mustSpec(t, img, plain()).Annotations
	for key, want := range map[string]string{
		"org.opencontainers.image.author":       "label wins",
		"org.opencontainers.image.exposedPorts": "label",
		"org.opencontainers.image.os":           "linux",
		"org.opencontainers.image.os.features":  "a,b",
		"org.opencontainers.image.stopSignal":   "SIGINT",
		"org.opencontainers.image.created":      "2026-11-25T22:38:58.280737369Z",
		"note":                                  "ü \"quoted\"",
	} {
		if got[key] != want {
			t.Errorf("%s: got %q, want %q", key, got[key], want)
		}
	}
	if _, ok := got[""]; ok {
		t.Error("runtime-spec allows no empty key")
	}
}

// TestH84_unsafe_labels: refused unless the user decides; the user's own are the user's business.
func TestH84_unsafe_labels(t *testing.T) {
	for _, key := range []string{
		"run.oci.hooks.stdout", "run.oci.handler", "org.systemd.property.ExecStartPre", "org.criu.config", "cdi.k8s.io/gpu",
		"io.katacontainers.config.hypervisor.path", "io.containerd.runc.v2.group", "io.kubernetes.cri.container-type", "bundle", "module.wasm.image/variant",
	} {
		img := imageOf("")
		img.Config.Labels = map[string]string{key: "v", "note": "n"}
		o := plain()
		_, err := Spec(img, nil, o)
		var e *Error
		if !errors.Is(err, ErrUnsafeLabel) || !errors.As(err, &e) || e.Clause != spec.ConversionImmutable {
			t.Errorf("%s: %v", key, err)
		}
		o.ImageLabels = AllowUnsafe
		if s := mustSpec(t, img, o); s.Annotations[key] != "v" {
			t.Errorf("%s: allowed, but not there", key)
		}
		o.ImageLabels = DropUnsafe
		if s := mustSpec(t, img, o); s.Annotations[key] != "" || s.Annotations["note"] != "n" {
			t.Errorf("%s: %v", key, s.Annotations)
		}
		o.ImageLabels, o.Annotations = RefuseUnsafe, []string{key + "=mine"}
		if s := mustSpec(t, img, o); s.Annotations[key] != "mine" {
			t.Errorf("%s: %v", key, s.Annotations)
		}
	}
	for _, key := range []string{"run.ocicle", "note", "org.opencontainers.image.title", "com.docker.compose.project"} {
		if UnsafeLabel(key) {
			t.Error(key)
		}
	}
}

// TestH39_capabilities: inheritable and ambient sets are empty; sets of other users than root too.
func TestH39_capabilities(t *testing.T) {
	for _, tt := range []struct {
		add, drop  []string
		privileged bool
		mask       uint64
		want       string
	}{
		{nil, []string{"ALL"}, false, 0, ""},
		{[]string{"chown"}, []string{"all"}, false, 0, "CAP_CHOWN"},
		{[]string{"NET_ADMIN"}, []string{"NET_ADMIN", "ALL"}, false, 0, ""},
		{[]string{"ALL"}, nil, false, 0b11, "CAP_CHOWN CAP_DAC_OVERRIDE"},
		{[]string{"ALL"}, []string{"CHOWN"}, false, 0b11, "CAP_DAC_OVERRIDE"},
	} {
		o := plain()
		o.CapAdd, o.CapDrop, o.Host.Capabilities = tt.add, tt.drop, tt.mask
		c := mustSpec(t, imageOf(""), o).Process.Capabilities
		if got := strings.Join(c.Bounding, " "); got != tt.want {
			t.Errorf("%+v: got %q", tt, got)
		}
		if !slices.Equal(c.Bounding, c.Effective) || !slices.Equal(c.Bounding, c.Permitted) || len(c.Inheritable)+len(c.Ambient) > 0 {
			t.Errorf("%+v: %+v", tt, c)
		}
	}
	c := mustSpec(t, imageOf("app"), plain()).Process.Capabilities
	if len(c.Bounding) != 14 || len(c.Effective)+len(c.Permitted)+len(c.Inheritable)+len(c.Ambient) != 0 {
		t.Errorf("user app: %+v", c)
	}
	o := plain()
	o.CapAdd, o.Host.LastCapability = []string{"BPF"}, 37
	if _, err := Spec(imageOf(""), nil, o); !errors.Is(err, ErrUsage) {
		t.Errorf("a capability that the kernel lacks: %v", err)
	}
}

// TestMinVersion: the default profile needs 1.1.0, all else 1.0.2.
func TestOciVersion(t *testing.T) {
	o := plain()
	if v := mustSpec(t, imageOf(""), o).Version; v != "1.0.2" {
		t.Error(v)
	}
	o.Domainname = "d"
	if v := mustSpec(t, imageOf(""), o).Version; v != "1.1.0" {
		t.Error(v)
	}
}

// TestVolumeDir: IS-V4.
func TestIS_V4_volumes(t *testing.T) {
	img := imageOf("")
	img.Config.Volumes = map[string]struct{}{"/data/": {}, "rel": {}, "/taken": {}}
	o := plain()
	if s := mustSpec(t, img, o); len(s.Mounts) != 7 {
		t.Errorf("without VolumeDir: %d mounts", len(s.Mounts))
	}
	o.VolumeDir = func(v Volume) (string, error) { return "/v" + v.Destination, nil }
	o.Volumes = []string{"/host:/taken"}
	got := map[string]string{}
	for _, m := range mustSpec(t, img, o).Mounts[7:] {
		got[m.Destination] = m.Source
	}
	if len(got) != 3 || got["/data/"] != "/v/data/" || got["/rel"] != "/v/rel" || got["/taken"] != "/host" {
		t.Errorf("got %v", got)
	}
	img.Config.Volumes = map[string]struct{}{"/proc": {}, "/proc/x": {}, "/sys/fs/cgroup": {}, "/dev//shm": {}, "/processes": {}}
	if ms := mustSpec(t, img, o).Mounts; len(ms) != 9 || ms[0].Type != "proc" || ms[7].Destination != "/processes" && ms[8].Destination != "/processes" {
		t.Errorf("volumes over the kernel's file systems: %v", ms)
	}
	broken := errors.New("disk is full")
	o.VolumeDir = func(Volume) (string, error) { return "", broken }
	if _, err := Spec(img, nil, o); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// TestSpecIsFresh: two conversions share nothing that a caller could change.
func TestSpecIsFresh(t *testing.T) {
	a, b := mustSpec(t, testImage(), plain()), mustSpec(t, testImage(), plain())
	a.Process.Args[0], a.Mounts[0].Options[0], a.Linux.MaskedPaths[0] = "changed", "changed", "changed"
	a.Process.Capabilities.Bounding[0] = "changed"
	golden(t, "full", b)
}

func TestDefaultSpecIsValid(t *testing.T) {
	if ps := bundle.Validate(bundle.DefaultSpec()); len(ps) > 0 {
		t.Error(ps)
	}
}
