//go:build linux

package convert

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestUmociAgrees: on real images (OCI_TEST_IMAGES, a directory of layouts) and on images that
// umoci makes, the result is that of `umoci raw runtime-config`, but for what is explained below.
func TestUmociAgrees(t *testing.T) {
	if _, err := exec.LookPath("umoci"); err != nil {
		t.Skip("not installed: ", err)
	}
	rootfs := t.TempDir()
	must(t, os.Mkdir(rootfs+"/etc", 0o755))
	must(t, os.WriteFile(rootfs+"/etc/passwd", []byte(testPasswd), 0o644))
	must(t, os.WriteFile(rootfs+"/etc/group", []byte(testGroup), 0o644))
	layouts := []string{umociImages(t)}
	if dir := os.Getenv("OCI_TEST_IMAGES"); dir == "" {
		t.Log("OCI_TEST_IMAGES is not set: no real images are compared")
	} else {
		found, err := filepath.Glob(filepath.Join(dir, "*", "oci-layout"))
		must(t, err)
		for _, f := range found {
			layouts = append(layouts, filepath.Dir(f))
		}
	}
	compared := 0
	for _, layout := range layouts {
		for tag, img := range tagged(t, layout) {
			t.Run(filepath.Base(layout)+":"+tag, func(t *testing.T) { compareWithUmoci(t, layout, tag, img, rootfs) })
			compared++
		}
	}
	if compared < 10 {
		t.Errorf("only %d images compared", compared)
	}
}

func compareWithUmoci(t *testing.T, layout, tag string, img ispec.Image, rootfs string) {
	file := filepath.Join(t.TempDir(), "c.json")
	out, err := exec.CommandContext(t.Context(), "umoci", "raw", "runtime-config", "--image", layout+":"+tag, "--rootfs", rootfs, file).CombinedOutput()
	root, rerr := OpenRoot(rootfs)
	must(t, rerr)
	defer root.Close()
	ours, oerr := Spec(img, root, Options{Host: testHost(), SecurityOpts: []string{"seccomp=unconfined"}, Terminal: true})
	if err != nil || oerr != nil {
		// Both refuse an unknown user or group (IS-V3). An image without a command is refused by
		// us alone: process.args is REQUIRED to start (runtime-spec config.md#process).
		// So is an id beyond 32 bits, which umoci 0.4 lets wrap around to root (H-34, CVE-2024-40635).
		noCommand := len(img.Config.Entrypoint)+len(img.Config.Cmd) == 0
		if (err == nil) != (oerr == nil) && !noCommand && !errors.Is(oerr, ErrIDRange) {
			t.Errorf("umoci: %v\n%s\nwe: %v", err, out, oerr)
		}
		return
	}
	raw, err := os.ReadFile(file)
	must(t, err)
	var theirs specs.Spec
	must(t, json.Unmarshal(raw, &theirs))

	if d := cmp.Diff(theirs.Process.Args, ours.Process.Args); d != "" {
		t.Error("args: ", d)
	}
	if strings.Contains(theirs.Process.Cwd, "..") { // a runtime makes the directory before it enters the root, so we resolve it
		theirs.Process.Cwd = filepath.Join("/", theirs.Process.Cwd)
	}
	if d := cmp.Diff(theirs.Process.Cwd, ours.Process.Cwd); d != "" {
		t.Error("cwd: ", d)
	}
	if theirs.Process.User.UID != ours.Process.User.UID || theirs.Process.User.GID != ours.Process.User.GID {
		t.Errorf("user: %+v, we %+v", theirs.Process.User, ours.Process.User)
	}
	compareGroups(t, img, theirs.Process.User.AdditionalGids, ours.Process.User.AdditionalGids)
	// umoci drops earlier doubles of a variable; we keep Env verbatim (IS-V1), the last one counts
	// in both. The rest are defaults that a converter MAY add: the same ones, but for HOME. Where the
	// image sets it, umoci replaces it, and a converter SHOULD NOT (IS-V1); where no entry of
	// /etc/passwd gives one, we set "/" as runtimes do.
	wantEnv, gotEnv := variables(theirs.Process.Env), variables(ours.Process.Env)
	if home, ok := variables(img.Config.Env)["HOME"]; ok {
		wantEnv["HOME"] = home
	} else if _, ok := wantEnv["HOME"]; !ok {
		wantEnv["HOME"] = "/"
	}
	if d := cmp.Diff(wantEnv, gotEnv); d != "" {
		t.Error("env: ", d)
	}
	for key, value := range theirs.Annotations {
		// umoci writes implicit annotations of absent fields as empty strings; conversion.md asks
		// for the value of a field, and there is none (IS-V2). It also lets them win over labels of
		// the same name, against "MUST instead use the value from Config.Labels".
		if label, ok := img.Config.Labels[key]; ok {
			value = label
		}
		if got, ok := ours.Annotations[key]; got != value || !ok && value != "" {
			t.Errorf("annotation %s: %q, we %q", key, value, got)
		}
	}
	for key := range ours.Annotations {
		// umoci 0.4 knows conversion.md before variant, os.version and os.features came (IS-V2).
		_, ok := theirs.Annotations[key]
		if newer := strings.HasSuffix(key, "image.variant") || strings.Contains(key, "image.os."); !ok && !newer {
			t.Errorf("annotation %s: only we have it", key)
		}
	}
}

