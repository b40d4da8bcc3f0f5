package distribution

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
)

// putManifest stores a manifest under the name as, a tag or its digest.
func (p *push) putManifest(ctx context.Context, d ispec.Descriptor, raw []byte, as string, subject *ispec.Descriptor) error {
	_, err := p.put(ctx, d, raw, p.path("manifests", as), subject)
	return err
}

// put is putManifest for a path; it gives the tags that the registry says it set (OCI-Tag).
func (p *push) put(ctx context.Context, d ispec.Descriptor, raw []byte, path string, subject *ispec.Descriptor) (set []string, err error) {
	p.emit(image.EventStarted, d, 0, nil)
	resp, err := p.c.do(ctx, p.h, request{
		method: http.MethodPut, path: path,
		scopes: p.scopes(), repo: p.ref.Repository,
		header: http.Header{"Content-Type": {d.MediaType}},
		body:   func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil },
		length: int64(len(raw)),
		ok:     []int{http.StatusCreated, http.StatusOK, http.StatusAccepted},
	})
	if err != nil {
		p.emit(image.EventFailed, d, 0, err)
		return nil, &Error{Op: "push manifest", Subject: d.Digest.String(), Err: err}
	}
	_ = resp.Body.Close()
	if got := digest.Digest(resp.Header.Get("Docker-Content-Digest")); got != "" && got != d.Digest &&
		image.ValidateDigest(got) == nil && got.Algorithm() == d.Digest.Algorithm() {
		return nil, &Error{
			Op: "push manifest", Subject: d.Digest.String(), Clause: spec.PushManifestBytes,
			Err: fmt.Errorf("%w: the registry stored %s", image.ErrDigestMismatch, got),
		}
	}
	p.emit(image.EventDone, d, d.Size, nil)
	set = resp.Header.Values("Oci-Tag")
	if subject != nil && resp.Header.Get("Oci-Subject") != subject.Digest.String() { // of another digest it says nothing
		return set, p.c.addReferrer(ctx, p, *subject, d, raw)
	}
	return set, nil
}

// tagged pushes d by its digest, with all its tags as parameters of one request; a tag that the registry
// does not say it set gets a request of its own (DC-34).
func (p *push) tagged(ctx context.Context, d ispec.Descriptor) error {
	if err := image.ValidateDescriptor(d); err != nil {
		return err
	}
	tags := slices.Clone(p.o.Tags)
	if p.ref.Tag != "" {
		tags = append([]string{p.ref.Tag}, tags...)
	}
	has, err := p.hasManifest(ctx, d, d.Digest.String())
	if err != nil {
		return err
	}
	var raw []byte
	var subject *ispec.Descriptor
	if has {
		raw, err = p.read(ctx, d, image.MaxManifestSize)
	} else {
		raw, subject, err = p.needed(ctx, d, 0)
	}
	if err != nil {
		return err
	}
	path := p.path("manifests", d.Digest.String()) + "?" + url.Values{"tag": tags}.Encode()
	set, err := p.put(ctx, d, raw, path, subject)
	for _, tag := range tags {
		if err != nil {
			return err
		}
		if !slices.Contains(set, tag) {
			err = p.putManifest(ctx, d, raw, tag, nil)
			set = append(set, tag)
		}
	}
	return err
}
