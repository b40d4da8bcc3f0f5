package distribution

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/distribution/credential"
)

const (
	clientID = "oci" // names this program to OAuth2 token servers
	// defaultLife is the life of a token whose answer gives none (docker-token).
	defaultLife = 60 * time.Second
	// maxTokenBody bounds the answer of a token server.
	maxTokenBody = 1 << 20
	// maxTokens bounds the tokens of one host that are remembered.
	maxTokens = 256
)

type token struct {
	text    string
	expires time.Time
	refresh string // an identity token to use from now on; "" is the same as before
}

// fetch asks the token server of the known Bearer challenge. The caller holds mu.
func (a *authenticator) fetch(ctx context.Context, scheme string, cred credential.Credential, scopes []string) (token, error) {
	ch := a.known
	fail := func(c spec.Clause, err error) (token, error) {
		return token{}, &Error{Op: "get a token for", Subject: a.host.name, Clause: c, Err: err}
	}
	realm, err := a.realm(ch.params["realm"], scheme)
	if err != nil {
		return fail(spec.TokenRealm, err)
	}
	var answer tokenAnswer
	err = a.client.retry(ctx, a.client.host(realm.Host), func() error {
		req, err := tokenRequest(ctx, realm, ch.params["service"], cred, scopes)
		if err != nil {
			return err
		}
		req.Header.Set("User-Agent", a.client.o.UserAgent)
		answer, err = a.client.exchange(req, a.host)
		return err
	})
	if err != nil {
		return fail(spec.TokenChallenge, err)
	}
	t, err := decodeToken(answer)
	if err != nil {
		return fail(spec.TokenChallenge, err)
	}
	return t, nil
}

// A tokenAnswer is what a token server sent.
type tokenAnswer struct {
	raw   []byte
	asked time.Time // by our clock
	date  time.Time // by the server's; zero if it does not say
}

// exchange sends a token request. A redirect is not followed: it would carry the secret on.
func (c *Client) exchange(req *http.Request, h *host) (tokenAnswer, error) {
	answer := tokenAnswer{asked: time.Now()}
	ctx := context.WithValue(req.Context(), noRedirectKey{}, true)
	resp, err := c.send(req.WithContext(ctx), &guard{host: h, secret: true})
	if err != nil {
		return answer, err
	}
	if resp.StatusCode != http.StatusOK {
		return answer, statusError(resp)
	}
	defer resp.Body.Close() //nolint:errcheck // nothing depends on the rest of it
	answer.raw, err = io.ReadAll(io.LimitReader(resp.Body, maxTokenBody+1))
	switch {
	case err != nil:
		err = unexpected(err)
	case len(answer.raw) > maxTokenBody:
		err = fmt.Errorf("%w: a token answer of more than %d bytes", ErrProtocol, maxTokenBody)
	}
	answer.date, _ = http.ParseTime(resp.Header.Get("Date")) // zero without one
	return answer, err
}

type noRedirectKey struct{}

// realm proves that credentials may go where a challenge says. Where that is was said by whoever
// answered, so: an absolute URL, https unless the registry itself is reached by plain http, and
// (in the guard of the connection) no address nearer than the registry's own.
func (a *authenticator) realm(s, scheme string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || !place(u) {
		return nil, fmt.Errorf("%w: realm %q", ErrProtocol, printable(s))
	}
	if u.Scheme != "https" && (u.Scheme != "http" || scheme != "http") {
		return nil, fmt.Errorf("%w: realm %q is not https", ErrInsecure, printable(s))
	}
	a.host.mu.Lock()
	defer a.host.mu.Unlock()
	if !a.host.reach.permits(reachOfName(u.Host), true) {
		return nil, fmt.Errorf("%w: realm %q is nearer than the registry itself", ErrInsecure, printable(s))
	}
	return u, nil
}

// tokenRequest makes the request for a token: OAuth2 POST with an identity token, else GET, with
// Basic if there is a password.
func tokenRequest(ctx context.Context, realm *url.URL, service string, cred credential.Credential, scopes []string) (*http.Request, error) {
	if cred.IdentityToken != "" {
		form := url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {cred.IdentityToken},
			"client_id": {clientID}, "service": {service}, "scope": {strings.Join(scopes, " ")},
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, realm.String(), strings.NewReader(form.Encode()))
		if err != nil {
			return nil, fmt.Errorf("%w: realm", ErrProtocol)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return req, nil
	}
	u := *realm
	q := u.Query()
	if service != "" {
		q.Set("service", service)
	}
	for _, s := range scopes {
		if !slices.Contains(q["scope"], s) {
			q.Add("scope", s)
		}
	}
	if cred.Username != "" {
		q.Set("account", cred.Username)
	}
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: realm", ErrProtocol)
	}
	if cred.Username != "" {
		req.Header.Set("Authorization", "Basic "+basic(cred))
	}
	return req, nil
}

// decodeToken reads the answer of a token server. The life of a token counts from when it was asked
// for, by our own clock. What the server issued earlier and gives again, as some do, ends earlier: how
// much, its own two clocks say, so that none of them has to agree with ours.
func decodeToken(a tokenAnswer) (token, error) {
	var doc struct {
		Token        string  `json:"token"`
		AccessToken  string  `json:"access_token"`
		ExpiresIn    float64 `json:"expires_in"`
		IssuedAt     string  `json:"issued_at"`
		RefreshToken string  `json:"refresh_token"`
	}
	if err := json.Unmarshal(a.raw, &doc); err != nil {
		return token{}, fmt.Errorf("%w: the token answer is not JSON", ErrProtocol)
	}
	text := doc.Token
	if text == "" {
		text = doc.AccessToken
	}
	switch {
	case text == "":
		return token{}, fmt.Errorf("%w: a token answer without a token", ErrProtocol)
	case !headerText(text):
		return token{}, fmt.Errorf("%w: a token with characters that no header may hold", ErrProtocol)
	}
	life := defaultLife
	if doc.ExpiresIn > 0 {
		life = time.Duration(min(doc.ExpiresIn, (24*time.Hour).Seconds()) * float64(time.Second))
	}
	life -= life / 10
	if issued, err := time.Parse(time.RFC3339, doc.IssuedAt); err == nil && !a.date.IsZero() {
		life -= min(max(a.date.Sub(issued), 0), life)
	}
	t := token{text: text, expires: a.asked.Add(life)}
	if headerText(doc.RefreshToken) {
		t.refresh = doc.RefreshToken
	}
	return t, nil
}

// headerText tells whether a token may go into a header, and be printed into a file.
func headerText(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
