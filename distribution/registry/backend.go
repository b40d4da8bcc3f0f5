package registry

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Backend keeps what a registry serves. All methods may be called at the same time; names, tags
// and digests they are given are valid; what they do not have they answer with ErrNotFound.
// A Backend that keeps one pool of content for all repositories may ignore repo in the blob
// methods.
type Backend interface {
	Blobs
	Manifests
	Tags
}

// Blobs is the part of a Backend that keeps blobs.
type Blobs interface {
	// Blob opens the blob d.
	Blob(ctx context.Context, repo string, d digest.Digest) (Blob, error)
	// PutBlob stores the bytes of r, which must have the digest and the size of d
	// (ErrDigestMismatch, ErrSizeMismatch); nothing is kept otherwise.
	PutBlob(ctx context.Context, repo string, d ispec.Descriptor, r io.Reader) error
	// MountBlob makes the blob d of the repository from readable in repo; from is "" when the
	// client leaves the source open.
	MountBlob(ctx context.Context, repo, from string, d digest.Digest) error
	// DeleteBlob forgets the blob d in repo; ErrInUse if something that stays needs it.
	DeleteBlob(ctx context.Context, repo string, d digest.Digest) error
}

// Manifests is the part of a Backend that keeps manifests.
type Manifests interface {
	// Manifest gives the manifest d.
	Manifest(ctx context.Context, repo string, d digest.Digest) (Manifest, error)
	// PutManifest stores m, whose descriptor has been proved.
	PutManifest(ctx context.Context, repo string, m Manifest) error
	// DeleteManifest forgets the manifest d and every tag of repo that names it; ErrInUse if
	// something that stays needs it.
	DeleteManifest(ctx context.Context, repo string, d digest.Digest) error
	// Referrers gives yield the manifests of repo whose subject is d, as Referrer describes them,
	// in the order of their digests and only those after the digest after, until yield returns
	// false. None is not an error, nor is an unknown repository.
	Referrers(ctx context.Context, repo string, d, after digest.Digest, yield func(ispec.Descriptor) bool) error
}

// Tags is the part of a Backend that keeps names.
type Tags interface {
	// Resolve gives the descriptor that tag names: media type, digest and size.
	Resolve(ctx context.Context, repo, tag string) (ispec.Descriptor, error)
	// Tag makes tag name d, which PutManifest has stored.
	Tag(ctx context.Context, repo, tag string, d ispec.Descriptor) error
	// Untag forgets tag.
	Untag(ctx context.Context, repo, tag string) error
	// Tags lists the tags of repo, in any order; ErrNotFound for an unknown repository.
	Tags(ctx context.Context, repo string) ([]string, error)
	// Repositories lists the repositories, in any order.
	Repositories(ctx context.Context) ([]string, error)
}

// Blob is an open blob. A ReadCloser that is also an io.Seeker serves ranges without reading
// what lies before them.
type Blob struct {
	io.ReadCloser
	Size int64 // bytes of the whole blob
}

// Manifest is a manifest as it was pushed.
type Manifest struct {
	Descriptor ispec.Descriptor // media type, digest, size
	Raw        []byte
}
