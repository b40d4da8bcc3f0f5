package main

import (
	"context"
	"errors"
	"strings"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/image/transport"
)

// isAbsent tells whether content is not where it was looked for.
func isAbsent(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, transport.ErrNotFound)
}

// addOrigin remembers that a repository has what d names. It is a help for later pushes, so that it
// cannot be written is no failure of this one.
func addOrigin(ctx context.Context, s *store.Store, ref reference.Ref, d ispec.Descriptor) {
	_ = s.AddOrigin(ctx, store.Origin{Repository: ref.Name(), Descriptor: d})
}

// maxMountOrigins bounds how many origins are looked into for one push.
const maxMountOrigins = 50

// mounts gives the repositories of the destination's registry that are known to have blobs below d.
func mounts(ctx context.Context, s *store.Store, d ispec.Descriptor, to reference.Ref) map[digest.Digest]string {
	wanted := make(map[digest.Digest]bool)
	blobsBelow(ctx, s, d, 0, func(d ispec.Descriptor) { wanted[d.Digest] = true })
	list := make(map[digest.Digest]string)
	looked := 0
	for _, o := range s.Origins(ctx) {
		repository, ok := strings.CutPrefix(o.Repository, to.Registry+"/")
		if !ok || repository == to.Repository {
			continue
		}
		if looked++; looked > maxMountOrigins || len(list) == len(wanted) {
			break
		}
		blobsBelow(ctx, s, o.Descriptor, 0, func(d ispec.Descriptor) {
			if wanted[d.Digest] && list[d.Digest] == "" {
				list[d.Digest] = repository
			}
		})
	}
	return list
}

// blobsBelow gives the configs and layers of what is in the store of d.
func blobsBelow(ctx context.Context, s *store.Store, d ispec.Descriptor, depth int, each func(ispec.Descriptor)) {
	if depth > image.MaxIndexDepth {
		return
	}
	raw, err := s.ReadBlob(ctx, d, image.MaxManifestSize)
	if err != nil {
		return // pruned since
	}
	if image.IsIndex(d.MediaType) {
		idx, err := image.DecodeIndex(raw, d.MediaType)
		for _, m := range idx.Manifests {
			if err == nil {
				blobsBelow(ctx, s, m, depth+1, each)
			}
		}
		return
	}
	if m, err := image.DecodeManifest(raw, d.MediaType); err == nil {
		for _, b := range append([]ispec.Descriptor{m.Config}, m.Layers...) {
			each(b)
		}
	}
}

// storeSessions keeps in the store how far uploads came. What it cannot keep is sent again.
type storeSessions struct{ s *store.Store }

var _ distribution.Sessions = storeSessions{}

func (u storeSessions) key(repository string, d digest.Digest) string {
	return repository + "@" + d.String()
}

// Save implements distribution.Sessions.
func (u storeSessions) Save(repository string, d digest.Digest, location string, offset int64) {
	_ = u.s.SaveUpload(u.key(repository, d), store.Upload{Location: location, Offset: offset})
}

// Take implements distribution.Sessions.
func (u storeSessions) Take(repository string, d digest.Digest) (location string, offset int64, ok bool) {
	up, ok := u.s.TakeUpload(u.key(repository, d))
	return up.Location, up.Offset, ok
}
