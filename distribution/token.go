package distribution

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
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

// An authenticator knows how one registry wants to be asked.
type authenticator struct {
	client *Client
	host   *host

	mu     sync.Mutex // held while a token is fetched: those who need the same wait for it
	known  *challenge
	tokens map[string]token // by scopes
	creds  map[string]credential.Credential
}

type token struct {
	text    string
	expires time.Time
}

// header gives the Authorization to send with r; "" before the registry has asked for any.
func (a *authenticator) header(ctx context.Context, scheme string, r request) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil {
		return "", nil
	}
	return a.answer(ctx, scheme, r, r.scopes)
}

// challenged learns from a 401. It gives the Authorization to try next, "" if there is none; used
// is the one that was refused.
func (a *authenticator) challenged(ctx context.Context, scheme string, resp *http.Response, r request, used string) (string, error) {
	ch, ok := pick(parseChallenges(resp.Header.Values("Www-Authenticate")))
	if !ok {
		return "", nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known = &ch
	if ch.scheme == "basic" && used != "" && strings.HasPrefix(used, "Basic ") {
		return "", nil // the same again would be refused again
	}
	scopes := r.scopes
	if s := ch.params["scope"]; s != "" && r.scopes == nil {
		scopes = strings.Fields(s)
	}
	for k, t := range a.tokens {
		if used == "Bearer "+t.text {
			delete(a.tokens, k) // expired before its time, or revoked
		}
	}
	return a.answer(ctx, scheme, r, scopes)
}

// answer gives the Authorization for the known challenge. The caller holds mu.
func (a *authenticator) answer(ctx context.Context, scheme string, r request, scopes []string) (string, error) {
	cred, err := a.credential(ctx, r.repo)
	if err != nil {
		return "", err
	}
	if a.known.scheme == "basic" {
		if cred.Username == "" {
			return "", nil
		}
		return "Basic " + basic(cred), nil
	}
	if cred.RegistryToken != "" {
		return "Bearer " + cred.RegistryToken, nil
	}
	key := r.repo + " " + strings.Join(scopes, " ")
	if t, ok := a.tokens[key]; ok && time.Now().Before(t.expires) {
		return "Bearer " + t.text, nil
	}
	t, err := a.fetch(ctx, scheme, *a.known, cred, scopes)
	if err != nil {
		return "", err
	}
	if len(a.tokens) >= maxTokens {
		clear(a.tokens)
	}
	a.tokens[key] = t
	return "Bearer " + t.text, nil
}

func (a *authenticator) credential(ctx context.Context, repo string) (credential.Credential, error) {
	if c, ok := a.creds[repo]; ok {
		return c, nil
	}
	if _, all := a.client.o.Credentials.(credential.Static); all && a.host.mirror {
		return credential.Credential{}, nil // given for the registry, not for those that stand in for it
	}
	c, err := a.client.o.Credentials.Lookup(ctx, a.host.name, repo)
	if err != nil {
		return credential.Credential{}, &Error{Op: "find credentials for", Subject: a.host.name, Err: err}
	}
	a.creds[repo] = c
	return c, nil
}

func basic(c credential.Credential) string {
	return base64.StdEncoding.EncodeToString([]byte(c.Username + ":" + c.Password))
}

// fetch asks the token server of a Bearer challenge.
func (a *authenticator) fetch(ctx context.Context, scheme string, ch challenge, cred credential.Credential, scopes []string) (token, error) {
	fail := func(err error) (token, error) {
		return token{}, &Error{Op: "get a token for", Subject: a.host.name, Clause: spec.TokenChallenge, Err: err}
	}
	realm, err := a.realm(ch.params["realm"], scheme)
	if err != nil {
		return token{}, &Error{Op: "get a token for", Subject: a.host.name, Clause: spec.TokenRealm, Err: err}
	}
	var raw []byte
	var began time.Time
	err = a.client.retry(ctx, a.client.host(realm.Host), func() error {
		req, err := tokenRequest(ctx, realm, ch.params["service"], cred, scopes)
		if err != nil {
			return err
		}
		req.Header.Set("User-Agent", a.client.o.UserAgent)
		began = time.Now()
		raw, err = a.client.exchange(req, a.host)
		return err
	})
	if err != nil {
		return fail(err)
	}
	t, err := decodeToken(raw, began)
	if err != nil {
		return fail(err)
	}
	return t, nil
}

// exchange sends a token request. A redirect is not followed: it would carry the secret on.
func (c *Client) exchange(req *http.Request, h *host) ([]byte, error) {
	ctx := context.WithValue(req.Context(), noRedirectKey{}, true)
	resp, err := c.send(req.WithContext(ctx), &guard{host: h, secret: true})
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp)
	}
	defer resp.Body.Close() //nolint:errcheck // nothing depends on the rest of it
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenBody+1))
	if err == nil && len(raw) > maxTokenBody {
		err = fmt.Errorf("%w: a token answer of more than %d bytes", ErrProtocol, maxTokenBody)
	}
	return raw, err
}

type noRedirectKey struct{}

// realm proves that credentials may go where a challenge says. Where that is was said by whoever
// answered, so: an absolute URL, https unless the registry itself is reached by plain http, and
// (in the guard of the connection) no address nearer than the registry's own.
func (a *authenticator) realm(s, scheme string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("%w: realm %q", ErrProtocol, printable(s))
	}
	if u.Scheme != "https" && (u.Scheme != "http" || scheme != "http") {
		return nil, fmt.Errorf("%w: realm %q is not https", ErrInsecure, printable(s))
	}
	a.host.mu.Lock()
	defer a.host.mu.Unlock()
	if r := reachOfName(u.Host); r > a.host.reach {
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

// decodeToken reads the answer of a token server. Its life counts from when it was asked for, by
// our own clock.
func decodeToken(raw []byte, began time.Time) (token, error) {
	var doc struct {
		Token       string  `json:"token"`
		AccessToken string  `json:"access_token"`
		ExpiresIn   float64 `json:"expires_in"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return token{}, fmt.Errorf("%w: the token answer is not JSON", ErrProtocol)
	}
	text := doc.Token
	if text == "" {
		text = doc.AccessToken
	}
	if text == "" {
		return token{}, fmt.Errorf("%w: a token answer without a token", ErrProtocol)
	}
	for _, r := range text {
		if r <= ' ' || r >= 0x7f { // it goes into a header
			return token{}, fmt.Errorf("%w: a token with characters that no header may hold", ErrProtocol)
		}
	}
	life := defaultLife
	if doc.ExpiresIn > 0 {
		life = time.Duration(min(doc.ExpiresIn, (24*time.Hour).Seconds()) * float64(time.Second))
	}
	return token{text: text, expires: began.Add(life - life/10)}, nil
}
