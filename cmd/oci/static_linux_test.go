package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/registrytest"
)

// ran is what a run of the binary gave.
type ran struct {
	out, err string
	status   int
}

// run runs the binary with the store and the home in home.
func run(t *testing.T, home string, args ...string) ran {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary(t), args...)
	cmd.Dir = home
	cmd.Env = append(os.Environ(), "HOME="+home, "OCI_ROOT="+filepath.Join(home, "store"), "XDG_RUNTIME_DIR="+home, "XDG_CONFIG_HOME=", "REGISTRY_AUTH_FILE=")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return ran{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// mustRun is run for what must succeed; it gives the standard output.
func mustRun(t *testing.T, home string, args ...string) string {
	t.Helper()
	r := run(t, home, args...)
	if r.status != 0 {
		t.Fatalf("oci %s: status %d\n%s%s", strings.Join(args, " "), r.status, r.out, r.err)
	}
	return r.out
}

// tool runs a program that the test needs.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// needs skips the test if a program is absent.
func needs(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("needs %s", name)
		}
	}
}

// testImages gives the directory of real images, or skips the test.
func testImages(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("OCI_TEST_IMAGES")
	if _, err := os.Stat(filepath.Join(dir, "busybox", "oci-layout")); dir == "" || err != nil {
		t.Skip("needs OCI_TEST_IMAGES (make images)")
	}
	return dir
}

