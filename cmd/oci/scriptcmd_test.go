package main

import (
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptCondition answers what a script asks of the machine.
func scriptCondition(cond string) (bool, error) {
	switch cond {
	case "root":
		return os.Geteuid() == 0, nil
	case "userns":
		return userNamespaces(), nil
	case "cgroup2":
		_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
		return err == nil, nil
	case "images":
		_, err := os.Stat(filepath.Join(os.Getenv("OCI_TEST_IMAGES"), "busybox", "oci-layout"))
		return os.Getenv("OCI_TEST_IMAGES") != "" && err == nil, nil
	}
	return false, fmt.Errorf("unknown condition %q", cond)
}

// userNamespaces tells whether a user who is not root may make a user namespace.
func userNamespaces() bool {
	if os.Geteuid() != 0 {
		return exec.Command("unshare", "-Ur", "true").Run() == nil
	}
	return exec.Command("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "unshare", "-Ur", "true").Run() == nil
}

// scriptCommands are the commands that scripts have beside testscript's own:
//
//	registry [--writable] DIR   serve DIR by `oci serve`; sets $REGISTRY to its address
//	docker-registry [HTPASSWD]  start Debian's docker-registry, empty, for the users in a file; sets $REGISTRY
//	answer STATUS HEADER BODY [HEADER...]  start a registry that answers everything so; sets $REGISTRY
//	flip FILE                   change one byte in the middle of FILE
//	tree DIR                    print the names, types and modes below DIR, sorted
//	blob NAME LAYOUT            set $NAME to the path of the largest blob of an OCI layout
//	asuser COMMAND...           run COMMAND as a user who is not root (uid 65534 when the test is root)
func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"registry":        cmdRegistry,
		"docker-registry": cmdDockerRegistry,
		"answer":          cmdAnswer,
		"flip":            cmdFlip,
		"tree":            cmdTree,
		"blob":            cmdBlob,
		"asuser":          cmdAsUser,
	}
}

// freeAddr is a loopback address that nothing listens on.
func freeAddr(ts *testscript.TestScript) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer l.Close()
	return l.Addr().String()
}

// serveIn starts a server in the background, ends it with the script, and waits until it answers.
func serveIn(ts *testscript.TestScript, addr string, cmd *exec.Cmd) {
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for range 200 {
		if r, err := http.Get("http://" + addr + "/v2/"); err == nil {
			r.Body.Close()
			ts.Setenv("REGISTRY", addr)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("%s did not answer on %s", cmd.Path, addr)
}

func cmdRegistry(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("registry cannot be negated")
	}
	addr := freeAddr(ts)
	cmd := exec.Command(filepath.Join(strings.Split(ts.Getenv("PATH"), ":")[0], "oci"), append([]string{"serve", "--addr", addr}, args...)...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "OCI_ROOT="+ts.Getenv("OCI_ROOT"))
	cmd.Stderr = os.Stderr
	serveIn(ts, addr, cmd)
}

func cmdDockerRegistry(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("docker-registry cannot be negated")
	}
	addr, dir := freeAddr(ts), ts.MkAbs("docker-registry")
	ts.Check(os.MkdirAll(dir, 0o700))
	config := filepath.Join(dir, "config.yml")
	text := fmt.Appendf(nil,
		"version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\nhttp: {addr: %s}\n", dir, addr)
	if len(args) > 0 {
		text = fmt.Appendf(text, "auth: {htpasswd: {realm: test, path: %s}}\n", ts.MkAbs(args[0]))
	}
	ts.Check(os.WriteFile(config, text, 0o600))
	serveIn(ts, addr, exec.Command("docker-registry", "serve", config))
}

// cmdAnswer starts a server that has one answer to all requests but the first look at /v2/.
func cmdAnswer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: answer STATUS HEADER BODY [HEADER...]")
	}
	status, err := strconv.Atoi(args[0])
	ts.Check(err)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
		for _, h := range append([]string{args[1]}, args[3:]...) {
			if k, v, ok := strings.Cut(h, ": "); ok {
				w.Header().Set(k, v)
			}
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, args[2])
	}))
	ts.Defer(s.Close)
	ts.Setenv("REGISTRY", strings.TrimPrefix(s.URL, "http://"))
}

func cmdFlip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: flip FILE")
	}
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	b[len(b)/2] ^= 0x10
	ts.Check(os.Chmod(path, 0o644))
	ts.Check(os.WriteFile(path, b, 0o644))
}

func cmdTree(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: tree DIR")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		_, err = fmt.Fprintf(ts.Stdout(), "%s %s\n", info.Mode(), rel)
		return err
	}))
}

func cmdBlob(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: blob NAME LAYOUT")
	}
	var largest string
	var size int64 = -1
	dir := ts.MkAbs(filepath.Join(args[1], "blobs", "sha256"))
	entries, err := os.ReadDir(dir)
	ts.Check(err)
	for _, e := range entries {
		info, err := e.Info()
		ts.Check(err)
		if info.Size() > size {
			largest, size = filepath.Join(dir, e.Name()), info.Size()
		}
	}
	ts.Setenv(args[0], largest)
}

func cmdAsUser(ts *testscript.TestScript, neg bool, args []string) {
	if os.Geteuid() == 0 {
		args = append([]string{"setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"}, args...)
	}
	err := ts.Exec(args[0], args[1:]...)
	if (err != nil) != neg {
		ts.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
}
