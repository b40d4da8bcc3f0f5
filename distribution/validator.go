package distribution

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/oci-pipeline/oci/image"
)

// maxETag bounds what is remembered; a longer one is not, and does no harm.
const maxETag = 512

// A validator remembers the ETag of the answer that the first bytes of a blob came with, and from
// where. The digest proves the blob; this only tells early that the bytes that are there and those
// that would follow belong to different content, before the rest is fetched for nothing.
type validator struct {
	api  string // the endpoint that was asked
	host string // the host that gave the bytes: the endpoint, or where it led
	etag string // strong; "" if none is known
	keep func(note string)
	off  bool // it was wrong before: servers behind one name may not agree on ETags
}

// newValidator takes up what an earlier process left beside its bytes, and leaves what it learns.
func newValidator(ing Ingest, off bool) *validator {
	v := &validator{off: off}
	noted, ok := ing.(Noted)
	if !ok {
		return v
	}
	v.keep = noted.SetNote
	if ing.Offset() == 0 {
		return v
	}
	if part := strings.SplitN(noted.Note(), " ", 3); len(part) == 3 && strongETag(part[2]) != "" {
		v.api, v.host, v.etag = part[0], part[1], part[2]
	}
	return v
}

// condition gives the value of If-Range for a request to e; "" is to send none. Only the place that
// said the ETag knows what it means, and a weak one must not be sent (RFC 9110 13.1.5).
func (v *validator) condition(e endpoint) string {
	if v.off || e.foreign != nil || e.h.api != v.api {
		return ""
	}
	return v.etag
}

// check compares an answer from e with what is remembered, or remembers it. condition is what was
// sent with the request.
func (v *validator) check(e endpoint, resp *http.Response, condition string) error {
	host, etag := resp.Request.URL.Host, strongETag(resp.Header.Get("ETag"))
	known := v.etag != "" && e.foreign == nil && v.api == e.h.api && v.host == host
	switch {
	case v.off || resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent:
	case known && etag != "" && etag != v.etag:
		return errChanged
	case condition != "" && resp.StatusCode == http.StatusOK:
		// It leads to another host now, whose ETags are its own, and which thus gives the whole blob.
		// Or it is a server that does not know If-Range.
		v.off = true
		return errCondition
	case !known && etag != "" && e.foreign == nil:
		v.api, v.host, v.etag = e.h.api, host, etag
		if v.keep != nil {
			v.keep(v.api + " " + v.host + " " + v.etag)
		}
	}
	return nil
}

// strongETag gives an ETag that stands for the same bytes, not only for the same meaning; "" if s
// is none, or too long.
func strongETag(s string) string {
	if len(s) < 2 || len(s) > maxETag || s[0] != '"' || s[len(s)-1] != '"' {
		return ""
	}
	for i := 1; i < len(s)-1; i++ { // etagc of RFC 9110 8.8.3
		if c := s[i]; c <= ' ' || c == '"' || c == 0x7f {
			return ""
		}
	}
	return s
}

// errChanged: the bytes that are there and those that would follow are of different content. They are
// fetched from the start, as after a digest mismatch.
var errChanged = fmt.Errorf("%w: the registry has other content than when the transfer began (ETag)", image.ErrDigestMismatch)

// errCondition: the same request without If-Range may be answered with the range.
var errCondition error = conditionError{}

type conditionError struct{}

func (conditionError) Error() string {
	return "invalid answer of the registry: all of the blob, not the range"
}
func (conditionError) Is(target error) bool { return target == ErrProtocol }
