package registrytest

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Signer makes tokens that a registry elsewhere can check: JSON Web Tokens as
// distribution/docs/spec/auth/jwt.md describes them.
type Signer struct {
	// Issuer and Service are what the registry is configured with.
	Issuer, Service string

	leaf []byte // its certificate
	key  *ecdsa.PrivateKey
}

// NewTLSTokenServer starts a token server that speaks https with a certificate of the authority and
// issues signed tokens. The registry trusts them by Authority.File.
func NewTLSTokenServer(t testing.TB, a *Authority) *TokenServer {
	t.Helper()
	der, key := sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "token signer"},
		KeyUsage: x509.KeyUsageDigitalSignature,
	}, a.cert, a.key)
	ts := &TokenServer{issued: map[string]string{}, Signer: &Signer{Issuer: "test issuer", Service: "test registry", leaf: der, key: key}}
	hs := httptest.NewUnstartedServer(ts)
	hs.TLS = a.Server(t, "token.test")
	hs.StartTLS()
	t.Cleanup(hs.Close)
	ts.URL = hs.URL + "/token"
	return ts
}

type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// token signs a token for the scopes.
func (s *Signer) token(scopes string, life time.Duration) (string, error) {
	list := []access{}
	for scope := range strings.FieldsSeq(scopes) {
		kind, rest, ok := strings.Cut(scope, ":")
		i := strings.LastIndex(rest, ":")
		if !ok || i < 0 {
			return "", fmt.Errorf("scope %q: %w", scope, errRefused)
		}
		list = append(list, access{kind, rest[:i], strings.Split(rest[i+1:], ",")})
	}
	now := time.Now()
	head := map[string]any{"typ": "JWT", "alg": "ES256", "x5c": []string{base64.StdEncoding.EncodeToString(s.leaf)}}
	claims := map[string]any{
		"iss": s.Issuer, "aud": s.Service, "sub": "test", "jti": fmt.Sprint(now.UnixNano()),
		"iat": now.Unix(), "nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(life).Unix(), "access": list,
	}
	var parts []string
	for _, v := range []any{head, claims} {
		raw, err := json.Marshal(v)
		if err != nil {
			return "", err
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(raw))
	}
	text := strings.Join(parts, ".")
	sum := sha256.Sum256([]byte(text))
	r, z, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	if err != nil {
		return "", err
	}
	signature := make([]byte, 64) // RFC 7518 3.4
	r.FillBytes(signature[:32])
	z.FillBytes(signature[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
