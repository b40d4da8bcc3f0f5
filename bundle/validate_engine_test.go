package bundle

import (
	"os"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestJudgeEngine: the oddities that Docker, podman and containerd write (no limit as 0 or -1, null, the bits
// of the type in fileMode, rslave, minor -1, prestart, cgroupsPath of systemd) are no MUST, and Load takes them.
func TestJudgeEngine(t *testing.T) {
	raw, err := os.ReadFile("testdata/validate/engine.json")
	if err != nil {
		t.Fatal(err)
	}
	v := Judge(raw, "")
	if must := v.Problems.Must(); len(must) > 0 {
		t.Error(must)
	}
	if v.Platform != Linux || len(v.Problems) == 0 {
		t.Errorf("platform %s, %d problems: the oddities are not told", v.Platform, len(v.Problems))
	}
	s := new(specs.Spec)
	if err := Decode(raw, s); err != nil {
		t.Fatal(err)
	}
	if must := Validate(s).Must(); len(must) > 0 {
		t.Error(must)
	}
}
