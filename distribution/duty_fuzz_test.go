package distribution

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
)

// answerOf is an answer with a body, as net/http gives it.
func answerOf(status int, header http.Header, body []byte) *http.Response {
	return &http.Response{
		StatusCode: status, Header: header, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
		Request: &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "https", Host: "r.example", Path: "/v2/x"}},
	}
}

// safe tells that text can be printed: no controls, no marks of direction, of bounded length.
func safe(s string) bool {
	return printable(s) == s || printable(printable(s)) != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
	})
}

// FuzzLink: what is found stands between "<" and ">" in the header, and a link that is written is found.
func FuzzLink(f *testing.F) {
	for _, s := range []string{`</v2/x?n=1&last=a>; rel="next"`, `</a>; rel=prev, </b>; title="x"; rel=next`, `<>; rel="next"`, `<a,b>; rel=next`, `<`, `;,>`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := nextLink([]string{s}); got != "" && !strings.Contains(s, "<"+got+">") {
			t.Fatalf("%q gives %q", s, got)
		}
		u := &url.URL{Path: "/v2/" + s}
		if target := u.RequestURI(); !strings.ContainsAny(target, ",>") {
			if got := nextLink([]string{"<" + target + `>; rel="next"`}); got != target {
				t.Fatalf("%q was written, %q found", target, got)
			}
		}
	})
}

// FuzzContentRange: what is read is a range of a blob, and can be written and read again.
func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-9/10", "bytes 5-9/*", "bytes */10", "bytes 9-5/10", "bytes -1-5/10", "bytes 0-9223372036854775807/9223372036854775808"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, total, ok := contentRange(s)
		if total < -1 || ok && (first < 0 || last < first) || !ok && (first != 0 || last != 0) {
			t.Fatalf("%q: %d-%d/%d, %v", s, first, last, total, ok)
		}
		if !ok {
			return
		}
		size := "*"
		if total >= 0 {
			size = fmt.Sprint(total)
		}
		a, z, n, ok := contentRange(fmt.Sprintf("bytes %d-%d/%s", first, last, size))
		if !ok || a != first || z != last || n != total {
			t.Fatalf("%q: %d-%d/%d, then %d-%d/%d", s, first, last, total, a, z, n)
		}
	})
}

// FuzzUploadRange: the last byte of a session is one that the client can count on from.
func FuzzUploadRange(f *testing.F) {
	for _, s := range []string{"0-0", "0-99", "bytes=0-5", "5-9", "0--1", "0-99999999999999999999", "-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if end, ok := uploadRange(s); ok && (end < 0 || end+1 <= end) {
			t.Fatalf("%q: %d", s, end)
		}
	})
}

// FuzzRetryAfter: a wait is not negative, and no budget is overrun by it.
func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "0", "120", "-1", "1.5", "99999999999", "Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"} {
		f.Add(s)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		d := retryAfter(s, now)
		if d < 0 {
			t.Fatalf("%q: %s", s, d)
		}
		a := attempts{Retry: Retry{Budget: time.Minute}.withDefaults()}
		wait, again := a.next(&StatusError{Status: http.StatusTooManyRequests, RetryAfter: d})
		if again && wait > time.Minute {
			t.Fatalf("%q: %s is within a minute", s, wait)
		}
	})
}

// FuzzWarning: what is shown is safe, bounded and a string that was quoted in the header.
func FuzzWarning(f *testing.F) {
	for _, s := range []string{`299 - "going away"`, `299 - "\u001b[2J"`, `199 - "x"`, `299 - `, `299 - "` + strings.Repeat("x", 5000) + `"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text, ok := parseWarning(s)
		if ok && (text == "" || !strings.HasPrefix(s, "299 - ") || len(s) > 4096) {
			t.Fatalf("%q gives %q", s, text)
		}
		if ok && !safe(printable(text)) {
			t.Fatalf("%q is shown as %q", s, printable(text))
		}
	})
}

// FuzzErrorBody: whatever the body of an error is, the status stays, and what is shown is safe and bounded.
func FuzzErrorBody(f *testing.F) {
	for _, s := range []string{`{"errors":[{"code":"DENIED","message":"no","detail":{"x":1}}]}`, `{"errors":[{"message":"\u001b[31m\u202e"}]}`, `<html>`, `null`, `{"errors":{}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e := statusError(answerOf(http.StatusForbidden, http.Header{}, body))
		if e.Status != http.StatusForbidden || !errors.Is(e, ErrUnauthorized) || len(e.Messages) > maxMessages {
			t.Fatalf("%q: %+v", body, e)
		}
		if text := e.Error(); !safe(text) || len(text) > 64<<10 {
			t.Fatalf("%q is shown as %q", body, text)
		}
	})
}

