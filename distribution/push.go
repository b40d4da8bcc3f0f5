package distribution

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
)

// PushOptions say how to push. The zero value sends each blob in one request.
type PushOptions struct {
	// Events hears of the transfer.
	Events image.EventFunc
	// Jobs is how many blobs move at once; 6 if 0.
	Jobs int
	// ChunkSize sends larger blobs in chunks of so many bytes; 0 does so only after the registry
	// refused a whole one (413).
	ChunkSize int64
	// MountFrom is another repository of the same registry that may have the blobs.
	MountFrom string
	// Mounts are repositories of the same registry that may have single blobs; the first four are
	// tried.
	Mounts map[digest.Digest]string
	// Sessions remembers uploads for a later process; nil does not.
	Sessions Sessions
	// Tags are more tags that the manifest gets.
	Tags []string
	// Sparse leaves out what an index names and the source does not have, which Source.Open tells by
	// an error that Absent knows. Registries may refuse such an index.
	Sparse bool
	Absent func(error) bool
}

type push struct {
	c    *Client
	h    *host
	ref  reference.Ref
	src  Source
	o    PushOptions
	gate chan struct{} // one entry a blob that moves
	from []string      // repositories that blobs may be mounted from
}

// Push sends what d names, an index with all below it or a manifest, to the place that ref names.
// What a manifest needs is sent before it, bytes are never changed, and what the registry has is
// not sent again. Layers that are not to be distributed are left out.
func (c *Client) Push(ctx context.Context, ref reference.Ref, src Source, d ispec.Descriptor, o PushOptions) error {
	h, err := c.targetRef("push", ref)
	if err != nil {
		return err
	}
	if o.Jobs <= 0 {
		o.Jobs = defaultJobs
	}
	if err := image.ValidateDescriptor(d); err != nil {
		return wrap("push", ref.String(), err)
	}
	if ref.Digest != "" && ref.Digest != d.Digest {
		return wrap("push", ref.String(), fmt.Errorf("%w: the content is %s", image.ErrDigestMismatch, d.Digest))
	}
	p := &push{c: c, h: h, ref: ref, src: src, o: o, gate: make(chan struct{}, o.Jobs), from: o.repositories(ref.Repository)}
	// A registry gives what is pushed by a tag alone a sha256 digest: another one goes with the digest.
	byTag := ref.Tag == "" || ref.Digest != "" || d.Digest.Algorithm() == digest.SHA256
	if len(o.Tags) == 0 && byTag {
		return wrap("push", ref.String(), p.node(ctx, d, ref.Reference(), 0))
	}
	return wrap("push", ref.String(), p.tagged(ctx, d))
}

// maxMounts bounds the repositories that blobs are mounted from: the token has a scope for each.
const maxMounts = 4

// repositories lists those that blobs may be mounted from.
func (o PushOptions) repositories(own string) []string {
	var list []string
	if o.MountFrom != "" && o.MountFrom != own {
		list = append(list, o.MountFrom)
	}
	for _, repo := range slices.Sorted(maps.Values(o.Mounts)) {
		if repo != "" && repo != own && !slices.Contains(list, repo) && len(list) < maxMounts {
			list = append(list, repo)
		}
	}
	return list
}

// mountFrom gives the repository to mount a blob from; "" if none is known.
func (p *push) mountFrom(d digest.Digest) string {
	for _, repo := range [...]string{p.o.Mounts[d], p.o.MountFrom} {
		if slices.Contains(p.from, repo) {
			return repo
		}
	}
	return ""
}

func (p *push) emit(kind image.EventKind, d ispec.Descriptor, at int64, err error) {
	p.o.Events.Emit(image.Event{Kind: kind, Descriptor: d, Ref: p.ref.String(), Bytes: at, Total: d.Size, Err: err})
}

// path gives the path of a request below the repository.
func (p *push) path(kind, name string) string {
	return endpoint{h: p.h, repo: p.ref.Repository}.path(kind, name)
}

func (p *push) scopes() []string {
	s := scope(p.ref.Repository, "pull,push")
	for _, repo := range p.from {
		s = append(s, pullScope(repo)...)
	}
	return s
}

