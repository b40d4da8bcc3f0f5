package store

import (
	"context"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/internal/layout"
)

func (s *Store) readIndex(ctx context.Context) (*layout.Index, error) {
	raw, err := s.dir.Document(ctx, ispec.ImageIndexFile, image.MaxManifestSize)
	if err != nil {
		return nil, err
	}
	return layout.DecodeIndex(raw)
}

// edit changes index.json under its lock. Entries of ours that another tool has written over since the
// last edit are noted on the way.
func (s *Store) edit(ctx context.Context, change func(*layout.Index) error) error {
	unlock, err := s.lock(ctx, indexLock, layout.Exclusive)
	if err != nil {
		return err
	}
	defer unlock()
	var seen *layout.Index // as it was found
	return s.dir.EditIndex(ctx, func(x *layout.Index) error {
		seen = x.Clone()
		return change(x)
	}, func(next []byte) error { return s.noteEdit(ctx, seen, next) })
}
