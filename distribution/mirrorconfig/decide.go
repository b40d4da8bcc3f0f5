package mirrorconfig

import (
	"fmt"
	"strings"

	"github.com/oci-pipeline/oci/image/reference"
)

// Decision says where an image is asked for, and why.
type Decision struct {
	// Endpoints are tried in order; the last is the registry, or what the files put in its place.
	Endpoints []Endpoint
	// Steps tell how it was decided, a line each.
	Steps []string
}

// Decide says where to ask for ref, which must name an image in a registry. It gives ErrBlocked, or
// an *Error for a hosts.toml that cannot be used. A nil Config asks the registry.
func (c *Config) Decide(ref reference.Ref) (Decision, error) {
	var d Decision
	own := Endpoint{
		Host: apiHost(ref.Registry), Prefix: "/v2", Repository: ref.Repository,
		Resolve: true, Pull: true, Push: true, Upstream: true,
	}
	if c == nil {
		d.Endpoints = []Endpoint{own}
		return d, nil
	}
	d.say("%s", ref)
	r, covered := c.find(ref)
	registry := ref.Registry
	if r == nil {
		d.say("registries.conf: no prefix matches%s", c.read())
	} else {
		var err error
		if registry, err = d.apply(*r, covered, ref, &own); err != nil {
			return d, err
		}
	}
	h, err := c.hostsFor(registry)
	if err != nil {
		return d, err
	}
	d.hosts(h, registry, own, c.hostsDirs)
	return d, nil
}

// Upstream says how to reach the registry of ref for what no mirror does: push, lists, deletes.
// Locations are not rewritten for those, as in containers' own tools.
func (c *Config) Upstream(ref reference.Ref) (Endpoint, error) {
	own := Endpoint{
		Host: apiHost(ref.Registry), Prefix: "/v2", Repository: ref.Repository,
		Resolve: true, Pull: true, Push: true, Upstream: true,
	}
	if c == nil {
		return own, nil
	}
	if r, _ := c.find(ref); r != nil {
		if r.Blocked {
			return own, r.blocked(ref)
		}
		own.Insecure = r.Insecure
	}
	h, err := c.hostsFor(ref.Registry)
	if err != nil || h == nil || h.server == nil || h.server.Host != own.Host {
		return own, err
	}
	return merged(own, *h.server), nil
}

func (d *Decision) say(format string, a ...any) {
	d.Steps = append(d.Steps, fmt.Sprintf(format, a...))
}

func (c *Config) read() string {
	if len(c.files) == 0 {
		return " (no file was read)"
	}
	return " (read: " + strings.Join(c.files, ", ") + ")"
}

// find gives the entry with the longest prefix that matches, and how much it covers.
func (c *Config) find(ref reference.Ref) (*registryTable, int) {
	name := ref.String()
	for i := range c.registries {
		if n := matches(c.registries[i].Prefix, name); n >= 0 {
			return &c.registries[i], n
		}
	}
	return nil, 0
}

func (r registryTable) blocked(ref reference.Ref) error {
	return &Error{Op: "decide", File: r.file, Line: r.line, Err: fmt.Errorf("%s: %w: prefix %q", ref, ErrBlocked, r.Prefix)}
}

// apply follows the entry r: mirrors into the decision, and own to where its location says. It
// gives the registry that own is then.
func (d *Decision) apply(r registryTable, covered int, ref reference.Ref, own *Endpoint) (string, error) {
	d.say("registries.conf: %s:%d: prefix %q is the longest that matches", r.file, r.line, r.Prefix)
	if r.Blocked {
		d.say("blocked")
		return "", r.blocked(ref)
	}
	rest := ref.Name()[min(covered, len(ref.Name())):]
	for _, m := range r.Mirrors {
		at, err := place(m.Location + rest)
		if err != nil {
			return "", r.rewritten(m.Location+rest, err)
		}
		e := Endpoint{
			Host: apiHost(at.Registry), Prefix: "/v2", Repository: at.Repository, Insecure: m.Insecure,
			Resolve: m.PullFrom != pullDigestOnly, Pull: true, Source: fmt.Sprintf("%s:%d", r.file, r.line),
		}
		if m.PullFrom == pullTagOnly && ref.Digest != "" {
			d.say("mirror %s is left out: it is for tags only, and the reference has a digest", m.Location)
			continue
		}
		if !e.Resolve && ref.Digest == "" {
			d.say("mirror %s does not say what tags mean: it is asked for digests only", m.Location)
		}
		d.Endpoints = append(d.Endpoints, e)
	}
	own.Insecure, own.Source = r.Insecure, fmt.Sprintf("%s:%d", r.file, r.line)
	if r.Location == "" || r.Location+rest == ref.Name() {
		return ref.Registry, nil
	}
	at, err := place(r.Location + rest)
	if err != nil {
		return "", r.rewritten(r.Location+rest, err)
	}
	own.Host, own.Repository = apiHost(at.Registry), at.Repository
	own.Upstream = at.Registry == ref.Registry
	d.say("location %q puts %s in place of %s", r.Location, at.Name(), ref.Name())
	return at.Registry, nil
}

func (r registryTable) rewritten(to string, err error) error {
	return &Error{Op: "decide", File: r.file, Line: r.line, Err: fmt.Errorf("%w: it makes %q: %w", ErrConfig, to, err)}
}

// hosts adds what hosts.toml says of a registry, and the registry itself.
func (d *Decision) hosts(h *hosts, registry string, own Endpoint, dirs []string) {
	if h == nil {
		if len(dirs) > 0 {
			d.say("hosts.toml: none for %s (below %s)", registry, strings.Join(dirs, ", "))
		}
		d.Endpoints = append(d.Endpoints, own)
		return
	}
	d.say("hosts.toml: %s", h.file)
	for _, m := range h.mirrors {
		m.Repository, m.Namespace = own.Repository, registry
		if m.Host == own.Host {
			m = merged(own, m) // the registry, reached in another way
		}
		if !m.Pull && !m.Resolve {
			d.say("host %s is left out: it has neither the capability pull nor resolve", m.Host)
			continue
		}
		d.Endpoints = append(d.Endpoints, m)
	}
	server := *h.server
	if server.Host == own.Host {
		server = merged(own, server)
	} else {
		server.Repository, server.Namespace, server.Upstream = own.Repository, registry, false
		d.say("server %s stands in for %s", server.Host, own.Host)
	}
	d.Endpoints = append(d.Endpoints, server)
}

// merged is own, reached as a host of hosts.toml says.
func merged(own, how Endpoint) Endpoint {
	how.Repository, how.Upstream, how.Insecure, how.Namespace = own.Repository, own.Upstream, own.Insecure, ""
	return how
}

// Expand gives the full name that an alias gives a short one, with its tag or digest, and where
// that is written; the text itself if there is none.
func (c *Config) Expand(text string) (full, source string) {
	if c == nil || strings.Contains(text, "://") {
		return text, ""
	}
	short, rest := text, ""
	if i := strings.IndexAny(text, ":@"); i >= 0 {
		short, rest = text[:i], text[i:]
	}
	a, ok := c.aliases[short]
	if !ok {
		return text, ""
	}
	return a.name + rest, fmt.Sprintf("%s:%d", a.file, a.line)
}
