package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
)

// Content is a content store without repositories: blobs by digest, and names for some of them.
// It is what Pool needs of a store; the methods report what is not there with ErrNotFound.
type Content interface {
	// Open opens a blob, whatever it is.
	Open(ctx context.Context, d digest.Digest) (Blob, error)
	// Put stores the bytes of r, which must have the digest and size of d.
	Put(ctx context.Context, d ispec.Descriptor, r io.Reader) error
	// Delete forgets a blob.
	Delete(ctx context.Context, d digest.Digest) error
	// Names gives every name, with what it names.
	Names(ctx context.Context) (map[string]ispec.Descriptor, error)
	// Name makes name mean d.
	Name(ctx context.Context, name string, d ispec.Descriptor) error
	// Unname forgets a name.
	Unname(ctx context.Context, name string) error
}

// Naming says how a Pool writes a place in a repository as one name of its Content, and back.
type Naming interface {
	// Join gives the name of ref, a tag or a digest, in repo.
	Join(repo, ref string) string
	// Split is its inverse; ok is false for a name that is not to be served.
	Split(name string) (repo, ref string, ok bool)
}

// PlainNames is the Naming "repo:tag" and "repo@digest".
type PlainNames struct{}

// Join gives "repo:tag" or "repo@digest".
func (PlainNames) Join(repo, ref string) string {
	if strings.Contains(ref, ":") {
		return repo + "@" + ref
	}
	return repo + ":" + ref
}

// Split is the inverse of Join.
func (PlainNames) Split(name string) (repo, ref string, ok bool) {
	if repo, ref, ok = strings.Cut(name, "@"); ok {
		return repo, ref, validName(repo)
	}
	i := strings.LastIndexByte(name, ':')
	if i < 0 {
		return "", "", false
	}
	repo, ref = name[:i], name[i+1:]
	return repo, ref, validName(repo) && validTag(ref)
}

// Pool is the Backend over a Content. Its repositories are those that names lead to; blobs and
// manifests are one pool, readable in every repository, and so are the referrers of a manifest. It keeps a name for each manifest with a
// subject, "repo@digest", so that it is found, and not collected, though nothing refers to it.
type Pool struct {
	content Content
	naming  Naming
	cache   cache
}

var _ Backend = (*Pool)(nil)

// NewPool gives the Backend over c. A nil naming is PlainNames.
func NewPool(c Content, naming Naming) *Pool {
	if naming == nil {
		naming = PlainNames{}
	}
	return &Pool{content: c, naming: naming}
}

// Blob opens the blob d.
func (p *Pool) Blob(ctx context.Context, _ string, d digest.Digest) (Blob, error) {
	return p.content.Open(ctx, d)
}

// PutBlob stores a blob.
func (p *Pool) PutBlob(ctx context.Context, _ string, d ispec.Descriptor, r io.Reader) error {
	return p.content.Put(ctx, d, r)
}

// MountBlob finds the blob in the pool.
func (p *Pool) MountBlob(ctx context.Context, _, _ string, d digest.Digest) error {
	b, err := p.content.Open(ctx, d)
	if err != nil {
		return err
	}
	return b.Close()
}

// DeleteBlob forgets the blob d, for all repositories: ErrInUse while a name leads to it.
func (p *Pool) DeleteBlob(ctx context.Context, _ string, d digest.Digest) error {
	return p.collect(ctx, d)
}

// Manifest reads the manifest d and proves it.
func (p *Pool) Manifest(ctx context.Context, _ string, d digest.Digest) (Manifest, error) {
	m, err := p.proved(ctx, d)
	return m.Manifest, err
}

func (p *Pool) proved(ctx context.Context, d digest.Digest) (proved, error) {
	b, err := p.content.Open(ctx, d)
	if err != nil {
		return proved{}, err
	}
	defer b.Close() //nolint:errcheck // read only
	if m, ok := p.cache.find(d); ok && m.Descriptor.Size == b.Size {
		return m, nil
	}
	desc := ispec.Descriptor{Digest: d, Size: b.Size}
	if b.Size > image.MaxManifestSize {
		return proved{}, ErrNotFound // a blob, not a manifest
	}
	raw, err := image.ReadAll(b, desc, image.MaxManifestSize)
	if err != nil {
		return proved{}, err
	}
	if desc.MediaType, err = image.DetectMediaType(raw); err != nil {
		return proved{}, fmt.Errorf("%s is no manifest: %w", d, ErrNotFound)
	}
	m := proved{Manifest: Manifest{Descriptor: desc, Raw: raw}}
	if m.content, err = decode(raw, desc.MediaType); err != nil {
		// No error of the request, whatever it is: the text is all that is kept.
		m.invalid = fmt.Errorf("read %s: %v", d, err) //nolint:errorlint // see above
	}
	p.cache.add(m)
	return m, nil
}

