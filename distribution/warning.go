package distribution

import (
	"net/http"
	"strings"
)

// maxWarnings bounds what is remembered, and so shown, of the warnings of all registries.
const maxWarnings = 64

// maxWarning bounds one of them, in bytes (distribution-spec, "Warnings").
const maxWarning = 4096

// warnings hands each new `Warning: 299 - "text"` to Options.Warn. Nothing is done about them
// (DC-56).
func (c *Client) warnings(resp *http.Response) {
	if c.o.Warn == nil {
		return
	}
	for _, v := range resp.Header.Values("Warning") {
		text, ok := parseWarning(v)
		if !ok {
			continue
		}
		host := resp.Request.URL.Host
		c.mu.Lock()
		key := host + " " + text
		fresh := !c.warned[key] && len(c.warned) < maxWarnings
		if fresh {
			c.warned[key] = true
		}
		c.mu.Unlock()
		if fresh {
			c.o.Warn(host, printable(text))
		}
	}
}

// parseWarning reads `299 - "text"`, whose text is a quoted string of HTTP (RFC 9110 5.6.4).
func parseWarning(v string) (string, bool) {
	quoted, ok := strings.CutPrefix(v, "299 - ")
	if quoted = strings.TrimSpace(quoted); !ok || len(v) > maxWarning || !strings.HasPrefix(quoted, `"`) {
		return "", false
	}
	p := parser{quoted}
	text, ok := p.value()
	return text, ok && text != "" && p.rest == ""
}
