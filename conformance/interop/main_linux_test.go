package interop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var oci string // the binary under test

func TestMain(m *testing.M) {
	os.Exit(runAll(m))
}

// runAll builds the binary as `make build` does, and runs the tests.
func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "oci-interop-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	if oci = os.Getenv("OCI_TEST_BINARY"); oci != "" {
		oci, err = filepath.Abs(oci)
	} else {
		oci = filepath.Join(dir, "oci")
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", oci, "../../cmd/oci")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		var out []byte
		if out, err = cmd.CombinedOutput(); err != nil {
			err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		return 1
	}
	return m.Run()
}

// program gives the path of a tool, or skips the test.
func program(t *testing.T, name string) string {
	t.Helper()
	if name == "oci" {
		return oci
	}
	dirs := []string{"../../.cache/tools"}
	if peers := os.Getenv("OCI_PEERS"); peers != "" {
		dirs = []string{peers}
	}
	for _, dir := range dirs {
		if p, err := filepath.Abs(filepath.Join(dir, name)); err == nil {
			if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return p
			}
		}
	}
	p, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("needs %s: neither on the PATH nor in OCI_PEERS (make deps)", name)
	}
	return p
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// home is a directory for what tools keep about a user; nothing of the real one is read.
func home(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte("{}"), 0o600)) // podman wants one where DOCKER_CONFIG says
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "REGISTRY_") || strings.HasPrefix(strings.ToLower(v), "http")
	})
	return append(env, "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_RUNTIME_DIR="+dir, "XDG_DATA_HOME="+dir, "OCI_ROOT="+filepath.Join(dir, "store"),
		"DOCKER_CONFIG="+dir, "OTEL_TRACES_EXPORTER=none")
}

// try runs a program; its error holds what it said.
func try(t *testing.T, env []string, argv ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t, argv[0]), argv[1:]...)
	cmd.Env, cmd.WaitDelay = env, 5*time.Second
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(argv, " "), err, out.String(), errOut.String())
	}
	return strings.TrimSpace(out.String()), nil
}

func run(t *testing.T, env []string, argv ...string) string {
	t.Helper()
	out, err := try(t, env, argv...)
	check(t, err)
	return out
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	check(t, err)
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// start runs a server until the test ends. It is killed with the tests, however they end.
func start(t *testing.T, env []string, argv ...string) *bytes.Buffer {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(program(t, argv[0]), argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	check(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = cmd.Wait()
		}()
		select {
		case <-done:
		case <-time.After(15 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
	})
	return &said
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return l.Addr().String()
}

const registryConfig = `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}
http: {addr: %q}
`

// server starts an empty registry and gives its address.
func server(t *testing.T, kind string) string {
	t.Helper()
	addr, dir := freeAddress(t), t.TempDir()
	argv := []string{"oci", "serve", "--writable", "--addr", addr, filepath.Join(dir, "store")}
	if kind != "oci" {
		config := filepath.Join(dir, "config.yml")
		check(t, os.WriteFile(config, fmt.Appendf(nil, registryConfig, filepath.Join(dir, "data"), addr), 0o600))
		argv = []string{kind, "serve", config}
	}
	said := start(t, home(t), argv...)
	for range 1000 {
		resp, err := http.Get("http://" + addr + "/v2/") //nolint:noctx // a probe
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			return addr
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s does not answer: %s", kind, said.String())
	return ""
}
