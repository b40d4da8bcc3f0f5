package distribution

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
)

// maxPages bounds how often a list may say that more follows.
const maxPages = 1000

// Referrers lists the manifests of the repository of ref whose subject is d, of the artifact type
// given, or of all if "". Registries without the API are asked for the tag that stands in for it.
// Mirrors that may say so are asked first.
func (c *Client) Referrers(ctx context.Context, ref reference.Ref, d digest.Digest, artifactType string) ([]ispec.Descriptor, error) {
	places, err := c.endpoints("list referrers", ref)
	if err != nil {
		return nil, err
	}
	if err := image.ValidateDigest(d); err != nil {
		return nil, wrap("list referrers", ref.String(), err)
	}
	var list []ispec.Descriptor
	err = c.eachList(ctx, places, func(e endpoint) bool { return e.refs }, func(e endpoint, last bool) error {
		list, err = c.referrersAPI(ctx, e, d, artifactType)
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		notFound := err
		var known bool
		list, known, err = c.referrersTag(ctx, e, ref, d)
		if err == nil && !known && !last {
			return notFound // a mirror that knows neither knows nothing
		}
		return err
	})
	if err != nil {
		return nil, wrap("list referrers", ref.WithDigest(d).String(), err)
	}
	// Whatever filters the registry applied, what is returned is what was asked for (DC-43).
	return slices.DeleteFunc(list, func(m ispec.Descriptor) bool {
		return artifactType != "" && m.ArtifactType != artifactType
	}), nil
}

func (c *Client) referrersAPI(ctx context.Context, e endpoint, d digest.Digest, artifactType string) ([]ispec.Descriptor, error) {
	path := e.path("referrers", d.String())
	if artifactType != "" {
		sep := "?"
		if e.ns != "" {
			sep = "&"
		}
		path += sep + "artifactType=" + url.QueryEscape(artifactType)
	}
	var list []ispec.Descriptor
	err := c.pages(ctx, e.h, e.repo, path, func(resp *http.Response) error {
		raw, _, err := readManifest(resp, ispec.Descriptor{MediaType: ispec.MediaTypeImageIndex})
		if err != nil {
			return err
		}
		idx, err := image.DecodeIndex(raw, ispec.MediaTypeImageIndex)
		list = append(list, idx.Manifests...)
		return err
	})
	return list, err
}

// pages reads a list page by page, following Link (DC-44, DC-50).
func (c *Client) pages(ctx context.Context, h *host, repo, path string, page func(*http.Response) error) error {
	r := request{
		method: http.MethodGet, path: path, repo: repo, header: http.Header{},
		ok: []int{http.StatusOK},
	}
	if repo != "" {
		r.scopes = pullScope(repo)
	}
	first, err := url.Parse(path)
	if err != nil {
		return &Error{Op: "list", Subject: printable(path), Err: ErrProtocol}
	}
	for range maxPages {
		resp, err := c.do(ctx, h, r)
		if err != nil {
			return err
		}
		err = page(resp)
		_ = resp.Body.Close()
		if err != nil {
			return err
		}
		next := nextLink(resp.Header.Values("Link"))
		if next == "" {
			return nil
		}
		u, err := resp.Request.URL.Parse(next)
		if err != nil || !sameOrigin(u, &url.URL{Scheme: resp.Request.URL.Scheme, Host: h.api}) {
			return &Error{Op: "follow Link", Subject: printable(next), Clause: spec.TagPagination, Err: ErrProtocol}
		}
		if ns, q := first.Query().Get("ns"), u.Query(); ns != "" && q.Get("ns") == "" {
			q.Set("ns", ns) // a mirror of several registries is told which with every page
			u.RawQuery = q.Encode()
		}
		r.path = u.RequestURI()
	}
	return &Error{Op: "follow Link", Clause: spec.TagPagination, Err: ErrProtocol}
}