// node pushes a manifest or index with all it needs, under the name as.
func (p *push) node(ctx context.Context, d ispec.Descriptor, as string, depth int) error {
	if depth > image.MaxIndexDepth {
		return fmt.Errorf("index %s: %w: more than %d indexes within each other", d.Digest, image.ErrMalformed, image.MaxIndexDepth)
	}
	if err := image.ValidateDescriptor(d); err != nil {
		return err
	}
	if ok, err := p.hasManifest(ctx, d, as); ok || err != nil {
		if ok {
			p.emit(image.EventReused, d, d.Size, nil)
		}
		return err
	}
	raw, subject, err := p.needed(ctx, d, depth)
	if err != nil {
		return err
	}
	return p.putManifest(ctx, d, raw, as, subject)
}

// needed pushes what a manifest or index needs, and gives its bytes and its subject.
func (p *push) needed(ctx context.Context, d ispec.Descriptor, depth int) (raw []byte, subject *ispec.Descriptor, err error) {
	if raw, err = p.read(ctx, d, image.MaxManifestSize); err != nil {
		return nil, nil, err
	}
	switch {
	case image.IsIndex(d.MediaType):
		idx, err := image.DecodeIndex(raw, d.MediaType)
		if err != nil {
			return nil, nil, err
		}
		for _, m := range idx.Manifests {
			err := p.node(ctx, m, m.Digest.String(), depth+1)
			if err != nil && !(p.o.Sparse && p.o.Absent != nil && p.o.Absent(err)) {
				return nil, nil, err
			}
		}
		return raw, idx.Subject, nil
	case image.IsManifest(d.MediaType):
		m, err := image.DecodeManifest(raw, d.MediaType)
		if err != nil {
			return nil, nil, err
		}
		return raw, m.Subject, p.blobs(ctx, m)
	}
	return raw, nil, nil // an index may hold what only others understand (IS-I1)
}

// read gives content from the source, proved: what is wrong here must not get there.
func (p *push) read(ctx context.Context, d ispec.Descriptor, limit int64) ([]byte, error) {
	r, err := p.src.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // read only
	return image.ReadAll(r, d, limit)
}

// hasManifest tells whether the registry has d under the name as.
func (p *push) hasManifest(ctx context.Context, d ispec.Descriptor, as string) (bool, error) {
	resp, err := p.c.do(ctx, p.h, request{
		method: http.MethodHead, path: p.path("manifests", as),
		scopes: p.scopes(), repo: p.ref.Repository, header: accept(),
		ok: []int{http.StatusOK, http.StatusNotFound, http.StatusMethodNotAllowed},
	})
	if err != nil {
		return false, err
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK && resp.Header.Get("Docker-Content-Digest") == d.Digest.String(), nil
}

// blobs pushes the config and the layers of a manifest, largest first.
func (p *push) blobs(ctx context.Context, m ispec.Manifest) error {
	list := distinct(append([]ispec.Descriptor{m.Config}, m.Layers...))
	list = slices.DeleteFunc(list, func(d ispec.Descriptor) bool { return image.IsForeign(d.MediaType) })
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(p.o.Jobs)
	for _, d := range list {
		g.Go(func() error {
			err := p.blob(gctx, d)
			if err != nil {
				err = wrap("push blob", d.Digest.String(), err)
				p.emit(image.EventFailed, d, 0, err)
			}
			return err
		})
	}
	return g.Wait()
}

// blob pushes one blob, unless it is there.
func (p *push) blob(ctx context.Context, d ispec.Descriptor) error {
	resp, err := p.c.do(ctx, p.h, request{
		method: http.MethodHead, path: p.path("blobs", d.Digest.String()),
		scopes: p.scopes(), repo: p.ref.Repository, ok: []int{http.StatusOK, http.StatusNotFound},
	})
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		p.emit(image.EventReused, d, d.Size, nil)
		return nil
	}
	p.emit(image.EventStarted, d, 0, nil)
	u := &upload{p: p, d: d}
	if done, err := u.goOn(ctx); done || err != nil {
		if done {
			u.forget()
			p.emit(image.EventDone, d, d.Size, nil)
		}
		return err
	}
	whole := p.o.ChunkSize <= 0 || d.Size <= p.o.ChunkSize
	if whole {
		err = u.whole(ctx)
		var s *StatusError
		if errors.As(err, &s) && s.Status == http.StatusRequestEntityTooLarge && d.Size > 0 {
			whole = false // a proxy that bounds bodies, most likely
		}
	}
	if !whole {
		err = u.chunked(ctx)
	}
	if err != nil {
		return err
	}
	u.forget()
	p.emit(image.EventDone, d, d.Size, nil)
	return nil
}
