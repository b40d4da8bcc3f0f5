package distribution

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"testing"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/credential"
	"github.com/oci-pipeline/oci/distribution/registrytest"
	"github.com/oci-pipeline/oci/image"
)

// foreign puts an image into a registry whose largest layer is elsewhere, at the URLs.
func foreign(t *testing.T, s *registrytest.Server, urls ...string) (*fixture, ispec.Descriptor) {
	t.Helper()
	f := newFixture(t)
	man := ispec.Manifest{MediaType: ispec.MediaTypeImageManifest, Config: f.config, Layers: append([]ispec.Descriptor(nil), f.layers...)}
	man.SchemaVersion = 2
	man.Layers[1].URLs, man.Layers[1].MediaType = urls, image.DockerForeignGzip
	raw := mustJSON(t, man)
	f.index = ispec.Descriptor{MediaType: man.MediaType, Digest: f.store.add(raw), Size: int64(len(raw))}
	f.fill(t, s.Backend, "team/app")
	s.Inject(registrytest.Rule{Path: "/blobs/" + man.Layers[1].Digest.String(), Fault: registrytest.Status(http.StatusNotFound)})
	return f, man.Layers[1]
}

// webserver is a plain file server over https that remembers what it was asked.
func webserver(t *testing.T, a *registrytest.Authority, content []byte) *registrytest.Server {
	t.Helper()
	return registrytest.New(t, registrytest.Options{Config: a.Server(t, "files.test"), Auth: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/away" {
				http.Redirect(w, r, "http://127.0.0.1:1/layer", http.StatusFound)
				return
			}
			w.Header().Set("Content-Type", "application/octet-stream")
			_, _ = w.Write(content)
		})
	}})
}

// TestIS_T8_foreign_layer: what is not to be distributed is downloaded from where its descriptor
// says, without anything of ours, and is proved like all else.
func TestIS_T8_foreign_layer(t *testing.T) {
	a := registrytest.NewAuthority(t)
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if err := AddCA(conf, a.File); err != nil {
		t.Fatal(err)
	}
	right := newFixture(t)
	layer := right.store.blobs[right.layers[1].Digest]
	files := webserver(t, a, layer)
	lying := webserver(t, a, bytes.Repeat([]byte{1}, len(layer)))
	for name, tt := range map[string]struct {
		urls []string
		want error
	}{
		"there":                   {[]string{files.URL + "/layer?x=1"}, nil},
		"second place":            {[]string{"https://127.0.0.1:1/none", "ftp://x/y", "%zz", files.URL + "/layer"}, nil},
		"lies":                    {[]string{lying.URL + "/layer"}, image.ErrDigestMismatch},
		"plain http":              {[]string{"http://" + files.Host + "/layer"}, ErrInsecure},
		"a file":                  {[]string{"file:///etc/passwd"}, ErrInsecure},
		"with a password":         {[]string{"https://u:p@" + files.Host + "/layer"}, ErrInsecure},
		"redirected to http":      {[]string{files.URL + "/away"}, ErrInsecure},
		"nowhere":                 {nil, ErrNotFound},
		"first lies, second good": {[]string{lying.URL + "/layer", files.URL + "/layer"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			files.Forget()
			s := registrytest.New(t, registrytest.Options{Auth: registrytest.Basic("ann", "pw")})
			f, l := foreign(t, s, tt.urls...)
			c, m := newClient(t, Options{TLS: conf, Insecure: name == "redirected to http", Credentials: credential.Static{Username: "ann", Password: "pw"}}), newMemory()
			_, err := pullInto(t, c, mustRef(t, s.Host+"/team/app"), m, PullOptions{})
			if tt.want == nil && err != nil || !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if tt.want == nil && !bytes.Equal(m.blobs[l.Digest], f.store.blobs[l.Digest]) {
				t.Error("the layer is not there")
			}
			for _, r := range files.Requests() {
				if r.Header.Get("Authorization") != "" {
					t.Error("credentials were sent to the foreign place")
				}
			}
		})
	}
}

