package bundle

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// FuzzJudge: whatever the bytes are, Judge ends, tells a bounded number of problems, each with a reason,
// and finds one of level MUST exactly where the strict path of Load refuses.
func FuzzJudge(f *testing.F) {
	for _, r := range matrix(f) {
		f.Add([]byte(merged(f, r.Bad)))
		for _, good := range r.Good {
			f.Add([]byte(merged(f, good)))
		}
	}
	for _, s := range []string{"", "null", "[]", "{", `{"a":1,"a":2}`, `{"process":null}`, `{"ociVersion":"1.0.0","root":{"path":"x"},"vm":{"kernel":null}}`, "{}x", `{"linux":{"seccomp":[{"a":1,"a":1}]}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) { sameAsStrict(t, raw) })
}

func sameAsStrict(t *testing.T, raw []byte) {
	t.Helper()
	s := new(specs.Spec)
	strict := Decode(raw, s)
	if strict == nil {
		if must := Validate(s).Must(); len(must) > 0 {
			strict = must
		}
	}
	found := Judge(raw, "").Problems
	if must := found.Must(); (len(must) > 0) != (strict != nil) {
		t.Fatalf("strict: %v\njudged: %v", strict, must)
	}
	if len(found) > 3*maxProblems+1 {
		t.Fatalf("%d problems", len(found))
	}
	for i, p := range found {
		if p.Err == nil || i > 0 && byPointer(found[i-1], p) > 0 {
			t.Fatalf("%v after %v", p, found[max(i-1, 0)])
		}
	}
}

// TestJudgeBounded: documents made to be dear are judged in bounded time and space.
func TestJudgeBounded(t *testing.T) {
	long := strings.Repeat("k", 4<<20)
	many := func(item string, n int) string { return strings.TrimSuffix(strings.Repeat(item+",", n/4), ",") } // a quarter: the race detector is slow
	for name, raw := range map[string]string{
		"one long key, many problems": `{"` + long + `":{` + many(`"a":1`, 100000) + `}}`,
		"wrong types":                 `{"process":{"args":[` + many("1", 200000) + `]}}`,
		"unknown namespaces":          `{"linux":{"namespaces":[` + many(`{"type":"x"}`, 60000) + `]}}`,
		"capabilities":                `{"process":{"capabilities":{"effective":[` + many(`"CAP_KILL"`, 100000) + `],"permitted":[` + many(`"CAP_X"`, 100000) + `]}}}`,
		"env":                         `{"process":{"env":[` + many(`"A=1"`, 200000) + `]}}`,
		"rlimits":                     `{"process":{"rlimits":[` + many(`{"type":"RLIMIT_CPU","soft":1,"hard":1}`, 60000) + `]}}`,
		"mappings":                    `{"linux":{"uidMappings":[` + many(`{"containerID":0,"hostID":0,"size":9}`, 60000) + `]}}`,
		"mounts of Windows":           `{"windows":{"layerFolders":["a"]},"mounts":[` + many(`{"destination":"c:\\a"}`, 50000) + `]}`,
		"endpoints":                   `{"windows":{"layerFolders":["a"],"network":{"endpointList":[` + many(`"a"`, 200000) + `]}}}`,
		"deep":                        strings.Repeat(`{"a":`, 100000),
	} {
		start := time.Now()
		found := Judge([]byte(raw), "").Problems
		if len(found) > 3*maxProblems+1 || len(found.Must()) == 0 {
			t.Errorf("%s: %d problems, %d of them MUST", name, len(found), len(found.Must()))
		}
		bytes := 0
		for _, p := range found {
			bytes += len(p.Pointer)
		}
		if bytes > 3*maxPointers {
			t.Errorf("%s: %d bytes of pointers", name, bytes)
		}
		t.Logf("%s: %v, %d problems", name, time.Since(start), len(found))
	}
}

// TestLoadTellsAll: Load refuses with everything that is wrong, not with the first.
func TestLoadTellsAll(t *testing.T) {
	dir := t.TempDir()
	raw := `{"ociVersion":"1.0.2","root":{"path":"rootfs"},"process":{"args":[1],"cwd":"tmp","cwd":"/"},"linux":{"namespaces":[{"type":"disk"}]}}`
	if err := os.WriteFile(filepath.Join(dir, ConfigName), []byte(raw), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Load(dir)
	for _, want := range []error{ErrType, ErrDuplicateKey, ErrInvalid} {
		if !errors.Is(err, want) {
			t.Errorf("%v is not told: %v", want, err)
		}
	}
}

// BenchmarkJudge: a config like Docker's, all levels.
func BenchmarkJudge(b *testing.B) {
	raw, err := Marshal(DefaultSpec())
	if err != nil {
		b.Fatal(err)
	}
	if !bytes.Contains(raw, []byte("namespaces")) {
		b.Fatal("not a whole config")
	}
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		Judge(raw, "")
	}
}
