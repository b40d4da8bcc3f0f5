package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// built is the static binary that the scripts run, made once.
var built struct {
	once sync.Once
	path string
	err  error
}

// binary builds the program as `make build` does and gives its path. The scripts run this file
// and not the test binary: what is specified is what is installed.
func binary(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		dir, err := os.MkdirTemp("", "oci-test")
		if err != nil {
			built.err = err
			return
		}
		built.path = filepath.Join(dir, "oci")
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=v0-test -X main.commit=0000", "-o", built.path, ".")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build: %w\n%s", err, out)
		}
		if built.err == nil {
			built.err = os.Chmod(dir, 0o755) // a script may become another user
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

func TestMain(m *testing.M) {
	status := m.Run()
	if built.path != "" {
		os.RemoveAll(filepath.Dir(built.path))
	}
	os.Exit(status)
}

// TestScript runs testdata/script/*.txtar. Beside testscript's own, a script has the conditions
// [root] [userns] [cgroup2] [images] and the commands of scriptCommands.
func TestScript(t *testing.T) {
	bin := binary(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition:           scriptCondition,
		Cmds:                scriptCommands(),
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(bin)+":"+os.Getenv("PATH"))
			e.Setenv("OCI_ROOT", filepath.Join(e.WorkDir, "store"))
			e.Setenv("OCI_STATE", filepath.Join(e.WorkDir, "state"))
			e.Setenv("IMAGES", os.Getenv("OCI_TEST_IMAGES"))
			e.Setenv("HOME", e.WorkDir)
			// A script may become another user, who has to get here.
			return errors.Join(os.Chmod(filepath.Dir(e.WorkDir), 0o711), os.Chmod(e.WorkDir, 0o755))
		},
	})
}
