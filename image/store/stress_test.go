package store

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestPrune_stress: pulls, untags and prunes of several openers of one store at once. A pull that has named
// its image finds it whole, whatever the others do.
func TestPrune_stress(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, Options{})
	var pulls, pruner sync.WaitGroup
	done := make(chan struct{})
	p := open(t, dir, Options{})
	pruner.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if _, err := p.Prune(t.Context(), PruneOptions{PartialAge: -1}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for w := range 4 {
		s := open(t, dir, Options{})
		pulls.Go(func() {
			for i := range 25 {
				if err := pullOnce(t, s, fmt.Sprint("shared-", i%5), fmt.Sprint("name-", w)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	pulls.Wait()
	close(done)
	pruner.Wait()
	mustCheck(t, p)
}

// pullOnce does what a pull does: hold, ingest, tag, and later read and untag.
func pullOnce(t *testing.T, s *Store, content, name string) error {
	hold, err := s.Hold(t.Context())
	if err != nil {
		return err
	}
	d := putImage(t, s, content, linuxAMD64)
	err = s.Tag(t.Context(), name, d)
	hold.Release()
	if err == nil {
		_, err = s.Image(t.Context(), d, ispec.Platform{})
	}
	if err != nil {
		return err
	}
	if err := s.Untag(t.Context(), name); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}
