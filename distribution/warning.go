package distribution

import (
	"net/http"
	"strconv"
	"strings"
)

// maxWarnings bounds what is remembered, and so shown, of the warnings of all registries.
const maxWarnings = 64

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

func parseWarning(v string) (string, bool) {
	quoted, ok := strings.CutPrefix(v, "299 - ")
	if !ok || len(v) > 4096 {
		return "", false
	}
	text, err := strconv.Unquote(strings.TrimSpace(quoted))
	return text, err == nil && text != ""
}
