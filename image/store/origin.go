package store

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/internal/layout"
)

// The file of origins: a line of JSON each, the newest last. It is a help and no more: nothing depends
// on it, and what cannot be read of it is passed over.
const (
	originsFile    = "origins.jsonl"
	maxOrigins     = 1000      // that are kept
	maxOrigin      = 8 << 10   // bytes of one
	maxOriginsSize = 512 << 10 // bytes of the file
)

// Origin is a repository that had a manifest or index when it was pulled from there or pushed to
// there. Its blobs can be mounted from it.
type Origin struct {
	Repository string           `json:"repository"` // HOST/NAME
	Descriptor ispec.Descriptor `json:"descriptor"` // of what it had
}

// AddOrigin remembers an origin. The oldest of many are forgotten.
func (s *Store) AddOrigin(ctx context.Context, o Origin) error {
	if err := s.writable("add origin", o.Repository); err != nil {
		return err
	}
	o.Descriptor = ispec.Descriptor{MediaType: o.Descriptor.MediaType, Digest: o.Descriptor.Digest, Size: o.Descriptor.Size}
	if err := image.ValidateDescriptor(o.Descriptor); err != nil {
		return failed("add origin", o.Repository, err)
	}
	if slices.ContainsFunc(s.Origins(ctx), o.same) { // most often, and needs no lock
		return nil
	}
	unlock, err := s.lock(ctx, indexLock, layout.Exclusive)
	if err != nil {
		return failed("add origin", o.Repository, err)
	}
	defer unlock()
	list := s.Origins(ctx)
	slices.Reverse(list) // the oldest first, as they lie in the file
	if list = append(list, o); len(list) > maxOrigins {
		list = list[len(list)-maxOrigins:]
	}
	var buf bytes.Buffer
	for _, o := range list {
		line, err := json.Marshal(o)
		if err != nil {
			return failed("add origin", o.Repository, err)
		}
		buf.Write(append(line, '\n'))
	}
	for buf.Len() > maxOriginsSize {
		_, _ = buf.ReadBytes('\n') // forgets the oldest
	}
	return failed("add origin", o.Repository, s.dir.Replace(originsFile, buf.Bytes(), 0o600))
}

func (o Origin) same(p Origin) bool {
	return o.Repository == p.Repository && o.Descriptor.Digest == p.Descriptor.Digest
}

// Origins gives the origins that are remembered, the newest first.
func (s *Store) Origins(ctx context.Context) []Origin {
	if ctx.Err() != nil {
		return nil
	}
	raw, err := s.dir.ReadFile(originsFile, maxOriginsSize)
	if err != nil {
		return nil // none, or one that helps nobody
	}
	var list []Origin
	for line := range bytes.SplitSeq(raw, []byte("\n")) {
		var o Origin
		if len(line) == 0 || len(line) > maxOrigin || json.Unmarshal(line, &o) != nil || o.Repository == "" ||
			image.ValidateDescriptor(o.Descriptor) != nil {
			continue
		}
		list = append(list, o)
	}
	slices.Reverse(list)
	return list
}
