package distribution

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/registry"
	"github.com/oci-pipeline/oci/distribution/registrytest"
	"github.com/oci-pipeline/oci/image"
)

// uploadClaims are what a registry may say that is not so while it is pushed to.
func uploadClaims(stranger string) []claim {
	set := func(name string, want error, method, path, header, value string) claim {
		return claim{name: name, want: want, rule: registrytest.Rule{Method: method, Path: path, Fault: registrytest.Header(header, value)}}
	}
	location := func(name string, want error, value string) claim {
		return set("Location "+name, want, http.MethodPost, "/blobs/uploads/", "Location", value)
	}
	const session, manifests = "/blobs/uploads/", "/manifests/"
	list := []claim{
		location("to a stranger", errAny, stranger+"/upload?token=1"), // who says 201, and has stored nothing
		location("to a stranger without a scheme", errAny, strings.TrimPrefix(stranger, "http:")+"/upload"),
		location("absent", ErrProtocol, ""),
		location("to a file", ErrProtocol, "file:///etc/passwd"),
		location("with a password", ErrProtocol, strings.Replace(stranger, "http://", "http://u:p@", 1)+"/upload"),
		location("that is no URL", ErrProtocol, "http://[::1"),
		location("of 100 kB", errAny, "/"+strings.Repeat("a", 100_000)),
		location("to a host of 100 kB", ErrProtocol, "http://"+strings.Repeat("a", 100_000)+"/"),
		location("to a manifest", errAny, "/v2/a/b/manifests/v"),
		location("with a line break", errAny, "/v2/\r\nX: y"),
		location("that is opaque", ErrProtocol, "http:opaque"),
		set("POST 201 that stores nothing", errAny, http.MethodPost, session, "X", "y"),
		set("minimum chunk negative", nil, http.MethodPost, session, "Oci-Chunk-Min-Length", "-1"),
		set("minimum chunk no number", nil, http.MethodPost, session, "Oci-Chunk-Min-Length", "1e9"),
		set("minimum chunk of 1 EiB", nil, http.MethodPost, session, "Oci-Chunk-Min-Length", "1152921504606846976"),
		set("minimum chunk over int64", nil, http.MethodPost, session, "Oci-Chunk-Min-Length", "99999999999999999999"),
		set("minimum chunk of 1 GiB", nil, http.MethodPost, session, "Oci-Chunk-Min-Length", "1073741824"),
		set("Range of less", errAny, http.MethodPatch, session, "Range", "0-0"),
		set("Range of more", errAny, http.MethodPatch, session, "Range", "0-99999999"),
		set("Range over int64", nil, http.MethodPatch, session, "Range", "0-99999999999999999999"),
		set("Range that starts later", nil, http.MethodPatch, session, "Range", "5-9"),
		set("Range that is none", nil, http.MethodPatch, session, "Range", "bytes"),
		set("chunk Location absent", ErrProtocol, http.MethodPatch, session, "Location", ""),
		set("chunk Location to a stranger", errAny, http.MethodPatch, session, "Location", stranger+"/upload"),
		set("stored another blob", image.ErrDigestMismatch, http.MethodPut, session, "Docker-Content-Digest", digest.FromString("x").String()),
		set("stored no digest", nil, http.MethodPut, session, "Docker-Content-Digest", "sha256:../x"),
		set("stored another manifest", image.ErrDigestMismatch, http.MethodPut, manifests, "Docker-Content-Digest", digest.FromString("x").String()),
		set("stored Location to a stranger", nil, http.MethodPut, "", "Location", stranger+"/x"),
		set("tags that were not asked for", nil, http.MethodPut, manifests, "Oci-Tag", "../../x"),
		set("a subject that was not sent", nil, http.MethodPut, manifests, "Oci-Subject", digest.FromString("x").String()),
		set("HEAD of a manifest with another digest", nil, http.MethodHead, manifests, "Docker-Content-Digest", digest.FromString("x").String()),
		set("HEAD of a blob with another digest", errAny, http.MethodHead, "/blobs/", "Docker-Content-Digest", digest.FromString("x").String()),
	}
	for _, method := range []string{http.MethodPost, http.MethodPatch, http.MethodPut, http.MethodHead} {
		for _, code := range []int{200, 204, 206, 304, 404, 409, 416, 507} {
			list = append(list, claim{name: fmt.Sprintf("%s %d", method, code), want: errAny, rule: registrytest.Rule{Method: method, Fault: registrytest.Status(code, "Location", "/x", "Range", "0-0")}})
		}
		if method != http.MethodHead { // whose answer has no body
			list = append(list,
				claim{name: method + " 500 without end", want: errAny, rule: registrytest.Rule{Method: method, Path: "/v2/", Fault: endless(500)}},
				claim{name: method + " 202 without end", want: errAny, rule: registrytest.Rule{Method: method, Path: "/v2/", Fault: endless(202, "Location", "/v2/a/b/blobs/uploads/x")}})
		}
		list = append(list,
			claim{name: method + " redirected to a stranger", want: errAny, rule: registrytest.Rule{Method: method, Path: "/v2/", Fault: registrytest.Status(307, "Location", stranger+"/x")}},
			claim{name: method + " redirected without end", want: errAny, rule: registrytest.Rule{Method: method, Path: "/v2/", Fault: registrytest.Status(308, "Location", "?")}},
			claim{name: method + " dropped", want: errAny, rule: registrytest.Rule{Method: method, Path: "/v2/", Fault: registrytest.Drop()}},
		)
	}
	return list
}

