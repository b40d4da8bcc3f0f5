package distribution

import (
	"context"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image/reference"
)

// ResolveTarget is Resolve of the place that Push and Delete act on: no mirror, and no other location that
// is configured for reading, answers for it. It is for those who write what is not there yet.
func (c *Client) ResolveTarget(ctx context.Context, ref reference.Ref) (ispec.Descriptor, error) {
	h, err := c.targetRef("resolve", ref)
	if err != nil {
		return ispec.Descriptor{}, err
	}
	d, err := c.resolveAt(ctx, endpoint{h: h, repo: ref.Repository}, ref)
	if err != nil {
		return ispec.Descriptor{}, wrap("resolve", ref.String(), err)
	}
	return d, nil
}

// TargetTags is Tags of the place that Push and Delete act on: for those who delete what is in the list.
func (c *Client) TargetTags(ctx context.Context, ref reference.Ref) ([]string, error) {
	h, err := c.targetRef("list tags", ref)
	if err != nil {
		return nil, err
	}
	return c.allTags(ctx, h, ref)
}
