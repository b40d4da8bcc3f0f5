package distribution

import (
	"net/http"
	"strings"
)

// challenge is what a registry asks for in WWW-Authenticate.
type challenge struct {
	scheme string            // lower case: "bearer", "basic"
	params map[string]string // names in lower case
}

// maxParams bounds the parameters of one challenge.
const maxParams = 32

// parseChallenges reads the values of WWW-Authenticate (RFC 9110 11.6.1). Several challenges may
// share one line, separated by commas just as their parameters are. What it cannot read it leaves
// out.
func parseChallenges(values []string) []challenge {
	var list []challenge
	for _, v := range values {
		p := parser{v}
		for {
			p.skip(" \t,")
			name := p.token()
			if name == "" {
				// What is no token: the rest of a token68, or nonsense. What comes after it is still read.
				_, rest, more := strings.Cut(p.rest, ",")
				if !more {
					break
				}
				p.rest = rest
				continue
			}
			c := challenge{scheme: strings.ToLower(name), params: map[string]string{}}
			for p.param(c.params) {
			}
			list = append(list, c)
		}
	}
	return list
}

// pick gives the challenge to answer: Bearer if there is one, else Basic.
func pick(list []challenge) (challenge, bool) {
	for _, scheme := range []string{"bearer", "basic"} {
		for _, c := range list {
			if c.scheme == scheme && (scheme == "basic" || c.params["realm"] != "") {
				return c, true
			}
		}
	}
	return challenge{}, false
}

// maxTries bounds how often a request is sent for one answer: without authorization, with what is known
// for it, and with the wider scope that the registry asks for then.
const maxTries = 3

// challenging tells whether an answer asks for other authorization: a 401, and a 403 that says that the
// token is for too little (RFC 6750 3.1).
func challenging(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return true
	case http.StatusForbidden:
		ch, ok := pick(parseChallenges(resp.Header.Values("Www-Authenticate")))
		return ok && ch.params["error"] == "insufficient_scope"
	}
	return false
}

type parser struct{ rest string }

func (p *parser) skip(set string) { p.rest = strings.TrimLeft(p.rest, set) }

// token reads a token of RFC 9110 5.6.2; "" if there is none.
func (p *parser) token() string {
	i := 0
	for i < len(p.rest) && tokenByte(p.rest[i]) {
		i++
	}
	t := p.rest[:i]
	p.rest = p.rest[i:]
	return t
}

func tokenByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0
}

// param reads `name=value` or `name="value"` into m; false leaves the text where it was, since
// what comes there is the next challenge or the end.
func (p *parser) param(m map[string]string) bool {
	before := p.rest
	p.skip(" \t,")
	name := strings.ToLower(p.token())
	p.skip(" \t")
	if name == "" || !strings.HasPrefix(p.rest, "=") || len(m) >= maxParams {
		p.rest = before
		return false
	}
	p.rest = p.rest[1:]
	p.skip(" \t")
	value, ok := p.value()
	if !ok {
		p.rest = "" // an unfinished string: nothing after it can be trusted
		return false
	}
	if _, twice := m[name]; !twice {
		m[name] = value
	}
	return true
}

func (p *parser) value() (string, bool) {
	if !strings.HasPrefix(p.rest, `"`) {
		i := strings.IndexAny(p.rest, " \t,")
		if i < 0 {
			i = len(p.rest)
		}
		v := p.rest[:i]
		p.rest = p.rest[i:]
		return v, true
	}
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '"':
			p.rest = p.rest[i+1:]
			return b.String(), true
		case c == '\\' && i+1 < len(p.rest):
			i++
			b.WriteByte(p.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}
