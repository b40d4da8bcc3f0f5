package distribution

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/distribution/mirrorconfig"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
)

const (
	// mirrorConnect and mirrorBudget bound what a mirror that does not answer costs: the registry
	// behind it is still to be asked.
	mirrorConnect = 5 * time.Second
	mirrorBudget  = 10 * time.Second
	// mirrorRest is how long a mirror that failed is left alone.
	mirrorRest = time.Minute
)

// An endpoint is one place to ask for the content of a repository.
type endpoint struct {
	h    *host
	repo string // its name there
	ns   string // the registry it stands in for, if it wants to know; else ""
	tags bool   // it may say what a tag means
	pull bool   // it may give content by digest
	refs bool   // it may say what refers to a manifest
	// static is the directory of a layout on a file server, with its slash; "" is a registry.
	static string
	// foreign is where a manifest says that a blob is; h is the registry then.
	foreign *url.URL
}

// path gives the path and query of a request below the repository: kind is "manifests", "blobs",
// ...; name what of it.
func (e endpoint) path(kind, name string) string {
	if e.static != "" {
		return e.static + blobFile(digest.Digest(name))
	}
	p := e.h.prefix + "/" + e.repo + "/" + kind + "/" + name
	if e.ns == "" {
		return p
	}
	return p + "?" + url.Values{"ns": {e.ns}}.Encode()
}

// checkRef refuses what is not in a registry.
func checkRef(op string, ref reference.Ref) error {
	if ref.Transport != reference.Registry || ref.Registry == "" || ref.Repository == "" {
		return &Error{Op: op, Subject: ref.String(), Err: fmt.Errorf("%w: not a name in a registry", reference.ErrTransport)}
	}
	return nil
}

// endpoints gives the places to ask for what ref names: mirrors, and last the registry.
func (c *Client) endpoints(op string, ref reference.Ref) ([]endpoint, error) {
	if err := checkRef(op, ref); err != nil {
		return nil, err
	}
	decision, err := c.o.Mirrors.Decide(ref)
	if err != nil {
		return nil, wrap(op, ref.String(), err)
	}
	list := make([]endpoint, 0, len(decision.Endpoints))
	for i, e := range decision.Endpoints {
		h, err := c.hostAt(op, ref, e, i == len(decision.Endpoints)-1)
		if err != nil {
			return nil, err
		}
		list = append(list, endpoint{h: h, repo: e.Repository, ns: e.Namespace, tags: e.Resolve, pull: e.Pull, refs: e.Referrers})
	}
	return list, nil
}

// registryRef gives the registry of ref itself, for what no mirror does.
func (c *Client) registryRef(op string, ref reference.Ref) (*host, error) {
	return c.oneHost(op, ref, c.o.Mirrors.Upstream)
}

// targetRef gives the place where content for ref goes, and where it is deleted.
func (c *Client) targetRef(op string, ref reference.Ref) (*host, error) {
	return c.oneHost(op, ref, c.o.Mirrors.Target)
}

func (c *Client) oneHost(op string, ref reference.Ref, which func(reference.Ref) (mirrorconfig.Endpoint, error)) (*host, error) {
	if err := checkRef(op, ref); err != nil {
		return nil, err
	}
	e, err := which(ref)
	if err != nil {
		return nil, wrap(op, ref.String(), err)
	}
	return c.hostAt(op, ref, e, true)
}

