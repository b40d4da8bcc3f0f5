package distribution

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
)

// accept lists every type of manifest that this client understands (DC-03).
func accept() http.Header {
	return http.Header{"Accept": {strings.Join([]string{
		ispec.MediaTypeImageManifest, ispec.MediaTypeImageIndex, image.DockerManifest, image.DockerManifestList,
	}, ", ")}}
}

func pullScope(repo string) []string { return scope(repo, "pull") }

// scope is the scope of a token for a repository, as go-containerregistry spells it.
func scope(repo, actions string) []string {
	return []string{name.Registry{}.Repo(repo).Scope(actions)}
}

// Resolve asks what a reference names now: media type, digest and size of a manifest or index.
// It is one HEAD with registries that answer it as they should. What is returned has been said by
// the registry and not been proved, except that a digest asked for is the digest returned.
func (c *Client) Resolve(ctx context.Context, ref reference.Ref) (ispec.Descriptor, error) {
	list, err := c.endpoints("resolve", ref)
	if err != nil {
		return ispec.Descriptor{}, err
	}
	var d ispec.Descriptor
	err = c.each(ctx, list, ref.Digest == "", func(e endpoint) error {
		d, err = c.resolveAt(ctx, e, ref)
		return err
	})
	if err != nil {
		return ispec.Descriptor{}, wrap("resolve", ref.String(), err)
	}
	return d, nil
}

// resolveAt asks one place.
func (c *Client) resolveAt(ctx context.Context, e endpoint, ref reference.Ref) (ispec.Descriptor, error) {
	d, err := c.head(ctx, e, ref)
	if err != nil || d.Digest != "" {
		return d, err
	}
	// No HEAD, or one that does not say enough: the manifest itself tells.
	_, d, err = c.manifest(ctx, e, ref, ispec.Descriptor{Digest: ref.Digest})
	return d, err
}

// named fetches what a reference names now. Its media type, digest and size are proved as far as the
// reference says them.
func (c *Client) named(ctx context.Context, ref reference.Ref) ([]byte, ispec.Descriptor, error) {
	list, err := c.endpoints("resolve", ref)
	if err != nil {
		return nil, ispec.Descriptor{}, err
	}
	var raw []byte
	var d ispec.Descriptor
	err = c.each(ctx, list, ref.Digest == "", func(e endpoint) error {
		raw, d, err = c.manifest(ctx, e, ref, ispec.Descriptor{Digest: ref.Digest})
		return err
	})
	return raw, d, wrap("resolve", ref.String(), err)
}

// wrap adds what was done to an error that does not say it yet.
func wrap(op, subject string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*Error); ok && e.Subject == subject { //nolint:errorlint // the outermost only
		return err
	}
	return &Error{Op: op, Subject: subject, Err: err}
}

// head gives the zero descriptor if the registry does not tell all of it.
func (c *Client) head(ctx context.Context, e endpoint, ref reference.Ref) (ispec.Descriptor, error) {
	resp, err := c.do(ctx, e.h, request{
		method: http.MethodHead, path: e.path("manifests", ref.Reference()),
		scopes: pullScope(e.repo), repo: e.repo, header: accept(),
		// An answer to HEAD has no body that could say why something is forbidden: GET's has.
		ok: []int{http.StatusOK, http.StatusMethodNotAllowed, http.StatusNotImplemented, http.StatusForbidden},
	})
	if err != nil {
		return ispec.Descriptor{}, err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return ispec.Descriptor{}, nil
	}
	d := ispec.Descriptor{
		MediaType: mediaType(resp.Header.Get("Content-Type")),
		Digest:    digest.Digest(resp.Header.Get("Docker-Content-Digest")),
		Size:      resp.ContentLength,
	}
	if d.Digest == "" && ref.Digest != "" {
		d.Digest = ref.Digest
	}
	if d.Digest == "" || d.Size <= 0 || !image.IsManifest(d.MediaType) && !image.IsIndex(d.MediaType) {
		return ispec.Descriptor{}, nil
	}
	if err := image.ValidateDigest(d.Digest); err != nil {
		return ispec.Descriptor{}, err
	}
	if ref.Digest != "" && d.Digest != ref.Digest {
		if d.Digest.Algorithm() == ref.Digest.Algorithm() {
			return ispec.Descriptor{}, digestHeader(d.Digest, ref.Digest)
		}
		d.Digest = ref.Digest
	}
	if d.Size > image.MaxManifestSize {
		return ispec.Descriptor{}, image.TooLarge("resolve", d, image.MaxManifestSize)
	}
	return d, nil
}

func digestHeader(got, want digest.Digest) error {
	return &Error{
		Op: "check Docker-Content-Digest", Clause: spec.DigestHeader,
		Err: fmt.Errorf("%w: the registry says %s, want %s", image.ErrDigestMismatch, got, want),
	}
}

