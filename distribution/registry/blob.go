package registry

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

func (h *Handler) blob(w http.ResponseWriter, r *http.Request, name, ref string) {
	d, err := parseDigest(ref)
	if err != nil {
		h.answer(w, r, err, failure{})
		return
	}
	switch {
	case reading(r):
		h.serveBlob(w, r, name, d)
	case r.Method == http.MethodDelete:
		if !h.mayWrite(w) {
			return
		}
		h.graph.Lock()
		err := h.back.DeleteBlob(r.Context(), name, d)
		h.graph.Unlock()
		if err != nil {
			h.answer(w, r, err, blobUnknown(d))
			return
		}
		w.WriteHeader(http.StatusAccepted)
	default:
		writeFailure(w, unsupported("method not allowed here"))
	}
}

func (h *Handler) serveBlob(w http.ResponseWriter, r *http.Request, name string, d digest.Digest) {
	b, err := h.back.Blob(r.Context(), name, d)
	if err != nil {
		h.answer(w, r, err, blobUnknown(d))
		return
	}
	defer b.Close() //nolint:errcheck // read only

	etag := `"` + d.String() + `"`
	hdr := w.Header()
	hdr.Set("Docker-Content-Digest", d.String())
	hdr.Set("Etag", etag)
	hdr.Set("Accept-Ranges", "bytes")
	hdr.Set("Content-Type", "application/octet-stream")
	hdr.Set("Cache-Control", "max-age=31536000, immutable") // its name is its content
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	rg, ok := wholeRange(b.Size), true
	if ir := r.Header.Get("If-Range"); ir == "" || ir == etag {
		rg, ok = parseRange(r.Header.Get("Range"), b.Size)
	}
	if !ok {
		hdr.Set("Content-Range", fmt.Sprintf("bytes */%d", b.Size))
		writeFailure(w, failure{http.StatusRequestedRangeNotSatisfiable, "SIZE_INVALID", "range not satisfiable", r.Header.Get("Range")})
		return
	}
	status := http.StatusOK
	if rg.partial {
		status = http.StatusPartialContent
		hdr.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", rg.first, rg.first+rg.length-1, b.Size))
	}
	hdr.Set("Content-Length", strconv.FormatInt(rg.length, 10))
	if r.Method == http.MethodHead {
		w.WriteHeader(status)
		return
	}
	if err := b.skip(rg.first); err != nil {
		hdr.Del("Content-Range")
		hdr.Del("Content-Length")
		h.answer(w, r, fmt.Errorf("seek blob %s: %w", d, err), failure{})
		return
	}
	w.WriteHeader(status)
	// The ReadCloser itself and not b: of a file, net/http then makes a sendfile.
	if _, err := io.CopyN(w, b.ReadCloser, rg.length); err != nil {
		// The status is sent: the client sees a body shorter than its Content-Length.
		h.log.DebugContext(r.Context(), "serve blob", "digest", d, "err", err)
	}
}

func (b Blob) skip(n int64) error {
	if n == 0 {
		return nil
	}
	if s, ok := b.ReadCloser.(io.Seeker); ok {
		_, err := s.Seek(n, io.SeekStart)
		return err
	}
	_, err := io.CopyN(io.Discard, b, n)
	return err
}

type byteRange struct {
	first, length int64
	partial       bool
}

func wholeRange(size int64) byteRange { return byteRange{length: size} }

// parseRange reads a Range header (RFC 9110 14.2). ok is false for one that no byte satisfies.
// What is no single range of bytes is answered whole, as the RFC allows.
func parseRange(s string, size int64) (r byteRange, ok bool) {
	spec, is := strings.CutPrefix(s, "bytes=")
	if !is || strings.Contains(spec, ",") {
		return wholeRange(size), true
	}
	from, to, is := strings.Cut(strings.TrimSpace(spec), "-")
	if !is {
		return wholeRange(size), true
	}
	if from == "" { // the last n bytes
		n, err := strconv.ParseUint(to, 10, 63)
		if err != nil {
			return wholeRange(size), true
		}
		if n == 0 || size == 0 {
			return byteRange{}, false
		}
		k := min(int64(n), size)
		return byteRange{first: size - k, length: k, partial: true}, true
	}
	a, err := strconv.ParseUint(from, 10, 63)
	if err != nil {
		return wholeRange(size), true
	}
	first, last := int64(a), size-1
	if to != "" {
		z, err := strconv.ParseUint(to, 10, 63)
		if err != nil {
			return wholeRange(size), true
		}
		if int64(z) < first { // may be ignored or refused (RFC 9110 14.2): a client that errs is told
			return byteRange{}, false
		}
		last = min(last, int64(z))
	}
	if first >= size {
		return byteRange{}, false
	}
	return byteRange{first: first, length: last - first + 1, partial: true}, true
}
