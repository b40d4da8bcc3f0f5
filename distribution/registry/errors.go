package registry

import (
	"encoding/json"
	"errors"
	"net/http"
)

// What a Backend reports, tested with errors.Is; any other error of a Backend becomes status 500.
var (
	// ErrNotFound: the repository, tag, manifest or blob is not there.
	ErrNotFound = errors.New("not found")
	// ErrDigestMismatch: the bytes given to PutBlob do not have the digest of the descriptor.
	ErrDigestMismatch = errors.New("digest mismatch")
	// ErrSizeMismatch: the bytes given to PutBlob do not have the size of the descriptor.
	ErrSizeMismatch = errors.New("size mismatch")
	// ErrUnsupported: the Backend cannot do this (delete from a read-only layout, for example).
	ErrUnsupported = errors.New("unsupported")
	// ErrInUse: what is to be deleted is part of something that stays.
	ErrInUse = errors.New("in use")
	// ErrInvalid: a manifest contradicts itself, its media type or its digest.
	ErrInvalid = errors.New("invalid manifest")
)

// A failure is an answer of the API that is not a success: the code is one of the
// distribution-spec's code-1 to code-14.
type failure struct {
	status  int
	code    string
	message string
	detail  any
}

func (f failure) Error() string { return f.message }

func blobUnknown(detail any) failure {
	return failure{http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry", detail}
}

func uploadUnknown(id string) failure {
	return failure{http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", id}
}

func manifestUnknown(ref string) failure {
	return failure{http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown to registry", ref}
}

func nameUnknown(name string) failure {
	return failure{http.StatusNotFound, "NAME_UNKNOWN", "repository name not known to registry", name}
}

func nameInvalid(name string) failure {
	return failure{http.StatusBadRequest, "NAME_INVALID", "invalid repository name", name}
}

func digestInvalid(detail string) failure {
	return failure{http.StatusBadRequest, "DIGEST_INVALID", "provided digest did not match uploaded content, or is malformed", detail}
}

func sizeInvalid(detail string) failure {
	return failure{http.StatusBadRequest, "SIZE_INVALID", "provided length did not match content length", detail}
}

func manifestInvalid(why string) failure {
	return failure{http.StatusBadRequest, "MANIFEST_INVALID", why, nil}
}

func unsupported(why string) failure {
	return failure{http.StatusMethodNotAllowed, "UNSUPPORTED", why, nil}
}

func rangeInvalid(why string) failure {
	return failure{http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", why, nil}
}

// answer writes err in the JSON form of the specification. onNotFound is what ErrNotFound means
// for this request.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, err error, onNotFound failure) {
	var f failure
	switch {
	case errors.As(err, &f):
	case errors.Is(err, ErrNotFound):
		f = onNotFound
	case errors.Is(err, ErrDigestMismatch):
		f = digestInvalid(err.Error())
	case errors.Is(err, ErrSizeMismatch):
		f = sizeInvalid(err.Error())
	case errors.Is(err, ErrUnsupported):
		f = unsupported(err.Error())
	case errors.Is(err, ErrInUse):
		f = failure{http.StatusMethodNotAllowed, "DENIED", "part of an image that is still there", nil}
	case errors.Is(err, ErrInvalid):
		f = manifestInvalid(err.Error())
	case r.Context().Err() != nil:
		return // the client is gone: there is no one to answer
	default:
		h.log.ErrorContext(r.Context(), "serve", "method", r.Method, "path", r.URL.Path, "err", err)
		// The text of an inner error may hold paths of this machine: it is logged, not sent.
		f = failure{http.StatusInternalServerError, "UNKNOWN", "internal error", nil}
	}
	writeFailure(w, f)
}

// retryAfter is how many seconds a client is asked to wait that the registry has no room for. Uploads
// end every few seconds; a shorter time would make a full registry busy with refusals.
const retryAfter = "5"

func writeFailure(w http.ResponseWriter, f failure) {
	type item struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Detail  any    `json:"detail,omitempty"`
	}
	body, err := json.Marshal(map[string][]item{"errors": {{f.code, f.message, f.detail}}})
	if err != nil {
		body = []byte(`{"errors":[{"code":"UNKNOWN","message":"internal error"}]}`)
	}
	w.Header().Set("Content-Type", "application/json")
	if f.status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", retryAfter)
	}
	w.WriteHeader(f.status)
	_, _ = w.Write(body) // a client that is gone needs no answer
}
