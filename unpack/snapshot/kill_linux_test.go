package snapshot

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// stackOfMany has a hundred files in each of its layers, which need directories of chains/, and a base with a short stack.
func stackOfMany() ([]image.Layer, tartest.Blobs) {
	blobs := tartest.Blobs{}
	var layers []image.Layer
	for i := range 6 {
		dir := string(rune('a' + i))
		list := []tartest.Entry{{Name: "d/", Type: '5', Mode: 0o700 + int64(i), UID: int64(i)}}
		if i%2 == 1 {
			list = []tartest.Entry{tartest.Whiteout("d/" + string(rune('a'+i-1)) + "/0"), tartest.Link("d/"+dir+"/link", "d/a/00")}
		}
		for n := range 100 {
			list = append(list, tartest.File("d/"+dir+"/"+strings.Repeat("0", n+1), strings.Repeat(dir, 1000)))
		}
		layers = append(layers, blobs.GzipTar(tartest.Archive(list...)))
	}
	return layers, blobs
}

// TestKillAnywhereChild unpacks and stacks; TestKillAnywhere kills it.
func TestKillAnywhereChild(t *testing.T) {
	dir := os.Getenv("OCI_TEST_KILL_STACK")
	if dir == "" {
		t.Skip("it is run by TestKillAnywhere")
	}
	layers, blobs := stackOfMany()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.maxStack = 4
	dirs, err := s.Ensure(t.Context(), layers, blobs)
	if err == nil {
		_, err = Copy(t.Context(), filepath.Join(dir, "copy"), CopyOptions{Layers: dirs})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestKillAnywhere: two processes at once make the same stack and are killed after some time, wherever they are. What is
// published is whole, each time; then others finish it, and nothing is left over.
func TestKillAnywhere(t *testing.T) {
	needRoot(t)
	layers, blobs := stackOfMany()
	want := merged(t, layers, blobs)
	dir := filepath.Join(t.TempDir(), "layers")
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.maxStack = 4
	child := func() *exec.Cmd {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestKillAnywhereChild$")
		cmd.Env = append(os.Environ(), "OCI_TEST_KILL_STACK="+dir)
		return cmd
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 12 {
		var both sync.WaitGroup
		for range 2 {
			cmd, after := child(), time.Duration(rnd.IntN(300))*time.Millisecond
			both.Go(func() {
				if err := cmd.Start(); err != nil {
					t.Error(err)
					return
				}
				time.Sleep(after)
				_ = cmd.Process.Signal(syscall.SIGKILL) // it may have ended
				_ = cmd.Wait()
			})
		}
		both.Wait()
		list, err := s.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range list {
			if _, err := s.Check(t.Context(), d, true); err != nil {
				t.Errorf("a published layer: %v", err)
			}
		}
		if len(list) == len(layers) && rnd.IntN(3) == 0 { // begin anew, now and then
			if _, err := s.Prune(t.Context(), func(d digest.Digest) bool { return d == layers[0].DiffID }); err != nil {
				t.Error(err)
			}
		}
		if err := removeAll(filepath.Join(dir, "copy")); err != nil {
			t.Error(err)
		}
	}
	dirs, err := s.Ensure(t.Context(), layers, blobs)
	if err != nil || len(dirs) != 4 {
		t.Fatalf("%d directories, %v", len(dirs), err)
	}
	for _, line := range tartest.Diff(mounted(t, dirs), want) {
		t.Error(line)
	}
	if _, err := s.Prune(t.Context(), func(digest.Digest) bool { return true }); err != nil {
		t.Error(err)
	}
	for _, sub := range []string{stagingDir, "copy"} {
		if left, _ := os.ReadDir(filepath.Join(dir, sub)); len(left) > 0 {
			t.Errorf("%s holds %v", sub, left)
		}
	}
}
