package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// pageDefault bounds a page when the client asks for no number.
const pageDefault = 10000

// page cuts from names, sorted here, what the request asks for by n and last, and says whether
// more follows.
func page(r *http.Request, names []string) (out []string, n int, more bool, err error) {
	sort.Strings(names)
	names = slices.Compact(names)
	n = pageDefault
	q := r.URL.Query()
	if q.Has("n") {
		n, err = strconv.Atoi(q.Get("n"))
		if err != nil || n < 0 {
			return nil, 0, false, failure{http.StatusBadRequest, "UNSUPPORTED", "invalid number of results requested", q.Get("n")}
		}
		n = min(n, pageDefault)
	}
	if last := q.Get("last"); last != "" { // exclusive, and need not exist any more
		i := sort.SearchStrings(names, last)
		if i < len(names) && names[i] == last {
			i++
		}
		names = names[i:]
	}
	if len(names) > n {
		return names[:n], n, n > 0, nil
	}
	return names, n, false, nil
}

func link(w http.ResponseWriter, path string, n int, last string) {
	q := url.Values{"n": {strconv.Itoa(n)}, "last": {last}}
	w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, path, q.Encode()))
}

func (h *Handler) tags(w http.ResponseWriter, r *http.Request, name string) {
	if !reading(r) {
		writeFailure(w, unsupported("method not allowed here"))
		return
	}
	all, err := h.back.Tags(r.Context(), name)
	if err != nil {
		h.answer(w, r, err, nameUnknown(name))
		return
	}
	list, n, more, err := page(r, all)
	if err != nil {
		h.answer(w, r, err, failure{})
		return
	}
	if more {
		link(w, "/v2/"+name+"/tags/list", n, list[len(list)-1])
	}
	if list == nil {
		list = []string{} // null is no list
	}
	h.writeJSON(w, r, "application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{name, list})
}

func (h *Handler) catalog(w http.ResponseWriter, r *http.Request) {
	if !reading(r) {
		writeFailure(w, unsupported("method not allowed here"))
		return
	}
	all, err := h.back.Repositories(r.Context())
	if err != nil {
		h.answer(w, r, err, nameUnknown(""))
		return
	}
	list, n, more, err := page(r, all)
	if err != nil {
		h.answer(w, r, err, failure{})
		return
	}
	if more {
		link(w, "/v2/_catalog", n, list[len(list)-1])
	}
	if list == nil {
		list = []string{}
	}
	h.writeJSON(w, r, "application/json", map[string][]string{"repositories": list})
}

// referrersPage is how many bytes of descriptors one answer has at least if there is another page.
// Clients take indexes of 4 MiB; annotations may make one descriptor larger than that.
const referrersPage = 1 << 20

func (h *Handler) referrers(w http.ResponseWriter, r *http.Request, name, ref string) {
	if h.o.NoReferrersAPI || !reading(r) {
		writeFailure(w, failure{http.StatusNotFound, "UNSUPPORTED", "no referrers API", nil})
		return
	}
	d, err := parseDigest(ref)
	if err != nil {
		h.answer(w, r, err, failure{})
		return
	}
	leave, err := h.budget.slot(r.Context())
	if err != nil {
		return // the client is gone
	}
	body, last, err := h.referrersBody(r, name, d)
	leave()
	if err != nil {
		h.answer(w, r, err, nameUnknown(name))
		return
	}
	release, err := h.budget.held(int64(len(body)))
	if err != nil {
		h.answer(w, r, err, failure{})
		return
	}
	defer release()
	q := r.URL.Query()
	want := q.Get("artifactType")
	if want != "" {
		w.Header().Set("Oci-Filters-Applied", "artifactType")
	}
	if last != "" {
		next := url.Values{"last": {last.String()}}
		if want != "" {
			next.Set("artifactType", want)
		}
		w.Header().Set("Link", fmt.Sprintf(`</v2/%s/referrers/%s?%s>; rel="next"`, name, d, next.Encode()))
	}
	h.writeBody(w, r, ispec.MediaTypeImageIndex, body)
}

// referrersBody gives one page, and the digest that it ends with if another one follows.
func (h *Handler) referrersBody(r *http.Request, name string, d digest.Digest) (body []byte, last digest.Digest, err error) {
	q := r.URL.Query()
	want := q.Get("artifactType")
	list := []json.RawMessage{} // an empty list, never null
	var bytes int
	var at digest.Digest
	var failed error
	err = h.back.Referrers(r.Context(), name, d, digest.Digest(q.Get("last")), func(m ispec.Descriptor) bool {
		if want != "" && m.ArtifactType != want {
			return true
		}
		if bytes >= referrersPage {
			last = at
			return false
		}
		var raw []byte
		if raw, failed = json.Marshal(m); failed != nil {
			return false
		}
		list, bytes, at = append(list, raw), bytes+len(raw), m.Digest
		return true
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, "", err
	}
	body, err = json.Marshal(struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		Manifests     []json.RawMessage `json:"manifests"`
	}{2, ispec.MediaTypeImageIndex, list})
	return body, last, err
}

func (h *Handler) writeJSON(w http.ResponseWriter, r *http.Request, mediaType string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		h.answer(w, r, err, failure{})
		return
	}
	h.writeBody(w, r, mediaType, body)
}

func (h *Handler) writeBody(w http.ResponseWriter, r *http.Request, mediaType string, body []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = w.Write(body)
	}
}

// contentType gives the media type of a Content-Type header without its parameters.
func contentType(s string) string {
	t, _, err := mime.ParseMediaType(s)
	if err != nil {
		return ""
	}
	return t
}
