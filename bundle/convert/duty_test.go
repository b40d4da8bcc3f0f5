package convert

import (
	"errors"
	"slices"
	"strings"
	"testing"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
)

// TestIS_C4_user_and_cmd: a group that is given leaves the supplementary ones out, whether the user is a
// name or a number; and without an Entrypoint the first of Cmd is what is executed.
func TestIS_C4_user_and_cmd(t *testing.T) {
	for user, supplementary := range map[string]bool{"app": true, "app:video": false, "app:44": false, "1000:44": false, "1000:video": false} {
		got := mustSpec(t, imageOf(user), plain()).Process.User
		if (len(got.AdditionalGids) > 0) != supplementary {
			t.Errorf("%q: groups %v", user, got.AdditionalGids)
		}
		if got.UID != 1000 {
			t.Errorf("%q: uid %d", user, got.UID)
		}
	}
	for _, user := range []string{"nobody-here", "app:nobody-here", "app:-1", "-1", "4294967295", "app:4294967295", "a:b:c"} {
		if s, err := Spec(imageOf(user), testRoot(), plain()); err == nil {
			t.Errorf("%q: %+v", user, s.Process.User)
		}
	}
	img := ispec.Image{Config: ispec.ImageConfig{Cmd: []string{"/bin/program", "-x", "a b"}}}
	if got := mustSpec(t, img, plain()).Process.Args; !slices.Equal(got, img.Config.Cmd) {
		t.Errorf("args %q", got)
	}
}

// TestH88_malformed_env_and_args: what a process can have is kept as it is, what it cannot is refused;
// a PATH that is absent is given, one that is empty is not; what a build would do is not done.
func TestH88_malformed_env_and_args(t *testing.T) {
	path := func(env []string) []string {
		return slices.DeleteFunc(slices.Clone(env), func(e string) bool { return !strings.HasPrefix(e, "PATH=") })
	}
	for name, tt := range map[string]struct {
		env  []string
		path []string
	}{
		"absent":    {nil, []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}},
		"empty":     {[]string{"PATH="}, []string{"PATH="}},
		"its own":   {[]string{"PATH=/app"}, []string{"PATH=/app"}},
		"no value":  {[]string{"PATH"}, nil},
		"malformed": {[]string{"NOVALUE", "=x", "", "A=b=c", "PATH=/x"}, []string{"PATH=/x"}},
	} {
		img := imageOf("")
		img.Config.Env = tt.env
		got := mustSpec(t, img, plain()).Process.Env
		if p := path(got); !slices.Equal(p, tt.path) {
			t.Errorf("%s: %q, want %q", name, p, tt.path)
		}
		if !slices.Equal(got[:len(tt.env)], tt.env) {
			t.Errorf("%s: the image's own are %q, want %q", name, got, tt.env)
		}
	}
	for name, change := range map[string]func(*ispec.ImageConfig){
		"NUL in Env":        func(c *ispec.ImageConfig) { c.Env = []string{"A=\x00"} },
		"NUL in Cmd":        func(c *ispec.ImageConfig) { c.Cmd = []string{"a", "\x00"} },
		"NUL in Entrypoint": func(c *ispec.ImageConfig) { c.Entrypoint = []string{"\x00a"} },
		"NUL in WorkingDir": func(c *ispec.ImageConfig) { c.WorkingDir = "/\x00" },
		"NUL in User":       func(c *ispec.ImageConfig) { c.User = "a\x00" },
	} {
		img := imageOf("")
		change(&img.Config)
		if _, err := Spec(img, testRoot(), plain()); err == nil {
			t.Errorf("%s was accepted", name)
		} else if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUnknownUser) {
			t.Errorf("%s: %v", name, err)
		}
	}
	img, err := image.DecodeConfig([]byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},` +
		`"config":{"Cmd":["x"],"OnBuild":["RUN touch /evil"],"Shell":["/evil"],"Healthcheck":{"Test":["CMD","/evil"]},"NetworkDisabled":true}}`))
	if err != nil {
		t.Fatal(err)
	}
	s := mustSpec(t, img, plain())
	raw := mustSpec(t, ispec.Image{Platform: img.Platform, RootFS: img.RootFS, Config: ispec.ImageConfig{Cmd: []string{"x"}}}, plain())
	if !slices.Equal(s.Process.Args, raw.Process.Args) || !slices.Equal(s.Process.Env, raw.Process.Env) || s.Hooks != nil {
		t.Errorf("what is for a build was acted on: %+v, %+v", s.Process, s.Hooks)
	}
}

// TestH16_volumes_take_nothing_of_the_host: a volume of an image is a directory of its root file system,
// whatever links its path goes through (CVE-2022-23648): nothing of the host is mounted or copied for it.
func TestH16_volumes_take_nothing_of_the_host(t *testing.T) {
	img := imageOf("")
	img.Config.Volumes = map[string]struct{}{"/etc": {}, "/link/etc/shadow": {}, "/proc/self/root/etc": {}, "/a/b": {}, "relative": {}}
	s := mustSpec(t, img, plain())
	for _, m := range s.Mounts {
		if strings.HasPrefix(m.Source, "/") || m.Type == "bind" || slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind") {
			t.Errorf("%+v", m)
		}
	}
}
