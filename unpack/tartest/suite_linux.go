package tartest

import (
	"bytes"
	"errors"
	"os/exec"
	"regexp"
	"testing"
)

// Suite runs the tests of the test binary it is called from once more, each in a process for which the
// system calls are refused: all whose names match run, and none whose names match skip. A test that calls
// it must be among those skipped. It wants at least least of them to pass.
func Suite(t *testing.T, run, skip string, least int, refusals ...Refusal) {
	t.Helper()
	if testing.Short() {
		t.Skip("it runs all other tests again")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run="+run, "-test.skip="+skip, "-test.v", "-test.timeout=240s")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := RunWithout(cmd, refusals...)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("no filter for this architecture: %v", err)
	}
	passed := regexp.MustCompile(`(?m)^--- PASS: `).FindAllIndex(out.Bytes(), -1)
	if err == nil && len(passed) >= least {
		t.Logf("%d tests passed", len(passed))
		return
	}
	for _, failed := range regexp.MustCompile(`(?m)^ *--- FAIL: (.*\n(?: +[^-\n].*\n)*)`).FindAllString(out.String(), 20) {
		t.Error(failed)
	}
	t.Errorf("%d tests passed: %v\n%s", len(passed), err, out.Bytes()[max(0, out.Len()-2000):])
}
