package store

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image/store/storetest"
)

const (
	childMode = "OCI_STORE_TEST_CHILD"
	childRoot = "OCI_STORE_TEST_ROOT"
)

var large = strings.Repeat("a large layer ", 1<<17) // 1.8 MB

// TestChild is not a test: it is the other process, which is killed.
func TestChild(t *testing.T) {
	mode := os.Getenv(childMode)
	if mode == "" {
		t.Skip("it is run by the other tests as a process of its own")
	}
	s := open(t, os.Getenv(childRoot), Options{Checkpoint: 64 << 10})
	for i := 0; ; i++ {
		switch mode {
		case "write": // slowly, and then between the last write and the commit, for ever
			in, err := s.Ingest(t.Context(), storetest.Describe(large))
			if err != nil {
				t.Fatal(err)
			}
			for at := in.Offset(); at < int64(len(large)); at += 10_000 {
				if _, err := io.WriteString(in, large[at:min(at+10_000, int64(len(large)))]); err != nil {
					t.Fatal(err)
				}
				fmt.Println(at)
			}
			time.Sleep(time.Hour)
		case "churn": // everything that changes the store
			name := fmt.Sprint(i % 7)
			hold, err := s.Hold(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			d := putImage(t, s, fmt.Sprint("image ", i), linuxAMD64)
			if err := s.Tag(t.Context(), name, d); err != nil {
				t.Fatal(err)
			}
			hold.Release()
			if i%5 == 4 {
				if err := s.Untag(t.Context(), name); err != nil && !errors.Is(err, ErrNotFound) { // the other process may have
					t.Fatal(err)
				}
				if _, err := s.Prune(t.Context(), PruneOptions{PartialAge: -1}); err != nil {
					t.Fatal(err)
				}
			}
			fmt.Println(i)
		}
	}
}

// child starts the other process and gives the lines that it writes. kill kills it and waits.
func child(t *testing.T, mode, root string) (lines *bufio.Scanner, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childMode+"="+mode, childRoot+"="+root)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	kill = func() {
		if killed {
			return
		}
		killed = true
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
			t.Errorf("the child was not killed but ended by itself: %v", err)
		}
	}
	t.Cleanup(kill)
	return bufio.NewScanner(out), kill
}

// Killed in the middle of a blob, or between the last write and the commit: the blob is not there, the
// store is valid, and the next process goes on where the first one was.
func TestKill_write(t *testing.T) {
	for what, bytes := range map[string]int64{"first bytes": 0, "middle": 900_000, "before commit": int64(len(large) - 10_000)} {
		t.Run(what, func(t *testing.T) {
			root, d := t.TempDir(), storetest.Describe(large)
			lines, kill := child(t, "write", root)
			for lines.Scan() {
				var at int64
				if fmt.Sscan(lines.Text(), &at); at >= bytes {
					break
				}
			}
			kill()
			s := open(t, root, Options{})
			if ok, err := s.Has(t.Context(), d); ok || err != nil {
				t.Fatalf("there without a commit: %v, %v", ok, err)
			}
			if r := mustCheck(t, s); len(r.Notes) != 1 {
				t.Errorf("notes %q", r.Notes)
			}
			in, err := s.Ingest(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			if in.Offset() < bytes || in.Offset() == 0 {
				t.Errorf("resumed at %d, want at least %d", in.Offset(), bytes)
			}
			if _, err := io.WriteString(in, large[in.Offset():]); err != nil {
				t.Fatal(err)
			}
			if err := in.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if r := mustCheck(t, s); len(r.Notes) != 0 || r.Blobs != 1 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// Two processes want the same blob. The second waits, and takes over when the first is killed.
func TestKill_second_takes_over(t *testing.T) {
	root, d := t.TempDir(), storetest.Describe(large)
	lines, kill := child(t, "write", root)
	for i := 0; i < 50 && lines.Scan(); i++ {
	}
	s := open(t, root, Options{})
	got := make(chan *Ingest)
	go func() {
		in, err := s.Ingest(t.Context(), d)
		if err != nil {
			t.Error(err)
		}
		got <- in
	}()
	select {
	case <-got:
		t.Fatal("both are at the same blob")
	case <-time.After(50 * time.Millisecond):
	}
	kill()
	in := <-got
	if in == nil {
		t.FailNow()
	}
	defer in.Close()
	if in.Offset() == 0 {
		t.Error("what the first had is lost")
	}
	if _, err := io.WriteString(in, large[in.Offset():]); err != nil {
		t.Fatal(err)
	}
	if err := in.Commit(t.Context()); err != nil {
		t.Error(err)
	}
	mustCheck(t, s)
}

// Killed at any moment of any change, with another process at the same store: it stays valid, and
// every name leads to a whole image.
func TestKill_anywhere(t *testing.T) {
	root := t.TempDir()
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	_, stay := child(t, "churn", root)
	for range rounds {
		lines, kill := child(t, "churn", root)
		lines.Scan() // it has begun
		time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond)
		kill()
	}
	stay()
	s := open(t, root, Options{})
	r := mustCheck(t, s)
	tags, err := s.Tags(t.Context())
	if err != nil || len(tags) == 0 || r.Names != len(tags) {
		t.Errorf("%d names, %v", len(tags), err)
	}
	for _, tag := range tags {
		if _, err := s.Image(t.Context(), tag.Descriptor, ispec.Platform{}); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Prune(t.Context(), PruneOptions{PartialAge: -1}); err != nil {
		t.Error(err)
	}
	if r := mustCheck(t, s); len(r.Notes) != 0 || r.Blobs > 3*len(tags) {
		t.Errorf("after prune: %+v", r)
	}
}