// TestH77_foreign_url_cannot_lead_us_nearer: not to this machine, not to its network, not to the
// services of its cloud, by address or by name; unless the registry is as near itself.
func TestH77_foreign_url_cannot_lead_us_nearer(t *testing.T) {
	for _, tt := range []struct {
		registry, to string
		ok           bool
	}{
		{"r.example", "https://cdn.example/x", true},
		{"r.example", "https://8.8.8.8/x", true},
		{"r.example", "https://127.0.0.1/x", false},
		{"r.example", "https://[::1]/x", false},
		{"r.example", "https://[::ffff:127.0.0.1]/x", false},
		{"r.example", "https://localhost/x", false},
		{"r.example", "https://169.254.169.254/latest/meta-data", false},
		{"r.example", "https://10.0.0.1/x", false},
		{"r.example", "https://[fd00::1]/x", false},
		{"r.example", "https://0.0.0.0/x", false},
		{"10.0.0.2", "https://10.0.0.1/x", true},
		{"10.0.0.2", "https://127.0.0.1/x", false},
		{"127.0.0.1", "https://169.254.169.254/x", false},
		{"localhost", "https://[::ffff:169.254.169.254]/x", false},
		{"127.0.0.1", "https://[fe80::1%25eth0]/x", false},
		{"10.0.0.2", "https://[fd00:ec2::254]/x", false},
		{"169.254.1.1", "https://169.254.1.2/x", true},
		{"169.254.1.1", "https://127.0.0.1/x", false},
	} {
		h := newClient(t, Options{}).host(tt.registry)
		u, err := url.Parse(tt.to)
		if err != nil {
			t.Fatal(err)
		}
		if err := foreignURL(u, h); tt.ok != (err == nil) || err != nil && !errors.Is(err, ErrInsecure) {
			t.Errorf("%s to %s: got %v, want ok %t", tt.registry, tt.to, err, tt.ok)
		}
	}
	// By name: the address that is dialled is what counts.
	h := newClient(t, Options{}).host("r.example")
	g := &guard{host: h, secret: true, foreign: true}
	if _, err := guardedDial(context.WithValue(t.Context(), guardKey{}, g), "tcp4", "localhost:1"); !errors.Is(err, ErrInsecure) {
		t.Errorf("a name for loopback: %v", err)
	}
}

// TestIS_M3_artifact: what only others understand is stored as it is, and pushed again.
func TestIS_M3_artifact(t *testing.T) {
	src := newMemory()
	put := func(mt string, raw []byte) ispec.Descriptor {
		return ispec.Descriptor{MediaType: mt, Digest: src.add(raw), Size: int64(len(raw))}
	}
	empty := put(ispec.MediaTypeEmptyJSON, []byte("{}"))
	for name, m := range map[string]ispec.Manifest{
		"own config":         {Config: put("application/vnd.example.config", []byte("not JSON")), Layers: []ispec.Descriptor{put("application/vnd.example.thing", []byte("thing"))}},
		"empty config":       {ArtifactType: "application/vnd.example", Config: empty, Layers: []ispec.Descriptor{empty}},
		"without any layers": {ArtifactType: "application/vnd.example", Config: empty, Layers: []ispec.Descriptor{}},
	} {
		t.Run(name, func(t *testing.T) {
			m.SchemaVersion, m.MediaType = 2, ispec.MediaTypeImageManifest
			d := put(m.MediaType, mustJSON(t, m))
			s := registrytest.New(t, registrytest.Options{})
			c, ref := newClient(t, Options{}), mustRef(t, s.Host+"/art/one:v")
			if err := c.Push(t.Context(), ref, src, d, PushOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, err := pullInto(t, c, ref, newMemory(), PullOptions{}); !errors.Is(err, image.ErrMediaType) {
				t.Errorf("an image was asked for: %v", err)
			}
			got := newMemory()
			res, err := pullInto(t, c, ref, got, PullOptions{Artifacts: true})
			if err != nil || !res.Artifact || res.Resolved.Manifest.Digest != d.Digest {
				t.Fatalf("got %+v, %v", res, err)
			}
			for _, b := range append([]ispec.Descriptor{d, m.Config}, m.Layers...) {
				if !bytes.Equal(got.blobs[b.Digest], src.blobs[b.Digest]) {
					t.Errorf("%s is missing", b.MediaType)
				}
			}
			if err := c.Push(t.Context(), mustRef(t, s.Host+"/art/two:v"), got, d, PushOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	_, f, ref := setup(t, registrytest.Options{})
	res, err := pullInto(t, newClient(t, Options{}), ref, newMemory(), PullOptions{Artifacts: true})
	if err != nil || res.Artifact || res.Image.Descriptor().Digest != f.manifest.Digest {
		t.Errorf("an image stays one: %+v, %v", res.Resolved, err)
	}
}