// Manifest fetches the manifest or index d of the repository of ref, d.Digest proved. The media
// type and size of d may be empty; the descriptor returned has all three.
func (c *Client) Manifest(ctx context.Context, ref reference.Ref, d ispec.Descriptor) ([]byte, ispec.Descriptor, error) {
	list, err := c.endpoints("fetch manifest", ref)
	if err != nil {
		return nil, ispec.Descriptor{}, err
	}
	if err := image.ValidateDigest(d.Digest); err != nil {
		return nil, ispec.Descriptor{}, wrap("fetch manifest", ref.String(), err)
	}
	var raw []byte
	got, at := d, ref.WithDigest(d.Digest)
	err = c.each(ctx, list, false, func(e endpoint) error {
		raw, got, err = c.manifest(ctx, e, at, d)
		return err
	})
	return raw, got, wrap("fetch manifest", at.String(), err)
}

// manifest fetches ref; want may hold what is known of it already.
func (c *Client) manifest(ctx context.Context, e endpoint, ref reference.Ref, want ispec.Descriptor) ([]byte, ispec.Descriptor, error) {
	var raw []byte
	got := want
	err := c.retry(ctx, e.h, func() error {
		resp, err := c.do(ctx, e.h, request{
			method: http.MethodGet, path: e.path("manifests", ref.Reference()),
			scopes: pullScope(e.repo), repo: e.repo, header: accept(),
			ok: []int{http.StatusOK}, once: true,
		})
		if err != nil {
			return err
		}
		defer resp.Body.Close() //nolint:errcheck // read to its end, or given up
		raw, got, err = readManifest(resp, want)
		return err
	})
	return raw, got, err
}

// readManifest reads a manifest and proves it: its size, its digest, the digest that the registry
// claims, and that all who name its media type name the same.
func readManifest(resp *http.Response, want ispec.Descriptor) ([]byte, ispec.Descriptor, error) {
	limit := int64(image.MaxManifestSize)
	if want.Size > limit || resp.ContentLength > limit {
		return nil, want, image.TooLarge("fetch manifest", ispec.Descriptor{Digest: want.Digest, Size: max(want.Size, resp.ContentLength)}, limit)
	}
	if want.Size > 0 {
		limit = want.Size
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, want, unexpected(err)
	}
	got := want
	got.Size = int64(len(raw))
	switch {
	case want.Digest == "" && got.Size > limit:
		return nil, want, image.TooLarge("fetch manifest", got, limit)
	case want.Digest == "":
		got.Digest = digest.FromBytes(raw)
	default:
		size := want.Size
		if size <= 0 {
			size = got.Size
		}
		if err := image.VerifyBytes(raw, want.Digest, size); err != nil {
			return nil, want, &Error{Op: "check manifest", Subject: want.Digest.String(), Clause: spec.ManifestDigest, Err: err}
		}
	}
	if err := checkDigestHeader(resp.Header.Get("Docker-Content-Digest"), raw); err != nil {
		return nil, want, err
	}
	got.MediaType, err = agreedType(raw, mediaType(resp.Header.Get("Content-Type")), want.MediaType)
	return raw, got, err
}

// unexpected keeps an error of a body from being taken for its end.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: the connection was closed", ErrNetwork)
	}
	return err
}

// checkDigestHeader proves what a registry says of a body. It may use another algorithm than the
// request did (DC-06).
func checkDigestHeader(header string, raw []byte) error {
	if header == "" {
		return nil
	}
	d := digest.Digest(header)
	err := image.ValidateDigest(d)
	if errors.Is(err, image.ErrAlgorithm) {
		return nil // cannot be used, so it is not
	}
	if err == nil {
		err = image.VerifyBytes(raw, d, int64(len(raw)))
	}
	if err != nil {
		return &Error{Op: "check Docker-Content-Digest", Subject: printable(header), Clause: spec.DigestHeader, Err: err}
	}
	return nil
}

// agreedType gives the media type of a manifest. The Content-Type and the mediaType field must
// agree (DC-05), and with what the descriptor that led here says.
func agreedType(raw []byte, header, expected string) (string, error) {
	if !generic(header) {
		if expected != "" && header != expected {
			return "", typeConflict(spec.ContentTypeMatches, header, expected)
		}
		expected = header
	}
	own, err := image.DetectMediaType(raw)
	if err != nil {
		return "", err
	}
	if expected != "" && own != expected {
		clause := spec.MediaTypeConflict
		if expected == header {
			clause = spec.ContentTypeMatches
		}
		return "", typeConflict(clause, expected, own)
	}
	return own, nil
}

func typeConflict(c spec.Clause, got, want string) error {
	return &Error{
		Op: "check media type", Clause: c,
		Err: fmt.Errorf("%w: %q outside, %q inside", image.ErrMediaType, printable(got), printable(want)),
	}
}

// generic tells whether a Content-Type says nothing: that of a plain file server.
func generic(mt string) bool {
	switch mt {
	case "", "application/octet-stream", "binary/octet-stream", "application/json", "text/plain":
		return true
	}
	return false
}

// mediaType gives a Content-Type without its parameters (DC-04).
func mediaType(header string) string {
	mt, _, err := mime.ParseMediaType(header)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return printable(header)
	}
	return mt
}
