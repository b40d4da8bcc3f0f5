package distribution

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/oci-pipeline/oci/distribution/registrytest"
)

// linkLocals are places that only a registry which is link-local itself may lead to.
var linkLocals = []string{
	"169.254.169.254", "169.254.170.2:8080", "[::ffff:169.254.169.254]", "[fe80::1]", "[fe80::1%25eth0]:80", "[fd00:ec2::254]",
	"[fd20:ce::254]", "100.100.100.200", "168.63.129.16", "192.0.0.192",
}

// TestH77_link_local_only_from_link_local: which place may lead to which.
func TestH77_link_local_only_from_link_local(t *testing.T) {
	for _, place := range linkLocals {
		u, err := url.Parse("http://" + place + "/x")
		if err != nil {
			t.Fatal(err)
		}
		if got := reachOfName(u.Host); got != linkLocal {
			t.Errorf("%s: reach %d", place, got)
		}
		for registry, ok := range map[string]bool{
			"r.example": false, "8.8.8.8": false, "10.0.0.1:5000": false, "[fd00::1]:5000": false, "localhost:5000": false,
			"127.0.0.1:5000": false, "[::1]:5000": false, "169.254.1.1:5000": true, "[fe80::2]:5000": true,
		} {
			h := newClient(t, Options{}).host(registry)
			_, errRealm := h.auth.realm(u.String(), "http")
			resp := &http.Response{Request: &http.Request{URL: &url.URL{Scheme: "http", Host: registry}}, Header: http.Header{"Location": {u.String()}}}
			_, errLocation := h.auth.client.location(h, resp)
			https := *u
			https.Scheme = "https"
			for what, err := range map[string]error{"realm": errRealm, "Location": errLocation, "foreign URL": foreignURL(&https, h)} {
				if ok != (err == nil) || err != nil && !errors.Is(err, ErrInsecure) {
					t.Errorf("%s of %s to %s: got %v, want ok %t", what, registry, place, err, ok)
				}
			}
			for _, secret := range []bool{false, true} {
				if reachOfName(registry).permits(linkLocal, secret) != ok {
					t.Errorf("%s to link-local, secret %t: want %t", registry, secret, ok)
				}
			}
		}
	}
}

// TestH78_registry_on_loopback_cannot_lead_to_link_local: by a redirect, a realm, or the Location of an
// upload. Nothing is dialled but the registry, not even by a dialler that checks nothing.
func TestH78_registry_on_loopback_cannot_lead_to_link_local(t *testing.T) {
	f := newFixture(t)
	for _, place := range linkLocals {
		for name, rule := range map[string]registrytest.Rule{
			"redirect":   {Path: "/manifests/", Fault: registrytest.Redirect("http://" + place)},
			"blob":       {Method: http.MethodGet, Path: "/blobs/", Fault: registrytest.Redirect("http://" + place)},
			"realm":      {Fault: registrytest.Status(401, "WWW-Authenticate", `Bearer realm="http://`+place+`/token"`)},
			"upload":     {Method: http.MethodPost, Fault: registrytest.Header("Location", "http://"+place+"/x")},
			"upload, on": {Method: http.MethodPost, Fault: registrytest.Redirect("http://" + place)},
		} {
			t.Run(name+" "+strings.ReplaceAll(place, "/", "_"), func(t *testing.T) {
				s, _, ref := setup(t, registrytest.Options{})
				s.Inject(rule)
				var mu sync.Mutex
				var dialled []string
				c := newClient(t, Options{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
					mu.Lock()
					dialled = append(dialled, address)
					mu.Unlock()
					return dialTo(s.Host)(ctx, network, address)
				}})
				var err error
				if strings.HasPrefix(name, "upload") {
					err = c.Push(t.Context(), mustRef(t, s.Host+"/a/b:v"), f.store, f.manifest, PushOptions{})
				} else {
					_, err = pullInto(t, c, ref, newMemory(), PullOptions{})
				}
				if !errors.Is(err, ErrInsecure) {
					t.Errorf("got %v, want ErrInsecure", err)
				}
				mu.Lock() // a connection that nobody waits for any more may still be made
				defer mu.Unlock()
				for _, a := range dialled {
					if a != s.Host {
						t.Errorf("%s was dialled", a)
					}
				}
			})
		}
	}
}
