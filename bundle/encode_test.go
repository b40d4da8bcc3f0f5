package bundle

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// standard is what Marshal must give.
func standard(t *testing.T, s *specs.Spec) string {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	if err := enc.Encode(s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestMarshalAgreesWithTheStandardLibrary byte for byte.
func TestMarshalAgreesWithTheStandardLibrary(t *testing.T) {
	n, w := uint16(7), int64(-1)
	all := &specs.Spec{
		Version: "1.0.2", Annotations: map[string]string{"b": "\x00\x01\x1f\b\f\n\r\t\"\\/<>&\u2028\u2029\xffü\U0001f600\x7f", "a": "", "c/~": "x"},
		Mounts:  []specs.Mount{},
		Process: &specs.Process{Args: []string{}, ConsoleSize: &specs.Box{Height: 1}, Rlimits: []specs.POSIXRlimit{{Hard: 1<<64 - 1}}},
		Linux: &specs.Linux{
			Sysctl: map[string]string{}, Seccomp: &specs.LinuxSeccomp{Syscalls: []specs.LinuxSyscall{{}}},
			Resources: &specs.LinuxResources{
				BlockIO: &specs.LinuxBlockIO{WeightDevice: []specs.LinuxWeightDevice{{LinuxBlockIODevice: specs.LinuxBlockIODevice{Major: 8}, Weight: &n}}},
				Memory:  &specs.LinuxMemory{Swap: &w}, Devices: []specs.LinuxDeviceCgroup{{}, {Allow: true, Major: &w}},
			},
		},
		Windows: &specs.Windows{}, VM: &specs.VM{}, Solaris: &specs.Solaris{}, ZOS: &specs.ZOS{}, Hooks: &specs.Hooks{},
	}
	docs := []*specs.Spec{nil, {}, DefaultSpec(), all}
	goldens, err := filepath.Glob("convert/testdata/*.golden.json")
	if err != nil || len(goldens) == 0 {
		t.Fatal("no golden files: ", err)
	}
	for _, g := range goldens {
		raw, err := os.ReadFile(g)
		s := new(specs.Spec)
		if err == nil {
			err = Decode(raw, s)
		}
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, s)
	}
	for i, s := range docs {
		got, err := Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if want := standard(t, s); string(got) != want {
			t.Errorf("document %d: got\n%s\nwant\n%s", i, got, want)
		}
	}
}

// TestMarshalAny: a credential spec may have any form.
func TestMarshalAny(t *testing.T) {
	s := &specs.Spec{Windows: &specs.Windows{LayerFolders: []string{"x"}, CredentialSpec: map[string]any{"a": []any{1.5, nil, "x"}}}}
	raw, err := Marshal(s)
	if err != nil || !json.Valid(raw) || !bytes.Contains(raw, []byte(`{"a":[1.5,null,"x"]}`)) {
		t.Errorf("%s, %v", raw, err)
	}
}