// FuzzRateLimit: numbers and windows are what one can count with.
func FuzzRateLimit(f *testing.F) {
	f.Add("100;w=21600", "76;w=21600", "192.0.2.1")
	f.Add("-1;w=-1", "99999999999999999999", "\x1b[2J")
	f.Fuzz(func(t *testing.T, limit, remaining, source string) {
		r := readRateLimit(http.Header{"Ratelimit-Limit": {limit}, "Ratelimit-Remaining": {remaining}, "Docker-Ratelimit-Source": {source}})
		if r.Limit < -1 || r.Remaining < -1 || r.Window < 0 || r.Window > maxWindow*time.Second || !safe(r.Source) {
			t.Fatalf("%q, %q, %q: %+v", limit, remaining, source, r)
		}
	})
}

// FuzzManifestAnswer: an answer that is taken for a manifest is the bytes that its digest names, of the one
// type that all who name it agree on; and what a list of referrers has are descriptors.
func FuzzManifestAnswer(f *testing.F) {
	const m, x = ispec.MediaTypeImageManifest, ispec.MediaTypeImageIndex
	f.Add([]byte(`{"schemaVersion":2,"mediaType":"`+m+`","layers":[]}`), m, "", "")
	f.Add([]byte(`{"schemaVersion":2,"manifests":[]}`), x+"; charset=utf-8", x, digest.FromString("x").String())
	f.Add([]byte(`{"schemaVersion":2,"manifests":[],"layers":[]}`), "application/json", m, "sha256:../x")
	f.Add([]byte(`{"mediaType":"a/b"}`), "A/B;;;", "a/b", "sha512:")
	f.Fuzz(func(t *testing.T, body []byte, contentType, expected, header string) {
		h := http.Header{"Content-Type": {contentType}, "Docker-Content-Digest": {header}}
		raw, d, err := readManifest(answerOf(http.StatusOK, h, body), ispec.Descriptor{MediaType: expected})
		if err != nil {
			typed(t, err)
			return
		}
		if !bytes.Equal(raw, body) || digest.FromBytes(raw) != d.Digest || d.Size != int64(len(raw)) {
			t.Fatalf("%q is %+v", raw, d)
		}
		if expected != "" && d.MediaType != expected {
			t.Fatalf("%q: of type %q, %q was expected", raw, d.MediaType, expected)
		}
		var doc struct {
			MediaType string `json:"mediaType"`
		}
		if json.Unmarshal(raw, &doc) == nil && doc.MediaType != "" && !strings.EqualFold(doc.MediaType, d.MediaType) {
			t.Fatalf("%q: of type %q", raw, d.MediaType)
		}
		idx, err := image.DecodeIndex(raw, x)
		for _, l := range idx.Manifests {
			if err == nil && image.ValidateDescriptor(l) != nil {
				t.Fatalf("%q: lists %+v", raw, l)
			}
		}
	})
}

// FuzzETag: what is kept of an ETag can be sent in If-Range and is told from every other one.
func FuzzETag(f *testing.F) {
	for _, s := range []string{`"abc"`, `W/"abc"`, `""`, `"`, "\"a\nb\"", `"a"b"`, `"` + strings.Repeat("x", 600) + `"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := strongETag(s)
		if e == "" {
			return
		}
		if e != s || len(e) > maxETag || strings.ContainsFunc(e, func(r rune) bool { return r <= ' ' || r == 0x7f }) || strings.Count(e, `"`) != 2 {
			t.Fatalf("%q is kept as %q", s, e)
		}
	})
}
