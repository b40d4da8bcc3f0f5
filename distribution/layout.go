package distribution

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/distribution/mirrorconfig"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
)

// LayoutFile fetches a document of the OCI image layout that a plain file server has at ref (see
// reference.Ref.Static): "oci-layout", "index.json", or a manifest by its path in blobs/. Nothing of
// it is proved. More than limit bytes give image.ErrTooLarge. The blobs of such a layout come from
// Blob and StatBlob, by the same rules as a registry's.
func (c *Client) LayoutFile(ctx context.Context, ref reference.Ref, name string, limit int64) ([]byte, error) {
	e, err := c.fileServer("fetch file", ref)
	if err != nil {
		return nil, err
	}
	var raw []byte
	err = c.retry(ctx, e.h, func() error {
		resp, err := c.do(ctx, e.h, request{
			method: http.MethodGet, path: e.static + name, repo: e.repo, ok: []int{http.StatusOK}, once: true,
		})
		if err != nil {
			return err
		}
		defer resp.Body.Close() //nolint:errcheck // read to its end, or given up
		raw, err = readPlain(resp, limit)
		return err
	})
	return raw, wrap("fetch file", ref.Place()+"/"+name, err)
}

// readPlain reads a document that has no digest to be proved by: that it came whole, and as it is,
// must be seen from the answer.
func readPlain(resp *http.Response, limit int64) ([]byte, error) {
	if e := resp.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return nil, fmt.Errorf("%w: it comes with Content-Encoding %q, which was not asked for", ErrProtocol, printable(e))
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, unexpected(err)
	}
	if resp.ContentLength > limit || int64(len(raw)) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", image.ErrTooLarge, limit)
	}
	return raw, nil
}

// places gives where content by digest may be asked for: the hosts of a registry, or a file server.
func (c *Client) places(op string, ref reference.Ref) ([]endpoint, error) {
	if !ref.Static() {
		return c.endpoints(op, ref)
	}
	e, err := c.fileServer(op, ref)
	return []endpoint{e}, err
}

// fileServer gives the endpoint of a layout. Its scheme is the one of the reference and never another.
// Plain http is for loopback addresses and Options.Insecure, as it is with registries.
func (c *Client) fileServer(op string, ref reference.Ref) (endpoint, error) {
	fail := func(err error) (endpoint, error) {
		return endpoint{}, &Error{Op: op, Subject: ref.String(), Err: err}
	}
	if !ref.Static() || ref.Registry == "" {
		return fail(fmt.Errorf("%w: not a layout of a file server", reference.ErrTransport))
	}
	scheme := "https"
	if ref.Transport == reference.OCIHTTP {
		scheme = "http"
		if !c.o.Insecure && !loopbackName(ref.Registry) {
			return fail(fmt.Errorf("%w: plain http to %s", ErrInsecure, printable(ref.Registry)))
		}
	}
	key := "files " + scheme + "://" + ref.Registry // a registry of that name is another host
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.hosts[key]
	if h == nil {
		h = c.newHost(ref.Registry)
		h.named = true
		h.at = mirrorconfig.Endpoint{Host: ref.Registry, Scheme: scheme, Upstream: true}
		h.scheme = scheme
		c.hosts[key] = h
	}
	base := strings.TrimSuffix(ref.Path, "/") + "/"
	return endpoint{h: h, static: base, repo: strings.Trim(base, "/"), pull: true}, nil
}

// blobFile gives the path of a blob below the root of a layout. d has been proved to be a digest.
func blobFile(d digest.Digest) string {
	return "blobs/" + d.Algorithm().String() + "/" + d.Encoded()
}

// scopes gives the scopes of a token to read from the endpoint; a file server knows none.
func (e endpoint) scopes() []string {
	if e.static != "" {
		return nil
	}
	return pullScope(e.repo)
}
