package distribution

import (
	"fmt"
	"net/url"
	"slices"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxForeign bounds the places of one blob that are tried.
const maxForeign = 4

// withForeign adds, behind the hosts, the places that the descriptor of a blob names. They are asked
// when the registry does not give it: layers that are not to be distributed are still to be
// downloaded (layer.md, "Non-Distributable Layers"), and the digest proves them.
func withForeign(list []endpoint, d ispec.Descriptor) []endpoint {
	if len(list) == 0 {
		return list
	}
	h := list[len(list)-1].h
	for i, s := range d.URLs {
		if i == maxForeign {
			break
		}
		u, err := url.Parse(s)
		if err != nil {
			continue // others may be better
		}
		list = append(list, endpoint{h: h, foreign: u})
	}
	return list
}

// without gives the URLs but the one that was tried.
func without(urls []string, tried *url.URL) []string {
	return slices.DeleteFunc(slices.Clone(urls), func(s string) bool {
		u, err := url.Parse(s)
		return err == nil && tried != nil && u.String() == tried.String()
	})
}

// foreignURL proves that a place that a manifest names may be asked. Whoever wrote the manifest
// chose it, so: https only, without a password, and nothing nearer than the registry itself. The
// address that a name leads to is checked again when it is dialled.
func foreignURL(u *url.URL, h *host) error {
	if u.Scheme != "https" || !place(u) {
		return fmt.Errorf("%w: the manifest leads to %q, which is no plain https URL", ErrInsecure, printable(u.Redacted()))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.reach.permits(reachOfName(u.Host), true) {
		return fmt.Errorf("%w: the manifest leads to %q, which is nearer than the registry itself", ErrInsecure, printable(u.Host))
	}
	return nil
}
