package registry

import (
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options says what a Handler allows. The zero value serves read-only.
type Options struct {
	// Writable allows pushes and deletes.
	Writable bool
	// MaxManifest bounds a pushed manifest in bytes; 8 MiB if 0. The specification asks for
	// at least 4 MiB.
	MaxManifest int64
	// AllowMissingBlobs stores manifests whose config or layers are not (yet) in the repository.
	AllowMissingBlobs bool
	// NoReferrersAPI answers 404 there, as registries older than distribution-spec 1.1 do.
	NoReferrersAPI bool
	// TempDir holds uploads whose digest is not known yet; os.TempDir() if "".
	TempDir string
	// UploadAge is how long an upload session lives without a request; 1 h if 0.
	UploadAge time.Duration
	// Stall is how long a client may take for the next step of a body (64 KiB to here, 256 KiB from
	// here; a manifest has twice the time as a whole) before its connection is closed; no limit if 0.
	Stall time.Duration
	// Logger gets each request, at level info, and what a Backend failed with; nil discards.
	Logger *slog.Logger
}

// Handler serves /v2/ of a Backend.
type Handler struct {
	back    Backend
	o       Options
	log     *slog.Logger
	uploads sessions
	budget  budget
	// graph keeps deletes away from between the look for the blobs of a manifest and its names.
	graph sync.RWMutex
}

// New gives the handler of the registry that keeps its content in b. Close ends its upload
// sessions.
func New(b Backend, o Options) *Handler {
	if o.MaxManifest == 0 {
		o.MaxManifest = 8 << 20
	}
	if o.UploadAge == 0 {
		o.UploadAge = time.Hour
	}
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Handler{
		back: b, o: o, log: log, budget: newBudget(),
		uploads: sessions{dir: o.TempDir, age: o.UploadAge, wait: sessionWait, open: map[string]*session{}},
	}
}

// Close drops every unfinished upload and its temporary file.
func (h *Handler) Close() error {
	h.uploads.closeAll()
	return nil
}

// kind is what a path asks for.
type kind int

const (
	kindNone kind = iota
	kindPing
	kindCatalog
	kindTags
	kindManifest
	kindBlob
	kindUploads // start one
	kindUpload  // an open one
	kindReferrers
)

// route splits a path. The name of a repository may itself hold "tags", "blobs" and so on, so the
// path is read from its end.
func route(path string) (k kind, name, last string) {
	rest, ok := strings.CutPrefix(path, "/v2")
	if !ok || rest != "" && rest[0] != '/' {
		return kindNone, "", ""
	}
	rest = strings.TrimPrefix(rest, "/")
	switch rest {
	case "":
		return kindPing, "", ""
	case "_catalog":
		return kindCatalog, "", ""
	}
	s := strings.Split(rest, "/")
	n := len(s)
	name3 := strings.Join(s[:max(n-3, 0)], "/")
	name2 := strings.Join(s[:max(n-2, 0)], "/")
	switch {
	case n >= 4 && s[n-3] == "blobs" && s[n-2] == "uploads" && s[n-1] != "":
		return kindUpload, name3, s[n-1]
	case n >= 4 && s[n-3] == "blobs" && s[n-2] == "uploads":
		return kindUploads, name3, ""
	case n >= 3 && s[n-2] == "blobs" && s[n-1] == "uploads":
		return kindUploads, name2, ""
	case n >= 3 && s[n-2] == "tags" && s[n-1] == "list":
		return kindTags, name2, ""
	case n >= 3 && s[n-2] == "manifests":
		return kindManifest, name2, s[n-1]
	case n >= 3 && s[n-2] == "referrers":
		return kindReferrers, name2, s[n-1]
	case n >= 3 && s[n-2] == "blobs":
		return kindBlob, name2, s[n-1]
	}
	return kindNone, "", ""
}

// ServeHTTP answers one request of the distribution API.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x, watched := h.begin(w, r)
	defer x.end(h, r)
	h.serve(x, watched)
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) {
	// Docker's clients take this as the sign of a v2 registry.
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	k, name, last := route(r.URL.Path)
	if k != kindNone && k != kindPing && k != kindCatalog && !validName(name) {
		h.answer(w, r, nameInvalid(name), failure{})
		return
	}
	switch k {
	case kindPing:
		h.ping(w, r)
	case kindCatalog:
		h.catalog(w, r)
	case kindTags:
		h.tags(w, r, name)
	case kindManifest:
		h.manifest(w, r, name, last)
	case kindBlob:
		h.blob(w, r, name, last)
	case kindUploads:
		h.startUpload(w, r, name)
	case kindUpload:
		h.upload(w, r, name, last)
	case kindReferrers:
		h.referrers(w, r, name, last)
	default:
		writeFailure(w, failure{http.StatusNotFound, "UNSUPPORTED", "no such endpoint", r.URL.Path})
	}
}

func (h *Handler) ping(w http.ResponseWriter, r *http.Request) {
	if !reading(r) {
		writeFailure(w, unsupported("method not allowed here"))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = w.Write([]byte("{}"))
	}
}

func reading(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}

// mayWrite answers for a read-only registry.
func (h *Handler) mayWrite(w http.ResponseWriter) bool {
	if !h.o.Writable {
		writeFailure(w, unsupported("the registry is read-only"))
	}
	return h.o.Writable
}
