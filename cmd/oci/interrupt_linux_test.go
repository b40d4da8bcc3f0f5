package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oci-pipeline/oci/distribution/registrytest"
)

// TestInterruptKeepsWhatCame: Ctrl-C ends a transfer with status 130 and says that it goes on where it
// stopped; the next run does.
func TestInterruptKeepsWhatCame(t *testing.T) {
	r := registrytest.New(t, registrytest.Options{})
	s := served{r, t}
	img := s.image("v", testConfig(), nil)
	r.Inject(registrytest.Rule{Path: "/blobs/", Fault: registrytest.Hang()})
	home := t.TempDir()
	cmd := exec.Command(binary(t), "pull", r.Host+"/a/b:v")
	cmd.Env = append(os.Environ(), "HOME="+home, "OCI_ROOT="+filepath.Join(home, "store"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for hung := false; !hung; time.Sleep(10 * time.Millisecond) {
		for _, req := range r.Requests() {
			hung = hung || strings.Contains(req.Path, "/blobs/")
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != statusInterrupted {
		t.Errorf("got %v, want status %d", err, statusInterrupted)
	}
	if want := "oci: interrupted — hint: what has come is kept: the same command goes on where it stopped\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("got %q", out.String())
	}
	r.Heal()
	if text, err := program(t, home, "", "pull", "-q", r.Host+"/a/b:v"); err != nil || !strings.Contains(text, img.Digest.String()) {
		t.Errorf("%v: %s", err, text)
	}
}

// TestSecondInterruptKills: who asks twice does not wait for what hangs. The second signal ends a process
// that the first one does not: here a helper process of this test.
func TestSecondInterruptKills(t *testing.T) {
	if os.Getenv("OCI_TEST_HANG") != "" {
		ctx, stop := interruptible(t.Context())
		defer stop()
		os.Stdout.WriteString("ready\n")
		<-ctx.Done()
		time.Sleep(time.Hour)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestSecondInterruptKills$")
	cmd.Env = append(os.Environ(), "OCI_TEST_HANG=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		_ = cmd.Process.Signal(syscall.SIGINT) // until the second one arrives after the first was taken
		select {
		case err := <-ended:
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
				t.Errorf("got %v, want the end by SIGINT", err)
			}
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}
