package registry

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"

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
	list, err := h.back.Referrers(r.Context(), name, d)
	if err != nil {
		h.answer(w, r, err, nameUnknown(name))
		return
	}
	out := make([]ispec.Descriptor, 0, len(list)) // an empty list, never null
	want := r.URL.Query().Get("artifactType")
	for _, m := range list {
		if want == "" || m.ArtifactType == want {
			out = append(out, m)
		}
	}
	if want != "" {
		w.Header().Set("Oci-Filters-Applied", "artifactType")
	}
	idx := ispec.Index{MediaType: ispec.MediaTypeImageIndex, Manifests: out}
	idx.SchemaVersion = 2
	h.writeJSON(w, r, ispec.MediaTypeImageIndex, idx)
}

func (h *Handler) writeJSON(w http.ResponseWriter, r *http.Request, mediaType string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		h.answer(w, r, err, failure{})
		return
	}
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
