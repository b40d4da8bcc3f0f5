package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
)

const (
	// settled is how old the last change of a file must be, by its file system's clock, for a later
	// change to have another time: the kernel's clock ticks every few milliseconds.
	settled = 100 * time.Millisecond
	// A tool that writes index.json in place leaves half of it to be read for a moment.
	rereads    = 10
	rereadWait = 20 * time.Millisecond
)

// nameCache keeps the names of a layout until its index.json changes, by whomever.
type nameCache struct {
	mu    sync.Mutex
	info  os.FileInfo // nil: nothing is kept
	names map[string]ispec.Descriptor
}

// get gives the names, which nobody may change.
func (c *nameCache) get(ctx context.Context, s *store.Store, read func([]store.Tagged) map[string]ispec.Descriptor) (map[string]ispec.Descriptor, error) {
	file := filepath.Join(s.Root(), ispec.ImageIndexFile)
	c.mu.Lock()
	defer c.mu.Unlock()
	before, err := os.Stat(file)
	if err == nil && c.info != nil && sameFile(before, c.info) {
		return c.names, nil
	}
	c.info = nil
	tags, err := tagsOf(ctx, s)
	if err != nil {
		return nil, err
	}
	c.names = read(tags)
	after, err := os.Stat(file)
	if err == nil && before != nil && sameFile(before, after) && time.Since(after.ModTime()) > settled {
		c.info = after
	}
	return c.names, nil
}

func sameFile(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// tagsOf reads the entries, more than once if another tool may be writing them.
func tagsOf(ctx context.Context, s *store.Store) ([]store.Tagged, error) {
	for range rereads {
		tags, err := s.Tags(ctx)
		if !errors.Is(err, image.ErrMalformed) {
			return tags, err
		}
		select {
		case <-time.After(rereadWait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s.Tags(ctx)
}