// TestLies_push: whatever a registry says, no tag is there that leads to something else than what was
// pushed, and without an error all of it is there.
func TestLies_push(t *testing.T) {
	for i, c := range uploadClaims("http://stranger.invalid") {
		for _, chunk := range []int64{0, 100_000} {
			if c.rule.Method == http.MethodPatch && chunk == 0 {
				continue // nothing is sent in chunks
			}
			t.Run(fmt.Sprintf("%s,%d", c.name, chunk), func(t *testing.T) {
				k := newCourt(t)
				f := k.f
				err := k.judge(uploadClaims(k.stranger.URL)[i], func(ctx context.Context, client *Client) error {
					return client.Push(ctx, mustRef(t, k.Host+"/a/b:v"), f.store, f.manifest, PushOptions{ChunkSize: chunk, Jobs: 2})
				})
				d, errTag := k.Backend.Resolve(t.Context(), "a/b", "v")
				if errTag == nil && d.Digest != f.manifest.Digest {
					t.Errorf("the tag leads to %s", d.Digest)
				}
				if errTag != nil && !errors.Is(errTag, registry.ErrNotFound) {
					t.Error(errTag)
				}
				if err != nil || errTag != nil {
					return // a registry that says "stored" and has nothing is believed in that; nothing is wrong there
				}
				for _, b := range append([]ispec.Descriptor{f.config}, f.layers...) {
					if r, err := k.Backend.Blob(t.Context(), "a/b", b.Digest); err != nil {
						t.Errorf("no error, the tag is there, and %s is not: %v", b.Digest, err)
					} else {
						_ = r.Close()
					}
				}
			})
		}
	}
}

// listClaims are answers to what lists: tags, repositories and referrers.
func listClaims(stranger, path string) []claim {
	link := func(name string, want error, value string) claim {
		return claim{name: "Link " + name, want: want, rule: registrytest.Rule{Fault: registrytest.Header("Link", value)}}
	}
	body := func(name string, want error, text string) claim {
		return claim{name: name, want: want, rule: registrytest.Rule{Fault: registrytest.Body("application/json", []byte(text))}}
	}
	list := []claim{
		link("to a stranger", ErrProtocol, "<"+stranger+path+`>; rel="next"`),
		link("to a stranger without a scheme", ErrProtocol, "<"+strings.TrimPrefix(stranger, "http:")+path+`>; rel="next"`),
		link("to https", ErrProtocol, `<https://127.0.0.1/x>; rel="next"`),
		link("to a file", ErrProtocol, `<file:///etc/passwd>; rel="next"`),
		link("that is no URL", ErrProtocol, `<http://[::1>; rel="next"`),
		link("with a password", errAny, "<"+strings.Replace(stranger, "http://", "http://u:p@", 1)+`/x>; rel="next"`),
		link("to itself", errAny, "<"+path+`>; rel="next"`),
		link("to nothing", nil, `<>; rel="next"`),
		link("to a query", errAny, `<?n=1>; rel="next"`),
		link("that ends never", nil, `<`+strings.Repeat("a", 100_000)),
		link("previous", nil, "<"+stranger+`/x>; rel="prev"`),
		link("that is many", nil, strings.Repeat(`<x>; rel="prev", `, 2000)),
		body("no JSON", errAny, "<html>"), body("null", errAny, "null"), body("a number", errAny, "7"),
		body("deep", errAny, `{"tags":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+`}`),
		body("20 MiB", image.ErrTooLarge, `{"x":"`+strings.Repeat("a", 20<<20)+`"}`),
		body("paths", errAny, `{"tags":["../../x"],"repositories":["\u001b[2J"],"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"sha256:../x","size":1}]}`),
		body("two documents", errAny, `{"tags":[],"repositories":[],"schemaVersion":2,"manifests":[]}{"tags":["x"]}`),
		{name: "without end", want: image.ErrTooLarge, rule: registrytest.Rule{Fault: endless(200, "Content-Type", "application/json")}},
		{name: "404 without end", want: errAny, rule: registrytest.Rule{Fault: endless(404)}},
	}
	return list
}

func TestLies_lists(t *testing.T) {
	f := newFixture(t)
	for kind, at := range map[string]struct {
		path string
		ask  func(ctx context.Context, c *Client, host string) (int, error)
	}{
		"tags": {"/v2/team/app/tags/list", func(ctx context.Context, c *Client, host string) (int, error) {
			list, err := c.Tags(ctx, mustRef(t, host+"/team/app"))
			return len(list), err
		}},
		"catalog": {"/v2/_catalog", func(ctx context.Context, c *Client, host string) (int, error) {
			list, err := c.Catalog(ctx, host)
			return len(list), err
		}},
		"referrers": {"/v2/team/app/referrers/" + f.index.Digest.String(), func(ctx context.Context, c *Client, host string) (int, error) {
			list, err := c.Referrers(ctx, mustRef(t, host+"/team/app"), f.index.Digest, "")
			for _, d := range list {
				if err := image.ValidateDescriptor(d); err != nil {
					t.Errorf("%+v: %v", d, err)
				}
			}
			return len(list), err
		}},
	} {
		for i, c := range listClaims("http://stranger.invalid", at.path) {
			t.Run(kind+" "+c.name, func(t *testing.T) {
				k := newCourt(t)
				c := listClaims(k.stranger.URL, at.path)[i]
				c.rule.Path = at.path
				if strings.Contains(c.name, "to itself") || strings.Contains(c.name, "to a query") {
					c.rule.Times = 50 // and then it ends: TestDC50_a_list_without_end has one that does not
				}
				_ = k.judge(c, func(ctx context.Context, client *Client) error {
					n, err := at.ask(ctx, client, k.Host)
					if n > 1000 {
						t.Errorf("%d entries", n)
					}
					return err
				})
			})
		}
	}
}
