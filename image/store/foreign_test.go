package store

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// inPlace writes index.json as skopeo does: read, and later written over in place, without a lock.
func inPlace(t *testing.T, s *Store, name string, d ispec.Descriptor, between time.Duration) {
	t.Helper()
	file := filepath.Join(s.Root(), "index.json")
	raw, err := os.ReadFile(file)
	var x ispec.Index
	if err == nil {
		err = json.Unmarshal(raw, &x)
	}
	if err != nil {
		t.Error(err)
		return
	}
	time.Sleep(between)
	d.Annotations = map[string]string{ispec.AnnotationRefName: name}
	x.Manifests = append(x.Manifests, d)
	if raw, err = json.Marshal(x); err == nil {
		err = os.WriteFile(file, raw, 0o644)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestForeign_nothing_is_lost: what another tool writes while we tag is there afterwards; what it wrote over of ours is
// known, kept by Prune, and can be given back. A tool that the kernel stops inside its open(2), between the lookup of
// the name and the truncation, writes into a file that was exchanged long ago: on a loaded machine that has been seen,
// once in a thousand writes.
func TestForeign_nothing_is_lost(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	ctx := t.Context()
	ours, theirs := putImage(t, s, "ours", linuxAMD64), putImage(t, s, "theirs", linuxAMD64)
	const rounds = 40
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range rounds {
			inPlace(t, s, fmt.Sprint("theirs-", i), theirs, 2*time.Millisecond)
		}
	})
	for i := range rounds {
		if err := s.Tag(ctx, fmt.Sprint("ours-", i), ours); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	gone := 0
	for i := range rounds {
		if _, err := s.Resolve(ctx, fmt.Sprint("theirs-", i)); err != nil {
			gone++
			t.Logf("theirs was lost: %v", err)
		}
	}
	if gone > 2 {
		t.Errorf("%d of %d of theirs were lost", gone, rounds)
	}
	lost, err := s.Lost(ctx)
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, l := range lost {
		known[l.Name] = true
	}
	for i := range rounds {
		name := fmt.Sprint("ours-", i)
		if _, err := s.Resolve(ctx, name); err != nil && !known[name] {
			t.Errorf("%s was written over, and nobody knows", name)
		}
	}
	if _, err := s.Restore(ctx, false); err != nil {
		t.Fatal(err)
	}
	tags, err := s.Tags(ctx)
	if err != nil || len(tags) != 2*rounds-gone {
		t.Errorf("%d entries, %v, want %d", len(tags), err, 2*rounds-gone)
	}
	t.Logf("%d of %d were written over", len(lost), rounds)
	mustCheck(t, s)
}

// TestForeign_lost_update: the one that skopeo makes whenever a copy of it takes time.
func TestForeign_lost_update(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	ctx := t.Context()
	ours, theirs := putImage(t, s, "ours", linuxAMD64), putImage(t, s, "theirs", linuxAMD64)
	raw, err := os.ReadFile(filepath.Join(s.Root(), "index.json")) // as it was when their copy began
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Tag(ctx, "ours", ours); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(s.Root(), "index.json"), string(raw))
	inPlace(t, s, "theirs", theirs, 0)
	lost, err := s.Lost(ctx)
	if err != nil || len(lost) != 1 || lost[0].Name != "ours" || lost[0].Descriptor.Digest != ours.Digest {
		t.Fatalf("%v, %v", lost, err)
	}
	if r := mustCheck(t, s); len(r.Notes) != 1 {
		t.Errorf("notes %q", r.Notes)
	}
	if p, err := s.Prune(ctx, PruneOptions{}); err != nil || len(p.Blobs) != 0 {
		t.Errorf("pruned %v, %v", p.Blobs, err)
	}
	if err := s.Tag(ctx, "another", ours); err != nil { // remembered over edits of ours
		t.Fatal(err)
	}
	if done, err := s.Restore(ctx, false); err != nil || len(done) != 1 {
		t.Errorf("%v, %v", done, err)
	}
	if d, err := s.Resolve(ctx, "ours"); err != nil || d.Digest != ours.Digest {
		t.Errorf("%v, %v", d, err)
	}
	// Who takes a name away, and adds nothing, means it.
	write(t, filepath.Join(s.Root(), "index.json"), string(raw))
	if lost, err := s.Lost(ctx); err != nil || len(lost) != 0 {
		t.Errorf("%v, %v", lost, err)
	}
}

// TestForeign_half_a_document: a document that is being written in place is waited for; one that stays half
// is an error.
func TestForeign_half_a_document(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	if err := s.Tag(t.Context(), "x", putImage(t, s, "x", linuxAMD64)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"index.json", "oci-layout"} {
		file := filepath.Join(s.Root(), name)
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, half := range []int{0, len(raw) / 2} {
			write(t, file, string(raw[:half]))
			var wg sync.WaitGroup
			wg.Go(func() {
				time.Sleep(20 * time.Millisecond)
				write(t, file, string(raw))
			})
			again, err := Open(t.Context(), s.Root(), Options{ReadOnly: true})
			if err == nil {
				_, err = again.Resolve(t.Context(), "x")
				again.Close()
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			wg.Wait()
		}
		write(t, file, string(raw[:len(raw)/2]))
		again, err := Open(t.Context(), s.Root(), Options{ReadOnly: true})
		if err == nil {
			_, err = again.Resolve(t.Context(), "x")
			again.Close()
		}
		if err == nil {
			t.Errorf("half of %s passes for the whole", name)
		}
		write(t, file, string(raw))
	}
}

// TestForeign_prune_spares_their_work: blobs that another tool has just written have no name yet.
func TestForeign_prune_spares_their_work(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	putImage(t, s, "theirs", linuxAMD64)
	work := filepath.Join(s.Root(), "oci-put-blob123")
	write(t, work, "half a blob")
	if p, err := s.Prune(t.Context(), PruneOptions{}); err != nil || len(p.Blobs) != 0 {
		t.Errorf("pruned %v, %v", p.Blobs, err)
	}
	old := time.Now().Add(-2 * foreignWork)
	if err := os.Chtimes(work, old, old); err != nil {
		t.Fatal(err)
	}
	if p, err := s.Prune(t.Context(), PruneOptions{}); err != nil || len(p.Blobs) != 3 {
		t.Errorf("pruned %v, %v", p.Blobs, err)
	}
}
