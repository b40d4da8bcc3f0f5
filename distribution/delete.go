package distribution

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
)

// ErrNoDelete: the registry does not delete this, or not at all.
var ErrNoDelete = errors.New("the registry does not delete this")

// Delete deletes the manifest that ref names by digest, with all its tags, or else the tag alone.
// A registry without the referrers API keeps a list of what refers to a manifest under a tag; a
// deleted manifest is taken off it (DC-45). It gives ErrNotFound, and ErrNoDelete if the registry
// refuses: many can delete manifests and not tags.
func (c *Client) Delete(ctx context.Context, ref reference.Ref) error {
	h, err := c.targetRef("delete", ref)
	if err != nil {
		return err
	}
	e := endpoint{h: h, repo: ref.Repository}
	var subject *ispec.Descriptor
	if ref.Digest != "" {
		if subject, err = c.subjectOf(ctx, e, ref); err != nil {
			return wrap("delete", ref.String(), err)
		}
	}
	if err := c.remove(ctx, e, "manifests", ref.Reference(), ref.String()); err != nil {
		return wrap("delete", ref.String(), err)
	}
	if subject == nil {
		return nil
	}
	return wrap("delete", ref.String(), c.dropReferrer(ctx, h, ref, *subject))
}

// DeleteBlob deletes a blob of the repository of ref. Manifests that need it are not asked.
func (c *Client) DeleteBlob(ctx context.Context, ref reference.Ref, d digest.Digest) error {
	h, err := c.targetRef("delete blob", ref)
	if err == nil {
		err = image.ValidateDigest(d)
	}
	at := ref.WithDigest(d).String()
	if err == nil {
		err = c.remove(ctx, endpoint{h: h, repo: ref.Repository}, "blobs", d.String(), at)
	}
	return wrap("delete blob", at, err)
}

func (c *Client) remove(ctx context.Context, e endpoint, kind, name, subject string) error {
	resp, err := c.do(ctx, e.h, request{
		method: http.MethodDelete, path: e.path(kind, name),
		scopes: scope(e.repo, "delete,pull"), repo: e.repo,
		ok: []int{http.StatusAccepted, http.StatusOK, http.StatusNoContent},
	})
	var s *StatusError
	if errors.As(err, &s) && (s.Status == http.StatusMethodNotAllowed || s.Status == http.StatusBadRequest) {
		return &Error{Op: "delete", Subject: subject, Clause: spec.Deleting, Err: fmt.Errorf("%w: %w", ErrNoDelete, err)}
	}
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// subjectOf gives the subject of a manifest that is about to be deleted; nil if it has none.
func (c *Client) subjectOf(ctx context.Context, e endpoint, ref reference.Ref) (*ispec.Descriptor, error) {
	raw, d, err := c.manifest(ctx, e, ref, ispec.Descriptor{Digest: ref.Digest})
	if errors.Is(err, image.ErrMediaType) || errors.Is(err, image.ErrMalformed) {
		return nil, nil // what cannot be read can be deleted all the same
	}
	if err != nil {
		return nil, err
	}
	if image.IsIndex(d.MediaType) {
		idx, err := image.DecodeIndex(raw, d.MediaType)
		if err != nil {
			return nil, nil //nolint:nilerr // as above
		}
		return idx.Subject, nil
	}
	m, err := image.DecodeManifest(raw, d.MediaType)
	if err != nil {
		return nil, nil //nolint:nilerr // as above
	}
	return m.Subject, nil
}

// dropReferrer takes a deleted manifest off the list that stands in for the referrers API.
func (c *Client) dropReferrer(ctx context.Context, h *host, ref reference.Ref, subject ispec.Descriptor) error {
	e := endpoint{h: h, repo: ref.Repository}
	_, err := c.referrersAPI(ctx, e, subject.Digest, "")
	if !errors.Is(err, ErrNotFound) {
		return err // the registry keeps the list itself
	}
	list, _, err := c.referrersTag(ctx, e, ref, subject.Digest)
	if err != nil {
		return err
	}
	rest := slices.DeleteFunc(slices.Clone(list), func(m ispec.Descriptor) bool { return m.Digest == ref.Digest })
	if len(rest) == len(list) {
		return nil
	}
	idx := ispec.Index{MediaType: ispec.MediaTypeImageIndex, Manifests: rest}
	idx.SchemaVersion = 2
	if rest == nil {
		idx.Manifests = []ispec.Descriptor{}
	}
	body, err := json.Marshal(idx)
	if err != nil {
		return err
	}
	p := &push{c: c, h: h, ref: ref}
	d := ispec.Descriptor{MediaType: idx.MediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
	return p.putManifest(ctx, d, body, ReferrersTag(subject.Digest), nil)
}