// nextLink finds `<target>; rel="next"` (RFC 8288).
func nextLink(values []string) string {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			target, params, ok := strings.Cut(strings.TrimSpace(part), ">")
			target, is := strings.CutPrefix(target, "<")
			if !ok || !is {
				continue
			}
			for p := range strings.SplitSeq(params, ";") {
				name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
				if strings.EqualFold(name, "rel") && strings.EqualFold(strings.Trim(value, `"`), "next") {
					return target
				}
			}
		}
	}
	return ""
}

// referrersTag reads the list from the tag that stands in for the API. No such tag, or one that
// names no index, is an empty list (DC-41); known tells that there is a list.
func (c *Client) referrersTag(ctx context.Context, e endpoint, ref reference.Ref, d digest.Digest) (list []ispec.Descriptor, known bool, err error) {
	at := ref
	at.Digest, at.Tag = "", ReferrersTag(d)
	raw, desc, err := c.manifest(ctx, e, at, ispec.Descriptor{})
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, image.ErrMediaType), errors.Is(err, image.ErrMalformed):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	case !image.IsIndex(desc.MediaType):
		return nil, false, nil
	}
	idx, err := image.DecodeIndex(raw, desc.MediaType)
	if err != nil {
		return nil, false, nil //nolint:nilerr // DC-41: a bad index there means no referrers
	}
	return idx.Manifests, true, nil
}

// ReferrersTag gives the tag that stands in for the referrers API: the algorithm cut to 32
// characters, "-", the encoded part cut to 64 (DC-42). d must be valid.
func ReferrersTag(d digest.Digest) string {
	alg, enc := d.Algorithm().String(), d.Encoded()
	tag := []byte(alg[:min(len(alg), 32)] + "-" + enc[:min(len(enc), 64)])
	for i, b := range tag {
		word := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_' || b == '.' || b == '-'
		if !word {
			tag[i] = '-'
		}
	}
	return string(tag)
}

// addReferrer enters d, a manifest just pushed, into the tag that stands in for the referrers API
// (DC-40). Two who do this at once may overwrite each other: the list is read again afterwards.
func (c *Client) addReferrer(ctx context.Context, p *push, subject, d ispec.Descriptor, raw []byte) error {
	fail := func(err error) error {
		return &Error{Op: "list as referrer", Subject: d.Digest.String(), Clause: spec.PushSubject, Err: err}
	}
	entry, err := referrer(d, raw)
	if err != nil {
		return fail(err)
	}
	at := p.ref
	at.Digest, at.Tag = "", ReferrersTag(subject.Digest)
	for range 5 {
		list, _, err := c.referrersTag(ctx, endpoint{h: p.h, repo: p.ref.Repository}, at, subject.Digest)
		if err != nil {
			return fail(err)
		}
		if slices.ContainsFunc(list, func(m ispec.Descriptor) bool { return m.Digest == d.Digest }) {
			return nil
		}
		idx := ispec.Index{MediaType: ispec.MediaTypeImageIndex, Manifests: append(list, entry)}
		idx.SchemaVersion = 2
		body, err := json.Marshal(idx)
		if err != nil {
			return fail(err)
		}
		desc := ispec.Descriptor{MediaType: idx.MediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
		if err := p.putManifest(ctx, desc, body, at.Tag, nil); err != nil {
			return fail(err)
		}
	}
	return fail(ErrProtocol) // it never appears in what we wrote
}

// referrer describes a manifest as a list of referrers shows it.
func referrer(d ispec.Descriptor, raw []byte) (ispec.Descriptor, error) {
	out := ispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
	if image.IsIndex(d.MediaType) {
		idx, err := image.DecodeIndex(raw, d.MediaType)
		out.ArtifactType, out.Annotations = idx.ArtifactType, idx.Annotations
		return out, err
	}
	m, err := image.DecodeManifest(raw, d.MediaType)
	out.ArtifactType, out.Annotations = m.ArtifactType, m.Annotations
	if out.ArtifactType == "" {
		out.ArtifactType = m.Config.MediaType
	}
	return out, err
}
