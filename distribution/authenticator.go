package distribution

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oci-pipeline/oci/distribution/credential"
)

// An authenticator knows how one registry wants to be asked.
type authenticator struct {
	client *Client
	host   *host

	mu     sync.Mutex // held while a token is fetched: those who need the same wait for it
	known  *challenge
	tokens map[string]token    // by key
	extra  map[string][]string // scopes by key, beyond those that a request names: the registry asked for them
	creds  map[string]credential.Credential
	newer  map[string]string // identity tokens by those that they replaced
}

// A Rotator is a Credentials that keeps the identity token that a token server gave in place of the one
// that it was shown: many servers take the first for spent then. credential.Keychain is one.
type Rotator interface {
	Rotate(ctx context.Context, registry, repository, old, new string) error
	// Again is Lookup that sees what another process has stored since.
	Again(ctx context.Context, registry, repository string) (credential.Credential, error)
}

// maxScopes bounds the scopes of one token that a registry asks for.
const maxScopes = 16

func tokenKey(r request) string { return r.repo + " " + strings.Join(r.scopes, " ") }

// header gives the Authorization to send with r; "" before the registry has asked for any.
func (a *authenticator) header(ctx context.Context, scheme string, r request) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil {
		return "", nil
	}
	return a.answer(ctx, scheme, r)
}

// challenged learns from an answer that asks for authorization. It gives the Authorization to try
// next, "" if there is none; used is the one that was refused. wider tells that the registry asked for
// more than was known, so that what comes next is not more of the same.
func (a *authenticator) challenged(ctx context.Context, scheme string, resp *http.Response, r request, used string) (next string, wider bool, err error) {
	ch, ok := pick(parseChallenges(resp.Header.Values("Www-Authenticate")))
	if !ok {
		return "", false, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known = &ch
	if ch.scheme == "basic" && strings.HasPrefix(used, "Basic ") {
		return "", false, nil // the same again would be refused again
	}
	wider = a.widen(r, ch.params["scope"])
	for k, t := range a.tokens {
		if used == "Bearer "+t.text {
			delete(a.tokens, k) // expired before its time, revoked, or for too little
		}
	}
	next, err = a.answer(ctx, scheme, r)
	return next, wider, err
}

// widen adds what a challenge asks for to the scopes of requests like r, and tells whether that was
// more than before.
func (a *authenticator) widen(r request, scope string) bool {
	key := tokenKey(r)
	have := slices.Concat(r.scopes, a.extra[key])
	wider := false
	for s := range strings.FieldsSeq(scope) {
		if len(have) >= maxScopes || covered(have, s) {
			continue
		}
		if len(a.extra) >= maxTokens {
			clear(a.extra)
		}
		have, wider = append(have, s), true
		a.extra[key] = append(a.extra[key], s)
	}
	return wider
}

// covered tells whether scopes hold all that want has. The actions follow the last colon
// (distribution, docs/spec/auth/scope.md).
func covered(scopes []string, want string) bool {
	i := strings.LastIndexByte(want, ':')
	if i < 0 {
		return slices.Contains(scopes, want)
	}
	for action := range strings.SplitSeq(want[i+1:], ",") {
		if !slices.ContainsFunc(scopes, func(s string) bool {
			actions, ok := strings.CutPrefix(s, want[:i+1])
			return ok && slices.Contains(strings.Split(actions, ","), action)
		}) {
			return false
		}
	}
	return true
}

// answer gives the Authorization for the known challenge. The caller holds mu.
func (a *authenticator) answer(ctx context.Context, scheme string, r request) (string, error) {
	cred, err := a.credential(ctx, r.repo)
	if err != nil {
		return "", err
	}
	switch {
	case cred.RegistryToken != "":
		return "Bearer " + cred.RegistryToken, nil
	case a.known.scheme == "bearer":
		return a.bearer(ctx, scheme, r, cred)
	case cred.Username == "":
		return "", nil
	}
	return "Basic " + basic(cred), nil
}

// bearer gives the token for r, a new one if need be. The caller holds mu.
func (a *authenticator) bearer(ctx context.Context, scheme string, r request, cred credential.Credential) (string, error) {
	key := tokenKey(r)
	if t, ok := a.tokens[key]; ok && time.Now().Before(t.expires) {
		return "Bearer " + t.text, nil
	}
	scopes := slices.Concat(r.scopes, a.extra[key])
	t, err := a.fetch(ctx, scheme, cred, scopes)
	if err != nil && errors.Is(err, ErrUnauthorized) && cred.IdentityToken != "" {
		if other := a.replaced(ctx, r.repo, cred); !other.Anonymous() {
			cred = other
			t, err = a.fetch(ctx, scheme, cred, scopes)
		}
	}
	if err != nil {
		return "", err
	}
	if t.refresh != "" && cred.IdentityToken != "" && t.refresh != cred.IdentityToken {
		a.rotated(ctx, r.repo, cred.IdentityToken, t.refresh)
	}
	if len(a.tokens) >= maxTokens {
		clear(a.tokens)
	}
	a.tokens[key] = t
	return "Bearer " + t.text, nil
}

// rotated keeps an identity token that came in place of another: for this process, and where the other
// was stored. The transfer does not depend on the second, so that a file nobody may write is no failure.
func (a *authenticator) rotated(ctx context.Context, repo, old, new string) {
	for k, v := range a.newer {
		if v == old {
			a.newer[k] = new
		}
	}
	a.newer[old] = new
	for k, c := range a.creds {
		if c.IdentityToken == old {
			c.IdentityToken = new
			a.creds[k] = c
		}
	}
	keeper, ok := a.client.o.Credentials.(Rotator)
	if !ok {
		return
	}
	err := keeper.Rotate(ctx, a.host.name, repo, old, new)
	if err != nil && !errors.Is(err, credential.ErrAbsent) { // another process was faster
		a.client.log.WarnContext(ctx, "the token server gave a new identity token, which could not be stored", "host", a.host.name, "err", err)
	}
}

// otherProcess is how long another process may need to store the identity token that it got.
const otherProcess = 300 * time.Millisecond

// replaced gives the credential that another process has stored in place of cred, whose identity token
// the token server refuses; anonymous if there is none.
func (a *authenticator) replaced(ctx context.Context, repo string, cred credential.Credential) credential.Credential {
	keeper, ok := a.client.o.Credentials.(Rotator)
	if !ok {
		return credential.Credential{}
	}
	for i := range 2 {
		if i > 0 && sleep(ctx, otherProcess) != nil {
			break
		}
		c, err := keeper.Again(ctx, a.host.name, repo)
		if err == nil && !c.Anonymous() && c != cred {
			a.creds[repo] = c
			return c
		}
	}
	return credential.Credential{}
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
	if new := a.newer[c.IdentityToken]; new != "" {
		c.IdentityToken = new
	}
	a.creds[repo] = c
	return c, nil
}

func basic(c credential.Credential) string {
	return base64.StdEncoding.EncodeToString([]byte(c.Username + ":" + c.Password))
}
