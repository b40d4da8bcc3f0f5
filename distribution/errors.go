package distribution

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// The kinds of failure, for errors.Is. What is wrong with content is reported by the kinds of
// package image (image.ErrDigestMismatch, image.ErrSizeMismatch, image.ErrMediaType, ...).
var (
	// ErrNotFound: the registry has no such repository, tag, manifest or blob.
	ErrNotFound = errors.New("not found")
	// ErrUnauthorized: the registry wants other or more credentials.
	ErrUnauthorized = errors.New("unauthorized")
	// ErrRateLimited: the registry answers 429, and the wait is longer than the retry budget.
	ErrRateLimited = errors.New("rate limited")
	// ErrServer: the registry answers with a status from 500 on.
	ErrServer = errors.New("registry failed")
	// ErrTimeout: the registry keeps a connection but sends nothing.
	ErrTimeout = errors.New("timed out")
	// ErrNetwork: the registry cannot be reached, or connections break.
	ErrNetwork = errors.New("network error")
	// ErrInsecure: the registry speaks plain http, or names a place that would be reached insecurely.
	ErrInsecure = errors.New("insecure")
	// ErrProtocol: an answer that the protocol does not allow.
	ErrProtocol = errors.New("invalid answer of the registry")
)

// Error is how every failure of this package is reported.
type Error struct {
	Op      string      // "resolve", "pull", "fetch blob", "push manifest", ...
	Subject string      // the reference or digest
	Clause  spec.Clause // the rule that was broken; zero if none was
	Err     error       // never nil
}

// Error gives "op subject: why [clause]".
func (e *Error) Error() string {
	s := e.Op
	if e.Subject != "" {
		s += " " + e.Subject
	}
	s += ": " + e.Err.Error()
	if c := e.Clause.String(); c != "" {
		s += " [" + c + "]"
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// StatusError is an answer with a status that is no success. errors.Is tells its kind:
// ErrNotFound, ErrUnauthorized, ErrRateLimited, ErrServer, or ErrProtocol for a success or a redirect that
// is none of what the request can be answered with (204 to a GET of a blob).
type StatusError struct {
	Status     int
	Method     string
	Host, Path string        // of the request; never its query, which may hold a signature
	Messages   []string      // "CODE: message" each, safe to print; what the registry gave as reason
	RetryAfter time.Duration // what the registry asks to wait; 0 if it does not say
	Quota      *RateLimit    // what is left of its limit on pulls; nil if it does not say
}

// Error gives the status and the reasons of the registry.
func (e *StatusError) Error() string {
	s := fmt.Sprintf("%s answered %d %s to %s %s", e.Host, e.Status, http.StatusText(e.Status), e.Method, e.Path)
	if len(e.Messages) > 0 {
		s += " (" + strings.Join(e.Messages, "; ") + ")"
	}
	if e.RetryAfter > 0 {
		s += fmt.Sprintf(", try again in %s", e.RetryAfter.Round(time.Second))
	}
	if e.Quota != nil {
		s += ", " + e.Quota.String()
	}
	return s
}

// Is makes errors.Is tell the kind of the status.
func (e *StatusError) Is(target error) bool {
	switch target {
	case ErrNotFound:
		return e.Status == http.StatusNotFound
	case ErrUnauthorized:
		return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
	case ErrRateLimited:
		return e.Status == http.StatusTooManyRequests
	case ErrServer:
		return e.Status >= http.StatusInternalServerError
	case ErrProtocol:
		return e.Status < http.StatusBadRequest
	}
	return false
}

const (
	maxErrorBody = 64 << 10 // of an error answer; what lies beyond is not read
	maxMessages  = 8        // reasons shown
	maxMessage   = 300      // runes of one
)

// statusError makes a StatusError of resp and closes its body.
// Refused tells whether the registry refuses what was asked, as it would again: a status from 400 to 499,
// and not that of a limit on the rate.
func (e *StatusError) Refused() bool {
	return e.Status >= 400 && e.Status < 500 && e.Status != http.StatusTooManyRequests
}

func statusError(resp *http.Response) *StatusError {
	defer resp.Body.Close() //nolint:errcheck // nothing depends on the rest of it
	e := &StatusError{
		Status: resp.StatusCode, Method: resp.Request.Method,
		Host: resp.Request.URL.Host, Path: printable(resp.Request.URL.Path),
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
		Quota:      quotaOf(resp.Header),
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil {
		return e // a reason that cannot be read does not hide the status
	}
	var doc struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &doc) != nil {
		return e // a page of some proxy, most likely
	}
	for i, m := range doc.Errors {
		if i == maxMessages {
			break
		}
		text := printable(m.Code)
		if m.Message != "" {
			text += ": " + printable(m.Message)
		}
		e.Messages = append(e.Messages, strings.TrimPrefix(text, ": "))
	}
	return e
}

// printable makes text of a registry safe for a terminal: escape sequences, controls and
// direction marks appear as Go escapes, and its length is bounded.
func printable(s string) string {
	if r := []rune(s); len(r) > maxMessage {
		s = string(r[:maxMessage]) + "..."
	}
	q := strconv.QuoteToGraphic(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// netError gives the kind of an error of net/http. It never wraps io.EOF, which a caller would
// take for the end of a body.
func netError(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // its text holds the URL, and that the signature of a redirect
	}
	var n net.Error
	var cert *tls.CertificateVerificationError
	switch {
	case errors.Is(err, ErrTimeout), errors.Is(err, ErrInsecure), errors.Is(err, ErrNetwork), errors.Is(err, ErrProtocol):
		return err
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("%w: the registry speaks plain http: %w", ErrInsecure, err)
	case errors.As(err, &cert), errors.As(err, new(x509.UnknownAuthorityError)), errors.As(err, new(x509.HostnameError)):
		return fmt.Errorf("%w: %w", ErrInsecure, err)
	case errors.As(err, &n) && n.Timeout():
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: the connection was closed", ErrNetwork)
	}
	return fmt.Errorf("%w: %w", ErrNetwork, err)
}