// hostAt gives the host of an endpoint for ref. Hosts that are reached in different ways, or with
// other credentials, are different ones.
func (c *Client) hostAt(op string, ref reference.Ref, e mirrorconfig.Endpoint, last bool) (*host, error) {
	registry := e.Host
	if e.Upstream {
		registry = ref.Registry
	}
	// A second opinion on the name, by a parser that is not ours: what it refuses is never dialled.
	if _, err := name.NewRegistry(e.Host, name.StrictValidation); err != nil {
		return nil, &Error{Op: op, Subject: ref.String(), Err: fmt.Errorf("%w: %w", reference.ErrSyntax, err)}
	}
	e.Repository, e.Namespace, e.Resolve, e.Pull, e.Referrers, e.Push = "", "", false, false, false, false
	key := registry
	if e.Source != "" || e.Insecure {
		key = fmt.Sprintf("%s %v %t", registry, e, last)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.hosts[key]; h != nil {
		return h, nil
	}
	h := c.newHost(registry)
	h.api, h.prefix, h.at, h.scheme = e.Host, e.Prefix, e, e.Scheme
	h.named, h.mirror, h.insecure = true, !e.Upstream, c.o.anybody(registry) || e.Insecure
	h.reach = reachOfName(e.Host)
	if h.mirror && !last {
		h.retry.Attempts, h.retry.Budget = min(h.retry.Attempts, 2), min(h.retry.Budget, mirrorBudget)
		h.connect, h.quick = mirrorConnect, true
	}
	if e.DialTimeout > 0 {
		h.connect = e.DialTimeout
	}
	c.hosts[key] = h
	return h, nil
}

// header gives header with what the configuration adds for a host.
func (h *host) header(to http.Header) {
	for k, v := range h.at.Header {
		to[k] = slices.Clone(v)
	}
}

// resting tells whether a mirror failed a short while ago.
func (h *host) resting() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Now().Before(h.rest)
}

// failed notes what became of a request to an endpoint that others come after. A mirror that lacks
// something is asked for the next thing; one that cannot be reached, or lies, is left alone.
func (c *Client) failed(ctx context.Context, h *host, err error) {
	if errors.Is(err, ErrNotFound) && h.mirror {
		c.log.DebugContext(ctx, "a mirror does not have it", "mirror", h.api, "err", err)
		return
	}
	if !h.mirror {
		return // the registry, and a manifest says where else the blob is
	}
	h.mu.Lock()
	h.rest = time.Now().Add(mirrorRest)
	h.mu.Unlock()
	c.log.WarnContext(ctx, "a mirror failed; asking the next", "mirror", h.api, "err", err)
}

// each asks one endpoint after the other, until f succeeds. byTag asks those that may say what a tag
// means, else those that may give content. The error is the last one; earlier ones are told in its
// text.
func (c *Client) each(ctx context.Context, list []endpoint, byTag bool, f func(endpoint) error) error {
	return c.eachOf(ctx, eligible(list, byTag), f, c.failed)
}

// eachList is each for lists that only some give, which may says. A mirror that answers that it does not
// is as good as before for all else.
func (c *Client) eachList(ctx context.Context, list []endpoint, may func(endpoint) bool, f func(e endpoint, last bool) error) error {
	list = slices.DeleteFunc(slices.Clone(list), func(e endpoint) bool { return !may(e) })
	return c.eachOf(ctx, list, func(e endpoint) error {
		return f(e, e == list[len(list)-1])
	}, func(ctx context.Context, h *host, err error) {
		var s *StatusError
		if errors.As(err, &s) && s.Status < http.StatusInternalServerError && s.Status != http.StatusTooManyRequests {
			c.log.DebugContext(ctx, "a mirror does not list it", "mirror", h.api, "err", err)
			return
		}
		c.failed(ctx, h, err)
	})
}

func (c *Client) eachOf(ctx context.Context, list []endpoint, f func(endpoint) error, failed func(context.Context, *host, error)) error {
	var before []string
	for i, e := range list {
		last := i == len(list)-1
		if !last && e.h.resting() {
			continue
		}
		err := f(e)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if last {
			return withMirrors(err, before)
		}
		failed(ctx, e.h, err)
		before = append(before, fmt.Sprintf("%s: %v", e.h.api, err))
	}
	return &Error{Op: "choose", Err: fmt.Errorf("%w: no host has the capability", ErrProtocol)}
}

// eligible gives the endpoints that may be asked.
func eligible(list []endpoint, byTag bool) []endpoint {
	return slices.DeleteFunc(slices.Clone(list), func(e endpoint) bool {
		return byTag && !e.tags || !byTag && !e.pull
	})
}

// withMirrors adds what mirrors said to the error of the registry, whose kind it keeps.
func withMirrors(err error, before []string) error {
	if len(before) == 0 {
		return err
	}
	return fmt.Errorf("%w (before it, %s)", err, strings.Join(before, "; "))
}

// lies tells whether an error is about content that is not what was asked for.
func lies(err error) bool {
	return errors.Is(err, image.ErrDigestMismatch) || errors.Is(err, image.ErrSizeMismatch)
}
