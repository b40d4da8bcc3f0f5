package registry

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// startUpload serves POST /v2/<name>/blobs/uploads/: a mount, a whole blob, or a new session.
func (h *Handler) startUpload(w http.ResponseWriter, r *http.Request, name string) {
	if r.Method != http.MethodPost {
		writeFailure(w, unsupported("method not allowed here"))
		return
	}
	if !h.mayWrite(w) {
		return
	}
	q := r.URL.Query()
	if m := q.Get("mount"); m != "" && h.mount(w, r, name, m, q.Get("from")) {
		return
	}
	if a := q.Get("digest-algorithm"); a != "" && !digest.Algorithm(a).Available() {
		h.answer(w, r, digestInvalid("algorithm "+a+" is not supported"), failure{})
		return
	}
	if s := q.Get("digest"); s != "" {
		d, err := parseDigest(s)
		if err == nil {
			err = h.putWhole(w, r, name, d)
		}
		h.finished(w, r, name, d, err)
		return
	}
	s, err := h.uploads.start(name)
	if err != nil {
		h.answer(w, r, err, failure{})
		return
	}
	h.accepted(w, name, s.id, 0, http.StatusAccepted)
}

// mount tries to serve a mount; false means that an ordinary upload is to be offered.
func (h *Handler) mount(w http.ResponseWriter, r *http.Request, name, ref, from string) bool {
	d, err := parseDigest(ref)
	if err != nil || from != "" && !validName(from) {
		return false
	}
	if err := h.back.MountBlob(r.Context(), name, from, d); err != nil {
		return false
	}
	h.finished(w, r, name, d, nil)
	return true
}

// putWhole stores a body that is a whole blob. It waits in a session of its own until it is complete:
// a backend may let nobody else store the same blob meanwhile, and a client can take its time.
func (h *Handler) putWhole(w http.ResponseWriter, r *http.Request, name string, d digest.Digest) error {
	s, err := h.uploads.start(name)
	if err != nil {
		return err
	}
	s.busy <- struct{}{} // free: nobody knows the session
	defer h.uploads.release(s)
	defer h.uploads.drop(s)
	if _, err := s.append(r.Body, r.ContentLength); err != nil {
		return err
	}
	return h.commit(w, r, s, d)
}

// commit gives the whole session to the backend, which proves it. It may take long for a large blob.
func (h *Handler) commit(w http.ResponseWriter, r *http.Request, s *session, d digest.Digest) error {
	if x, ok := w.(*paced); ok {
		x.unbounded()
	}
	return h.back.PutBlob(r.Context(), s.name, ispec.Descriptor{
		MediaType: "application/octet-stream", Digest: d, Size: s.size,
	}, s.reader())
}

// upload serves an open session.
func (h *Handler) upload(w http.ResponseWriter, r *http.Request, name, id string) {
	if !h.mayWrite(w) {
		return
	}
	s, err := h.uploads.take(r.Context(), name, id)
	if err != nil {
		h.answer(w, r, err, failure{})
		return
	}
	defer h.uploads.release(s)
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		h.accepted(w, name, id, s.size, http.StatusNoContent)
	case http.MethodPatch:
		if err := s.chunk(r); err != nil {
			if f, ok := err.(failure); ok && f.status == http.StatusRequestedRangeNotSatisfiable { //nolint:errorlint // made by chunk itself
				h.uploadHeaders(w, name, id, s.size)
			}
			h.answer(w, r, err, uploadUnknown(id))
			return
		}
		h.accepted(w, name, id, s.size, http.StatusAccepted)
	case http.MethodPut:
		h.finishUpload(w, r, s)
	case http.MethodDelete:
		h.uploads.drop(s)
		w.WriteHeader(http.StatusNoContent)
	default:
		writeFailure(w, unsupported("method not allowed here"))
	}
}

// finishUpload serves the PUT that closes a session, with or without a last chunk.
func (h *Handler) finishUpload(w http.ResponseWriter, r *http.Request, s *session) {
	d, err := parseDigest(r.URL.Query().Get("digest"))
	if err != nil {
		h.answer(w, r, err, failure{})
		return
	}
	if err = s.chunk(r); err != nil {
		h.uploadHeaders(w, s.name, s.id, s.size)
		h.answer(w, r, err, uploadUnknown(s.id))
		return
	}
	err = h.commit(w, r, s, d)
	h.uploads.drop(s) // a failed session is of no use: its bytes are wrong
	h.finished(w, r, s.name, d, err)
}

// chunk appends the body of a PATCH or PUT to s, which the request must continue exactly.
func (s *session) chunk(r *http.Request) error {
	length := r.ContentLength
	if cr := r.Header.Get("Content-Range"); cr != "" {
		first, last, ok := chunkRange(cr)
		if !ok {
			return rangeInvalid("malformed Content-Range")
		}
		if first != s.size {
			return rangeInvalid(fmt.Sprintf("the upload continues at %d", s.size))
		}
		if length < 0 {
			length = last - first + 1
		}
		if length != last-first+1 {
			return sizeInvalid("Content-Range and Content-Length disagree")
		}
	}
	_, err := s.append(r.Body, length)
	return err
}

// chunkRange reads the Content-Range of a chunk: "<first>-<last>", both inclusive. RFC 9110's
// "bytes first-last/size" is met too.
func chunkRange(s string) (first, last int64, ok bool) {
	s = strings.TrimPrefix(s, "bytes ")
	s, _, _ = strings.Cut(s, "/")
	a, b, ok := strings.Cut(s, "-")
	if !ok {
		return 0, 0, false
	}
	x, err1 := strconv.ParseUint(a, 10, 63)
	y, err2 := strconv.ParseUint(b, 10, 63)
	if err1 != nil || err2 != nil || y < x {
		return 0, 0, false
	}
	return int64(x), int64(y), true
}

func (h *Handler) uploadHeaders(w http.ResponseWriter, name, id string, size int64) {
	w.Header().Set("Location", "/v2/"+name+"/blobs/uploads/"+id)
	w.Header().Set("Docker-Upload-Uuid", id)
	// The last byte received. An empty upload has none; "0-0" is what clients know for it.
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(size-1, 0)))
}

func (h *Handler) accepted(w http.ResponseWriter, name, id string, size int64, status int) {
	h.uploadHeaders(w, name, id, size)
	if status != http.StatusNoContent {
		w.Header().Set("Content-Length", "0")
	}
	w.WriteHeader(status)
}

func (h *Handler) finished(w http.ResponseWriter, r *http.Request, name string, d digest.Digest, err error) {
	if err != nil {
		// What is left of the body is read, within reason, so that the client sees the answer
		// and not a reset connection.
		_, _ = io.CopyN(io.Discard, r.Body, 1<<20)
		h.answer(w, r, err, blobUnknown(d))
		return
	}
	w.Header().Set("Docker-Content-Digest", d.String())
	w.Header().Set("Location", "/v2/"+name+"/blobs/"+d.String())
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
}
