package store

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store/storetest"
)

func TestPrune(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	ctx := t.Context()
	keep, drop := putImage(t, s, "keep", linuxAMD64), putImage(t, s, "drop", linuxAMD64)
	for name, d := range map[string]ispec.Descriptor{"keep": keep, "drop": drop} {
		if err := s.Tag(ctx, name, d); err != nil {
			t.Fatal(err)
		}
	}
	begin(t, s, storetest.Describe("unfinished"), "unf")
	if p, err := s.Prune(ctx, PruneOptions{}); err != nil || len(p.Blobs) != 0 || len(p.Partial) != 0 || p.Retained != 6 || len(p.DiffIDs) != 2 {
		t.Errorf("%+v, %v", p, err)
	}
	if err := s.Untag(ctx, "drop"); err != nil {
		t.Fatal(err)
	}
	if p, err := s.Prune(ctx, PruneOptions{MinAge: time.Hour}); err != nil || len(p.Blobs) != 0 {
		t.Errorf("young blobs: %+v, %v", p, err)
	}
	dry, err := s.Prune(ctx, PruneOptions{DryRun: true, PartialAge: -1})
	if err != nil || len(dry.Blobs) != 3 || len(dry.Partial) != 1 {
		t.Errorf("%+v, %v", dry, err)
	}
	did, err := s.Prune(ctx, PruneOptions{PartialAge: -1})
	if err != nil || len(did.Blobs) != 3 || did.Bytes != dry.Bytes || did.Retained != 3 || len(did.DiffIDs) != 1 {
		t.Errorf("%+v, %v, want as announced: %+v", did, err, dry)
	}
	if _, err := s.Image(ctx, keep, ispec.Platform{}); err != nil {
		t.Error(err)
	}
	if r := mustCheck(t, s); r.Blobs != 3 || len(r.Notes) != 0 {
		t.Errorf("%+v", r)
	}
}

// If what hangs on a name cannot be known, nothing is deleted.
func TestPrune_damaged_manifest(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	d := putImage(t, s, "x", linuxAMD64)
	if err := s.Tag(t.Context(), "x", d); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(blobFile(s, d.Digest))
	if err != nil {
		t.Fatal(err)
	}
	for damaged, want := range map[string]error{strings.Replace(string(raw), "layers", "lavers", 1): image.ErrDigestMismatch, "cut": image.ErrSizeMismatch} {
		write(t, blobFile(s, d.Digest), damaged)
		before, err := s.files()
		if err != nil {
			t.Fatal(err)
		}
		if p, err := s.Prune(t.Context(), PruneOptions{}); !errors.Is(err, want) {
			t.Errorf("%+v, %v, want %v", p, err, want)
		}
		if after, err := s.files(); err != nil || len(after) != len(before) {
			t.Errorf("%d files of %d left, %v", len(after), len(before), err)
		}
	}
}

// A transfer that goes on keeps Prune away, and Prune keeps a transfer away.
func TestPrune_beside_a_pull(t *testing.T) {
	dir := t.TempDir()
	puller, pruner := open(t, dir, Options{}), open(t, dir, Options{})
	hold, err := puller.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d := putImage(t, puller, "x", linuxAMD64)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := pruner.Prune(short, PruneOptions{}); !errors.Is(err, ErrBusy) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want ErrBusy", err)
	}
	pruned := make(chan error)
	go func() {
		_, err := pruner.Prune(t.Context(), PruneOptions{})
		pruned <- err
	}()
	if err := puller.Tag(t.Context(), "x", d); err != nil {
		t.Fatal(err)
	}
	hold.Release()
	hold.Release()
	if err := <-pruned; err != nil {
		t.Error(err)
	}
	if _, err := puller.Image(t.Context(), d, ispec.Platform{}); err != nil {
		t.Errorf("a pull lost content to prune: %v", err)
	}
}
