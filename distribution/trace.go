package distribution

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// masked stands for what a log must not hold: credentials, signatures, cookies.
const masked = "***"

// shownHeaders are the headers whose values a trace shows. All others are named, and their values
// masked: a header that is not known may be a secret.
func shownHeaders() []string {
	return []string{
		"Accept", "Accept-Encoding", "Accept-Ranges", "Cache-Control", "Connection", "Content-Encoding", "Content-Length", "Content-Range",
		"Content-Type", "Date", "Docker-Content-Digest", "Docker-Distribution-Api-Version", "Docker-Upload-Uuid", "Etag", "Expect",
		"If-Match", "If-None-Match", "If-Range", "Oci-Chunk-Min-Length", "Oci-Filters-Applied", "Oci-Namespace", "Oci-Subject", "Oci-Tag",
		"Range", "Ratelimit-Limit", "Ratelimit-Remaining", "Retry-After", "Server", "Transfer-Encoding", "User-Agent", "Via", "Warning",
		"Www-Authenticate",
	}
}

// shownQuery are the parameters of a URL whose values a trace shows; those of others may sign it.
func shownQuery() []string {
	return []string{"artifactType", "digest", "digest-algorithm", "from", "last", "mount", "n", "ns", "scope", "service", "tag"}
}

// traced makes one request on the wire and, if the log wants to know, tells of it with what was sent and
// what came back, without bodies and secrets.
func (c *Client) traced(rt http.RoundTripper, req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if !c.log.Enabled(ctx, slog.LevelDebug) {
		return rt.RoundTrip(req)
	}
	start := time.Now()
	at := slog.Group("", "method", req.Method, "url", traceURL(req.URL))
	c.log.LogAttrs(ctx, slog.LevelDebug, "request", at, traceHeader(req.Header))
	resp, err := rt.RoundTrip(req)
	took := slog.Duration("took", time.Since(start).Round(time.Microsecond))
	if err != nil {
		c.log.LogAttrs(context.WithoutCancel(ctx), slog.LevelDebug, "no response", at, took, slog.String("err", printable(netError(err).Error())))
		return nil, err
	}
	c.log.LogAttrs(ctx, slog.LevelDebug, "response", at, slog.Int("status", resp.StatusCode), took, traceHeader(resp.Header))
	return resp, nil
}

// traceURL gives a URL without a password and without what may sign it.
func traceURL(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	q := u.Query()
	for k := range q {
		if !slices.Contains(shownQuery(), k) {
			q[k] = []string{masked}
		}
	}
	text := shown.String()
	if len(q) > 0 {
		text += "?" + strings.ReplaceAll(q.Encode(), url.QueryEscape(masked), masked)
	}
	return printable(text)
}

// traceHeader gives headers as a group of a log.
func traceHeader(h http.Header) slog.Attr {
	var list []any
	for _, k := range sortedKeys(h) {
		v := masked
		switch {
		case slices.Contains(shownHeaders(), k):
			v = printable(strings.Join(h[k], ", "))
		case k == "Location" || k == "Link":
			v = maskQueries(h[k])
		case k == "Authorization" && len(h[k]) > 0:
			scheme, _, _ := strings.Cut(h[k][0], " ")
			v = printable(scheme) + " " + masked
		}
		list = append(list, slog.String(k, v))
	}
	return slog.Group("header", list...)
}

// maskQueries gives the values of Location and Link without what may be a signature in them.
func maskQueries(values []string) string {
	var out []string
	for _, v := range values {
		text, rest, _ := strings.Cut(strings.TrimPrefix(v, "<"), ">")
		u, err := url.Parse(text)
		if err != nil {
			out = append(out, masked)
			continue
		}
		out = append(out, traceURL(u)+printable(rest))
	}
	return strings.Join(out, ", ")
}

func sortedKeys(h http.Header) []string {
	keys := make([]string, 0, len(h))
	for k := range h {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
