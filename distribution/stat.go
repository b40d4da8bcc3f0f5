package distribution

import (
	"context"
	"fmt"
	"net/http"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
)

// StatBlob asks the registry for the size of a blob of the repository of ref. The size has been
// said by the registry and not been proved; Blob and a Verifier do that.
func (c *Client) StatBlob(ctx context.Context, ref reference.Ref, d digest.Digest) (ispec.Descriptor, error) {
	list, err := c.places("ask for blob", ref)
	if err != nil {
		return ispec.Descriptor{}, err
	}
	at := ref.WithDigest(d).String()
	if err := image.ValidateDigest(d); err != nil {
		return ispec.Descriptor{}, wrap("ask for blob", at, err)
	}
	got := ispec.Descriptor{MediaType: "application/octet-stream", Digest: d}
	err = c.each(ctx, list, false, func(e endpoint) error {
		resp, err := c.do(ctx, e.h, request{
			method: http.MethodHead, path: e.path("blobs", d.String()),
			scopes: e.scopes(), repo: e.repo, ok: []int{http.StatusOK},
		})
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if got.Size = resp.ContentLength; got.Size < 0 {
			return fmt.Errorf("%w: it does not say how large the blob is", ErrProtocol)
		}
		return nil
	})
	return got, wrap("ask for blob", at, err)
}