// PutManifest stores m.
func (p *Pool) PutManifest(ctx context.Context, repo string, m Manifest) error {
	if err := p.content.Put(ctx, m.Descriptor, strings.NewReader(string(m.Raw))); err != nil {
		return err
	}
	if subject, _ := Referrer(m); subject == "" {
		return nil
	}
	return p.content.Name(ctx, p.naming.Join(repo, m.Descriptor.Digest.String()), m.Descriptor)
}

// DeleteManifest forgets the names of the manifest d in repo, and d itself unless names of other
// repositories, or an index, lead to it. It is ErrInUse if that leaves nothing to be done.
func (p *Pool) DeleteManifest(ctx context.Context, repo string, d digest.Digest) error {
	if _, err := p.Manifest(ctx, repo, d); err != nil {
		return err
	}
	names, err := p.content.Names(ctx)
	if err != nil {
		return err
	}
	done := false
	for name, to := range names {
		if at, _, ok := p.naming.Split(name); !ok || at != repo || to.Digest != d {
			continue
		}
		if err := p.content.Unname(ctx, name); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		done = true
	}
	if err := p.collect(ctx, d); err != nil && !(done && errors.Is(err, ErrInUse)) {
		return err
	}
	return nil
}

// Referrers gives the manifests whose subject is d, by digest: those that have a name, whatever their
// repository, and those in an index that the referrers tag schema keeps for d, which clients have
// written who knew no referrers API (distribution-spec, Enabling the Referrers API). They are those of
// all repositories because clients push no manifest again that they find in the pool, and because
// tools that write layouts list referrers in index.json without a name.
func (p *Pool) Referrers(ctx context.Context, _ string, d, after digest.Digest, yield func(ispec.Descriptor) bool) error {
	names, err := p.content.Names(ctx)
	if err != nil {
		return err
	}
	var candidates []digest.Digest
	schema := d.Algorithm().String() + "-" + d.Encoded()
	for name, to := range names {
		candidates = append(candidates, to.Digest)
		if _, ref, ok := p.naming.Split(name); ok && ref == schema {
			listed, err := p.children(ctx, to.Digest)
			if err != nil {
				return err
			}
			candidates = append(candidates, listed...)
		}
	}
	slices.Sort(candidates)
	for _, c := range slices.Compact(candidates) {
		if c <= after {
			continue
		}
		m, err := p.proved(ctx, c)
		if errors.Is(err, ErrNotFound) {
			continue // a name that leads nowhere hides no others
		}
		if err != nil {
			return err
		}
		if m.invalid != nil || m.content.Subject == nil || m.content.Subject.Digest != d {
			continue
		}
		if !yield(m.content.referrer(m.Manifest)) {
			return nil
		}
	}
	return nil
}

// Resolve gives what tag names in repo.
func (p *Pool) Resolve(ctx context.Context, repo, tag string) (ispec.Descriptor, error) {
	names, err := p.content.Names(ctx)
	if err != nil {
		return ispec.Descriptor{}, err
	}
	if d, ok := names[p.naming.Join(repo, tag)]; ok {
		return d, nil
	}
	for name, d := range names { // a Naming may read more names than it writes
		if r, t, ok := p.naming.Split(name); ok && r == repo && t == tag {
			return d, nil
		}
	}
	return ispec.Descriptor{}, ErrNotFound
}

// Tag makes tag name d in repo.
func (p *Pool) Tag(ctx context.Context, repo, tag string, d ispec.Descriptor) error {
	return p.content.Name(ctx, p.naming.Join(repo, tag), d)
}

// Untag forgets tag in repo: every name that is read as it, for a Naming may read more than it writes.
func (p *Pool) Untag(ctx context.Context, repo, tag string) error {
	names, err := p.content.Names(ctx)
	if err != nil {
		return err
	}
	found := false
	for name := range names {
		if r, t, ok := p.naming.Split(name); !ok || r != repo || t != tag {
			continue
		}
		if err := p.content.Unname(ctx, name); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		found = true
	}
	if !found {
		return ErrNotFound
	}
	return nil
}

// Tags lists the tags of repo.
func (p *Pool) Tags(ctx context.Context, repo string) ([]string, error) {
	names, err := p.content.Names(ctx)
	if err != nil {
		return nil, err
	}
	list, known := []string{}, false
	for name := range names {
		r, ref, ok := p.naming.Split(name)
		if !ok || r != repo {
			continue
		}
		known = true
		if validTag(ref) {
			list = append(list, ref)
		}
	}
	if !known {
		return nil, ErrNotFound
	}
	return list, nil
}

// Repositories lists the repositories.
func (p *Pool) Repositories(ctx context.Context) ([]string, error) {
	names, err := p.content.Names(ctx)
	if err != nil {
		return nil, err
	}
	var list []string
	for name := range names {
		if r, _, ok := p.naming.Split(name); ok && !slices.Contains(list, r) {
			list = append(list, r)
		}
	}
	return list, nil
}