// nginx serves a directory over https, below /slow/ at 4 MB/s, and gives its address. /closed/ is forbidden.
func nginx(t *testing.T, root string, a *registrytest.Authority) string {
	t.Helper()
	cert, key := a.Issue(t, "files.example")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	conf := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr crit;
events {}
http {
	access_log off; default_type text/html; gzip on; gzip_types *; sendfile on;
	client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	server {
		listen %[2]s ssl; ssl_certificate %[3]s; ssl_certificate_key %[4]s;
		root %[5]s;
		location /slow/ { alias %[5]s/; limit_rate 4m; }
		location /closed/ { deny all; }
	}
}
`, dir, addr, cert, key, root)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nginx", "-c", conf)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for range 200 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return addr
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("nginx did not answer")
	return ""
}

// TestStatic_nginx reads layouts that skopeo and umoci wrote and nginx serves, with every verb that reads.
func TestStatic_nginx(t *testing.T) {
	needs(t, "nginx", "skopeo", "umoci")
	images, root, home := testImages(t), t.TempDir(), t.TempDir()
	tool(t, "skopeo", "copy", "-q", "--all", "oci:"+images+"/busybox:latest", "oci:"+root+"/busybox:1")
	tool(t, "umoci", "init", "--layout", root+"/umoci")
	tool(t, "umoci", "new", "--image", root+"/umoci:empty")
	tool(t, "umoci", "config", "--image", root+"/umoci:empty", "--tag", "named", "--config.user", "1:1")
	if err := os.Chmod(filepath.Dir(root), 0o755); err != nil {
		t.Fatal(err)
	}
	a := registrytest.NewAuthority(t)
	base := "oci+https://" + nginx(t, root, a)
	certs := filepath.Join(home, ".config/containers/certs.d", strings.TrimPrefix(base, "oci+https://"))
	if err := os.MkdirAll(certs, 0o755); err != nil {
		t.Fatal(err)
	}
	if r := run(t, home, "digest", base+"/busybox:1"); r.status != statusNetwork {
		t.Errorf("an unknown authority: status %d, want %d: %s", r.status, statusNetwork, r.err)
	}
	tool(t, "cp", a.File, filepath.Join(certs, "ca.crt"))
	want := strings.TrimSpace(tool(t, "skopeo", "inspect", "--format", "{{.Digest}}", "oci:"+root+"/busybox:1"))

	ref := base + "/busybox:1"
	for _, c := range []struct {
		args []string
		has  string
	}{
		{[]string{"digest", ref}, want},
		{[]string{"digest", base + "/busybox"}, want},
		{[]string{"digest", base + "/busybox@" + want}, want},
		{[]string{"tags", base + "/umoci"}, "empty\nnamed\n"},
		{[]string{"manifest", "get", ref}, `"manifests"`},
		{[]string{"manifest", "get", "--platform", "linux/arm64", ref}, `"layers"`},
		{[]string{"config", "get", base + "/umoci:named"}, `"User":"1:1"`},
		{[]string{"referrers", ref}, ""},
		{[]string{"pull", "-q", ref}, ref + " " + want},
		{[]string{"pull", "-q", "--all-platforms", "--policy", "newer", ref}, want},
		{[]string{"inspect", ref}, want},
		{[]string{"copy", "-q", "--all-platforms", ref, "oci:copied:1"}, want},
		{[]string{"copy", "-q", base + "/umoci:named", "oci-archive:named.tar:1"}, "sha256:"},
		{[]string{"import", "-q", base + "/umoci"}, "docker.io/library/umoci:named "},
		{[]string{"check"}, "clean"},
	} {
		if out := mustRun(t, home, c.args...); !strings.Contains(out, c.has) {
			t.Errorf("oci %s: %q, want %q in it", strings.Join(c.args, " "), out, c.has)
		}
	}
	var m ispec.Manifest
	if err := json.Unmarshal([]byte(mustRun(t, home, "manifest", "get", "--platform", "linux/amd64", ref)), &m); err != nil {
		t.Fatal(err)
	}
	if got := mustRun(t, home, "blob", "get", base+"/busybox@"+m.Config.Digest.String()); int64(len(got)) != m.Config.Size {
		t.Errorf("a blob of %d bytes, want %d", len(got), m.Config.Size)
	}
	for args, status := range map[string]int{
		"pull " + base + "/nosuch:1":                  statusNotFound,
		"pull " + base + "/busybox:nosuch":            statusNotFound,
		"pull " + base + "/closed/busybox:1":          statusDenied,
		"pull --platform plan9/mips " + ref:           statusPlatform,
		"copy " + ref + " " + base + "/new:1":         statusUsage,
		"push " + ref + " " + base + "/new:1":         statusUsage,
		"pull oci+http://files.example/busybox:1":     statusNetwork,
		"blob get " + base + "/busybox":               statusUsage,
		"pull " + strings.ToUpper(base) + "/busybox:": statusUsage,
	} {
		if r := run(t, home, strings.Fields(args)...); r.status != status {
			t.Errorf("oci %s: status %d, want %d: %s", args, r.status, status, r.err)
		}
	}
}

// TestStatic_DC10_resume kills a pull from a file server in the middle; the next one fetches the rest only.
func TestStatic_DC10_resume(t *testing.T) {
	needs(t, "nginx")
	root, home := testImages(t), t.TempDir()
	a := registrytest.NewAuthority(t)
	addr := nginx(t, root, a)
	cmd := exec.Command(binary(t), "pull", "-q", "--insecure", "oci+https://"+addr+"/slow/debian")
	cmd.Env = append(os.Environ(), "HOME="+home, "OCI_ROOT="+filepath.Join(home, "store"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	half := func() (n int64) {
		list, _ := filepath.Glob(filepath.Join(home, "store/ingest/sha256-*"))
		for _, name := range list {
			if info, err := os.Stat(name); err == nil && !strings.HasSuffix(name, ".json") {
				n += info.Size()
			}
		}
		return n
	}
	const enough = 8 << 20
	for range 1000 {
		if half() > enough {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	there := half()
	if there < enough {
		t.Fatalf("killed at %d bytes", there)
	}
	var done pulled
	out := mustRun(t, home, "pull", "-q", "--insecure", "--format", "json", "oci+https://"+addr+"/debian")
	if err := json.Unmarshal([]byte(out), &done); err != nil {
		t.Fatal(err)
	}
	var rows []imageRow
	if err := json.Unmarshal([]byte(mustRun(t, home, "images", "--format", "json")), &rows); err != nil || len(rows) != 1 {
		t.Fatalf("%v, %v", rows, err)
	}
	whole := rows[0].Size
	if done.Fetched > whole-there+1<<16 {
		t.Errorf("%d bytes were fetched, %d of %d were there", done.Fetched, there, whole)
	}
	if out := mustRun(t, home, "check"); !strings.Contains(out, "clean") {
		t.Error(out)
	}
}
