package distribution

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/distribution/credential"
	"github.com/oci-pipeline/oci/image/reference"
)

// Login asks the base of a registry's API with the client's credential (distribution-spec,
// "Determining Support") and tells whether the registry wanted one. It gives ErrUnauthorized if it
// wanted another, and ErrNotFound or ErrProtocol if there is no registry of version 2.
func (c *Client) Login(ctx context.Context, n credential.Name) (wanted bool, err error) {
	fail := func(err error) (bool, error) { return false, wrap("log in to", n.String(), err) }
	h, err := c.loginHost(n)
	if err != nil {
		return fail(err)
	}
	resp, err := c.do(ctx, h, request{method: http.MethodGet, path: h.prefix + "/", repo: n.Repository, ok: []int{http.StatusOK}})
	if err != nil {
		if errors.Is(err, ErrNotFound) {
			err = &Error{Op: "ask", Subject: h.api, Clause: spec.APISupport, Err: err}
		}
		return fail(err)
	}
	_ = resp.Body.Close()
	h.auth.mu.Lock()
	defer h.auth.mu.Unlock()
	return h.auth.known != nil, nil
}

func (c *Client) loginHost(n credential.Name) (*host, error) {
	repo := n.Repository
	if repo == "" {
		repo = "x" // no path is asked for: it only says for what configuration speaks
	}
	return c.registryRef("log in to", reference.Ref{Transport: reference.Registry, Registry: n.Registry, Repository: repo})
}

// IdentityToken trades the client's user and password for a refresh token of the registry's token
// server, to keep in their place. Call it after Login. It gives ErrProtocol if the registry has no
// token server or that gives none.
func (c *Client) IdentityToken(ctx context.Context, n credential.Name) (string, error) {
	fail := func(err error) (string, error) { return "", wrap("get an identity token for", n.String(), err) }
	h, err := c.loginHost(n)
	if err != nil {
		return fail(err)
	}
	a := h.auth
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil || a.known.scheme != "bearer" {
		return fail(fmt.Errorf("%w: the registry has no token server", ErrProtocol))
	}
	cred, err := a.credential(ctx, n.Repository)
	if err != nil {
		return fail(err)
	}
	realm, err := a.realm(a.known.params["realm"], h.knownScheme())
	if err != nil {
		return fail(err)
	}
	form := url.Values{
		"grant_type": {"password"}, "username": {cred.Username}, "password": {cred.Password},
		"access_type": {"offline"}, "client_id": {clientID}, "service": {a.known.params["service"]},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, realm.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return fail(fmt.Errorf("%w: realm", ErrProtocol))
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("User-Agent", c.o.UserAgent)
	answer, err := c.exchange(req, h)
	if err != nil {
		return fail(err)
	}
	var doc struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := json.Unmarshal(answer.raw, &doc); err != nil || doc.RefreshToken == "" || !headerText(doc.RefreshToken) {
		return fail(fmt.Errorf("%w: the token server gives no refresh token", ErrProtocol))
	}
	return doc.RefreshToken, nil
}
