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
	own := itself(ref)
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

// itself is the registry of ref as it is without any file.
func itself(ref reference.Ref) Endpoint {
	return Endpoint{
		Host: apiHost(ref.Registry), Prefix: "/v2", Repository: ref.Repository,
		Resolve: true, Pull: true, Referrers: true, Push: true, Upstream: true,
	}
}

// Upstream says how to reach the registry of ref for what no mirror does: logins, catalogs, rate
// limits. Locations are not rewritten for those, as in containers' own tools.
func (c *Config) Upstream(ref reference.Ref) (Endpoint, error) {
	own, _, err := c.upstream(ref)
	return own, err
}

// upstream gives what hosts.toml says too; nil is nothing.
func (c *Config) upstream(ref reference.Ref) (Endpoint, *hosts, error) {
	own := itself(ref)
	if c == nil {
		return own, nil, nil
	}
	if r, _ := c.find(ref); r != nil {
		if r.Blocked {
			return own, nil, r.blocked(ref)
		}
		own.Insecure = r.Insecure
	}
	h, err := c.hostsFor(ref.Registry)
	if err != nil || h == nil || h.server.Host != own.Host {
		return own, h, err
	}
	return merged(own, *h.server), h, nil
}

// Target says where content for ref goes, and where it is deleted: to the first host of hosts.toml that
// has the capability push by name, and else to the registry itself. It gives ErrNoPush if hosts.toml
// takes that capability from the registry and gives it to nobody.
func (c *Config) Target(ref reference.Ref) (Endpoint, error) {
	own, h, err := c.upstream(ref)
	if err != nil || h == nil {
		return own, err
	}
	for _, m := range h.mirrors {
		switch {
		case !m.Push:
		case m.Host == own.Host:
			return merged(own, m), nil
		default:
			m.Repository = own.Repository
			return m, nil
		}
	}
	if h.server.Host != own.Host && h.serverPush {
		server := *h.server
		server.Repository = own.Repository
		return server, nil
	}
	if !own.Push {
		return own, &Error{Op: "decide", File: h.file, Err: fmt.Errorf("%s: %w", ref, ErrNoPush)}
	}
	return own, nil
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
			Resolve: m.PullFrom != pullDigestOnly, Pull: true, Referrers: m.PullFrom == pullAll, Source: fmt.Sprintf("%s:%d", r.file, r.line),
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
		if !m.Pull && !m.Resolve && !m.Referrers {
			d.say("host %s is left out: it has none of the capabilities pull, resolve and referrers", m.Host)
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
