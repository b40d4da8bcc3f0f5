package distribution

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
)

const (
	// maxListBody bounds one page of a list.
	maxListBody = 8 << 20
	// maxListed bounds a list: a registry with more tags than this in one repository is not known,
	// and one that never ends its list must not fill the memory.
	maxListed = 1 << 20
)

// Tags lists the tags of the repository of ref, in the order of the registry, following its Link
// headers. What is no tag by its grammar is refused with ErrProtocol.
//
// Mirrors that may say what tags mean are asked first, and may know fewer than the registry: AllTags
// asks none.
func (c *Client) Tags(ctx context.Context, ref reference.Ref) ([]string, error) {
	places, err := c.endpoints("list tags", ref)
	if err != nil {
		return nil, err
	}
	var list []string
	err = c.eachList(ctx, places, func(e endpoint) bool { return e.tags }, func(e endpoint, _ bool) error {
		list, err = c.names(ctx, e.h, e.repo, e.path("tags", "list"), "tags")
		return err
	})
	return list, wrap("list tags", ref.Name(), err)
}

// AllTags is Tags of the registry itself: for those who act on what is not in the list. Where pushes for the
// registry go, which may be elsewhere, TargetTags tells what there is.
func (c *Client) AllTags(ctx context.Context, ref reference.Ref) ([]string, error) {
	h, err := c.registryRef("list tags", ref)
	if err != nil {
		return nil, err
	}
	return c.allTags(ctx, h, ref)
}

func (c *Client) allTags(ctx context.Context, h *host, ref reference.Ref) ([]string, error) {
	list, err := c.names(ctx, h, ref.Repository, endpoint{h: h, repo: ref.Repository}.path("tags", "list"), "tags")
	return list, wrap("list tags", ref.Name(), err)
}

// Catalog lists the repositories of a registry, host[:port] as references call it. The call is
// older than the distribution specification and not in it: many registries refuse it.
func (c *Client) Catalog(ctx context.Context, registry string) ([]string, error) {
	ref, err := reference.Parse(registry + "/any")
	if err != nil || ref.Registry != registry {
		return nil, &Error{Op: "list repositories", Subject: printable(registry), Err: fmt.Errorf("%w: not the host of a registry", reference.ErrSyntax)}
	}
	h, err := c.registryRef("list repositories", ref)
	if err != nil {
		return nil, err
	}
	list, err := c.names(ctx, h, "", h.prefix+"/_catalog", "repositories")
	return list, wrap("list repositories", registry, err)
}

// names reads the lists of strings that the pages have under key.
func (c *Client) names(ctx context.Context, h *host, repo, path, key string) ([]string, error) {
	list := []string{}
	err := c.pages(ctx, h, repo, path, func(resp *http.Response) error {
		raw, err := io.ReadAll(io.LimitReader(resp.Body, maxListBody+1))
		if err != nil {
			return unexpected(err)
		}
		if len(raw) > maxListBody {
			return fmt.Errorf("%w: more than %d bytes in one page", image.ErrTooLarge, maxListBody)
		}
		page, err := decodeNames(raw, key, repo != "")
		if err != nil {
			return err
		}
		if list = append(list, page...); len(list) > maxListed {
			return fmt.Errorf("%w: more than %d names", image.ErrTooLarge, maxListed)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// decodeNames reads the list of strings that a page has under key. Names that are not tags may be
// anything that is safe to print.
func decodeNames(raw []byte, key string, tags bool) ([]string, error) {
	var doc map[string]json.RawMessage
	var page []string
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, badList("not a JSON object")
	}
	if doc[key] != nil { // null: registries say so of a repository without tags
		if err := json.Unmarshal(doc[key], &page); err != nil {
			return nil, badList("%q is not a list of names", key)
		}
	}
	for _, n := range page {
		if ok := tags && validTag(n) || !tags && n != "" && printable(n) == n; !ok {
			return nil, badList("invalid name %q", printable(n))
		}
	}
	return page, nil
}

func badList(format string, args ...any) error {
	return &Error{Op: "read list", Clause: spec.TagPagination, Err: fmt.Errorf("%w: "+format, append([]any{ErrProtocol}, args...)...)}
}

// maxTag is the length of a tag (distribution-spec, "Pulling manifests").
const maxTag = 128

// validTag tells whether s keeps the grammar of tags (DC-02).
func validTag(s string) bool {
	if s == "" || len(s) > maxTag {
		return false
	}
	for i := range len(s) {
		b := s[i]
		word := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_'
		if !word && (i == 0 || b != '.' && b != '-') {
			return false
		}
	}
	return true
}
