package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
)

func (h *Handler) manifest(w http.ResponseWriter, r *http.Request, name, ref string) {
	var err error
	switch {
	case reading(r):
		err = h.serveManifest(w, r, name, ref)
	case r.Method == http.MethodPut:
		if !h.mayWrite(w) {
			return
		}
		err = h.putManifest(w, r, name, ref)
	case r.Method == http.MethodDelete:
		if !h.mayWrite(w) {
			return
		}
		if err = h.deleteManifest(r, name, ref); err == nil {
			w.WriteHeader(http.StatusAccepted)
		}
	default:
		err = unsupported("method not allowed here")
	}
	if err != nil {
		h.answer(w, r, err, manifestUnknown(ref))
	}
}

// resolve gives the digest that ref, a tag or a digest, stands for.
func (h *Handler) resolve(r *http.Request, name, ref string) (digest.Digest, error) {
	if validTag(ref) {
		d, err := h.back.Resolve(r.Context(), name, ref)
		return d.Digest, err
	}
	return parseDigest(ref)
}

func (h *Handler) serveManifest(w http.ResponseWriter, r *http.Request, name, ref string) error {
	d, err := h.resolve(r, name, ref)
	if err != nil {
		return err
	}
	m, release, err := h.heldManifest(r.Context(), name, d)
	if err != nil {
		return err
	}
	defer release()
	hdr := w.Header()
	etag := `"` + d.String() + `"`
	hdr.Set("Docker-Content-Digest", d.String())
	hdr.Set("Etag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	hdr.Set("Content-Type", m.Descriptor.MediaType)
	hdr.Set("Content-Length", strconv.Itoa(len(m.Raw)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		if x, ok := w.(*paced); ok {
			x.extend(manifestStalls)
		}
		_, _ = w.Write(m.Raw) // a client that is gone needs no answer
	}
	return nil
}

// heldManifest reads a manifest, whose memory counts until release.
func (h *Handler) heldManifest(ctx context.Context, name string, d digest.Digest) (m Manifest, release func(), err error) {
	leave, err := h.budget.slot(ctx)
	if err != nil {
		return Manifest{}, nil, err
	}
	defer leave()
	if m, err = h.back.Manifest(ctx, name, d); err != nil {
		return Manifest{}, nil, err
	}
	release, err = h.budget.held(int64(len(m.Raw)))
	return m, release, err
}

func (h *Handler) putManifest(w http.ResponseWriter, r *http.Request, name, ref string) error {
	tags, want, err := putTarget(r, ref)
	if err != nil {
		return err
	}
	if x, ok := w.(*paced); ok {
		x.within(r, manifestStalls)
	}
	release, err := h.budget.incoming(r.Context(), r.ContentLength, h.o.MaxManifest)
	if err != nil {
		return err
	}
	defer release()
	m, c, err := h.readManifest(r, want)
	if err != nil {
		return err
	}
	h.graph.RLock()
	defer h.graph.RUnlock()
	if err := h.requireBlobs(r, name, c); err != nil {
		return err
	}
	if err := h.back.PutManifest(r.Context(), name, m); err != nil {
		return err
	}
	for _, t := range tags {
		if err := h.back.Tag(r.Context(), name, t, m.Descriptor); err != nil {
			return err
		}
		if t != ref {
			w.Header().Add("Oci-Tag", t)
		}
	}
	if c.Subject != nil && !h.o.NoReferrersAPI {
		w.Header().Set("Oci-Subject", c.Subject.Digest.String())
	}
	w.Header().Set("Docker-Content-Digest", m.Descriptor.Digest.String())
	w.Header().Set("Location", "/v2/"+name+"/manifests/"+m.Descriptor.Digest.String())
	w.WriteHeader(http.StatusCreated)
	return nil
}

// maxTags bounds the tag= parameters of one push; the specification asks for at least 10.
const maxTags = 64

// putTarget reads what a pushed manifest is to be called: its tags, and the digest it must have
// ("" if it is pushed by tag).
func putTarget(r *http.Request, ref string) (tags []string, want digest.Digest, err error) {
	if validTag(ref) {
		return []string{ref}, "", nil
	}
	if want, err = parseDigest(ref); err != nil {
		return nil, "", err
	}
	tags = r.URL.Query()["tag"]
	if len(tags) > maxTags {
		return nil, "", manifestInvalid(fmt.Sprintf("more than %d tags", maxTags))
	}
	for _, t := range tags {
		if !validTag(t) {
			return nil, "", manifestInvalid(fmt.Sprintf("invalid tag %q", t))
		}
	}
	return tags, want, nil
}

// maxQuotes bounds the strings of a pushed manifest, each of which costs its decoder more than it costs
// the client. An index of 10,000 entries with ten annotations each has as many.
const maxQuotes = 1 << 20

// readBody reads the body of a push, which is one manifest.
func (h *Handler) readBody(r *http.Request) ([]byte, error) {
	large := failure{
		http.StatusRequestEntityTooLarge, "SIZE_INVALID",
		fmt.Sprintf("manifest larger than %d bytes", h.o.MaxManifest), nil,
	}
	var raw []byte
	var err error
	switch {
	case r.ContentLength > h.o.MaxManifest:
		_, _ = io.CopyN(io.Discard, r.Body, 1<<20) // so that the client sees the answer, and not a reset connection
		return nil, large
	case r.ContentLength >= 0:
		raw = make([]byte, r.ContentLength)
		_, err = io.ReadFull(r.Body, raw)
	default:
		raw, err = io.ReadAll(io.LimitReader(r.Body, h.o.MaxManifest+1))
	}
	if err != nil {
		return nil, manifestInvalid("the body ended early")
	}
	if int64(len(raw)) > h.o.MaxManifest {
		return nil, large
	}
	return raw, nil
}

// readManifest reads and proves the body of a push.
func (h *Handler) readManifest(r *http.Request, want digest.Digest) (Manifest, content, error) {
	raw, err := h.readBody(r)
	if err != nil {
		return Manifest{}, content{}, err
	}
	if bytes.Count(raw, []byte{'"'}) > maxQuotes {
		return Manifest{}, content{}, manifestInvalid("too many strings")
	}
	leave, err := h.budget.slot(r.Context())
	if err != nil {
		return Manifest{}, content{}, err
	}
	defer leave()
	got := digest.FromBytes(raw)
	if want != "" {
		got = want.Algorithm().FromBytes(raw)
	}
	if want != "" && got != want {
		return Manifest{}, content{}, digestInvalid(fmt.Sprintf("got %s, want %s", got, want))
	}
	// What clients would read in two ways, or not at all, is not taken.
	if _, err := image.DetectMediaType(raw); err != nil {
		return Manifest{}, content{}, manifestInvalid(err.Error())
	}
	c, err := decode(raw, contentType(r.Header.Get("Content-Type")))
	if err != nil {
		return Manifest{}, content{}, err
	}
	d := ispec.Descriptor{MediaType: c.MediaType, Digest: got, Size: int64(len(raw))}
	return Manifest{Descriptor: d, Raw: raw}, c, nil
}

// requireBlobs refuses a manifest whose blobs have not been pushed before it.
func (h *Handler) requireBlobs(r *http.Request, name string, c content) error {
	if h.o.AllowMissingBlobs {
		return nil
	}
	for _, d := range c.blobs() {
		if err := d.Digest.Validate(); err != nil {
			return manifestInvalid(fmt.Sprintf("digest %q: %v", d.Digest, err))
		}
		b, err := h.back.Blob(r.Context(), name, d.Digest)
		if errors.Is(err, ErrNotFound) {
			return failure{http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN", "blob of the manifest unknown to registry", d.Digest}
		}
		if err != nil {
			return err
		}
		_ = b.Close()
	}
	return nil
}

func (h *Handler) deleteManifest(r *http.Request, name, ref string) error {
	h.graph.Lock()
	defer h.graph.Unlock()
	if validTag(ref) {
		return h.back.Untag(r.Context(), name, ref)
	}
	d, err := parseDigest(ref)
	if err != nil {
		return err
	}
	return h.back.DeleteManifest(r.Context(), name, d)
}