// compareGroups allows what we do by decision: the primary group is among the supplementary ones of
// a user given by name (CVE-2022-36109), and a numeric user gets none ("SHOULD NOT modify
// process.user.additionalGids if the value of user is numeric", IS-V3), where umoci looks them up.
func compareGroups(t *testing.T, img ispec.Image, theirs, ours []uint32) {
	t.Helper()
	user, _, hasGroup := strings.Cut(img.Config.User, ":")
	if _, numeric, _ := parseID(user); numeric || hasGroup {
		if len(ours) > 0 {
			t.Errorf("USER %q: supplementary groups %v", img.Config.User, ours)
		}
		return
	}
	for _, g := range theirs {
		if !slices.Contains(ours, g) {
			t.Errorf("group %d is missing", g)
		}
	}
	if len(ours) > len(theirs)+1 {
		t.Errorf("groups: %v, we %v", theirs, ours)
	}
}

func variables(env []string) map[string]string {
	m := make(map[string]string)
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		m[name] = value
	}
	return m
}

// umociImages makes a layout with an image for each form of each field.
func umociImages(t *testing.T) string {
	t.Helper()
	layout := filepath.Join(t.TempDir(), "made")
	umoci := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), "umoci", args...).CombinedOutput(); err != nil {
			t.Fatalf("umoci %q: %v\n%s", args, err, out)
		}
	}
	umoci("init", "--layout", layout)
	umoci("new", "--image", layout+":base")
	file := filepath.Join(t.TempDir(), "file") // image-tools wants a layer
	must(t, os.WriteFile(file, nil, 0o644))
	umoci("insert", "--image", layout+":base", file, "/file")
	umoci("config", "--image", layout+":base", "--config.cmd", "sh", "--config.env", "PATH=/bin", "--architecture", "amd64", "--os", "linux")
	for tag, change := range map[string][]string{
		"user-name": {"--config.user", "app"}, "user-id": {"--config.user", "1000"}, "user-group": {"--config.user", "app:video"},
		"user-ids": {"--config.user", "7:8"}, "user-unknown": {"--config.user", "nobody"}, "user-range": {"--config.user", "4294967296"},
		"group-unknown": {"--config.user", "app:nogroup"}, "workdir": {"--config.workingdir", "/a/b"},
		"entrypoint": {"--config.entrypoint", "e", "--config.entrypoint", "x y", "--config.cmd", "c"},
		"env":        {"--config.env", "A=1", "--config.env", "B=a=b", "--config.env", "HOME=/h", "--config.env", "TERM=vt100"},
		"labels":     {"--config.label", "note=x y", "--config.label", "org.opencontainers.image.author=label", "--author", "field"},
		"ports":      {"--config.exposedports", "80/tcp", "--config.exposedports", "53/udp", "--config.stopsignal", "SIGINT"},
		"created":    {"--created", "2020-02-03T04:05:06.700000000Z"},
		"command":    {"--clear", "config.cmd"},
		"volumes":    {"--config.volume", "/data", "--config.volume", "/var/lib/x"},
		"path-empty": {"--config.env", "PATH="},
		"no-env":     {"--clear", "config.env"},
		"user-empty": {"--config.user", ""},
		"user-mixed": {"--config.user", "1000:video"}, "user-group-id": {"--config.user", "app:7"}, "user-no-entry": {"--config.user", "4000"},
		"entrypoint-only": {"--config.entrypoint", "e", "--clear", "config.cmd"},
		"workdir-dots":    {"--config.workingdir", "/a/../b"},
		"author":          {"--author", "a <b@example.org>"},
	} {
		umoci(append([]string{"config", "--image", layout + ":base", "--tag", tag}, change...)...)
	}
	return layout
}

// tagged reads the configs of all tagged images of a layout, those in nested indexes too.
func tagged(t *testing.T, layout string) map[string]ispec.Image {
	t.Helper()
	out := make(map[string]ispec.Image)
	read := func(d ispec.Descriptor, v any) {
		t.Helper()
		raw, err := os.ReadFile(filepath.Join(layout, "blobs", d.Digest.Algorithm().String(), d.Digest.Encoded()))
		must(t, err)
		must(t, json.Unmarshal(raw, v))
	}
	var walk func(ispec.Index)
	walk = func(idx ispec.Index) {
		for _, d := range idx.Manifests {
			switch tag := d.Annotations[ispec.AnnotationRefName]; d.MediaType {
			case ispec.MediaTypeImageIndex:
				var nested ispec.Index
				read(d, &nested)
				walk(nested)
			case ispec.MediaTypeImageManifest:
				var m ispec.Manifest
				read(d, &m)
				if m.Config.MediaType == ispec.MediaTypeImageConfig && tag != "" {
					var img ispec.Image
					read(m.Config, &img)
					out[tag] = img
				}
			}
		}
	}
	raw, err := os.ReadFile(filepath.Join(layout, "index.json"))
	must(t, err)
	var idx ispec.Index
	must(t, json.Unmarshal(raw, &idx))
	walk(idx)
	return out
}
