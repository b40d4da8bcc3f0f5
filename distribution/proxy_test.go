package distribution

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/oci-pipeline/oci/distribution/registrytest"
)

// TestProxyChild resolves $OCI_TEST_REF, in a process of its own: net/http reads the environment once.
func TestProxyChild(t *testing.T) {
	ref := os.Getenv("OCI_TEST_REF")
	if ref == "" {
		t.Skip("it is started by TestProxyFromEnvironment only")
	}
	o := Options{Insecure: os.Getenv("OCI_TEST_INSECURE") != ""}
	if ca := os.Getenv("OCI_TEST_CA"); ca != "" {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		if err := AddCA(o.TLS, ca); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := newClient(t, o).Resolve(t.Context(), mustRef(t, ref)); err != nil {
		t.Fatal(err)
	}
}

func child(t *testing.T, env ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxyChild$", "-test.count=1")
	for _, e := range os.Environ() {
		if !strings.Contains(strings.ToLower(e[:strings.IndexByte(e+"=", '=')]), "proxy") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestProxyFromEnvironment: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, with a password for the proxy.
func TestProxyFromEnvironment(t *testing.T) {
	a := registrytest.NewAuthority(t)
	plain, _, _ := setup(t, registrytest.Options{})
	secure, _, _ := setup(t, registrytest.Options{Config: a.Server(t, "secure.test")})
	overHTTP, askedHTTP := forward(t, plain.Host)
	overTLS, askedTLS := forward(t, secure.Host)
	withPassword := strings.Replace(overTLS, "http://", "http://me:hush@", 1)

	out, err := child(t, "OCI_TEST_REF=secure.test/team/app", "OCI_TEST_CA="+a.File, "HTTPS_PROXY="+withPassword)
	if err != nil {
		t.Errorf("HTTPS_PROXY: %v\n%s", err, out)
	}
	if len(*askedTLS) == 0 || (*askedTLS)[0] != "CONNECT secure.test:443 Basic bWU6aHVzaA==" {
		t.Errorf("the proxy was asked %q", *askedTLS)
	}
	for _, r := range secure.Requests() {
		if r.Header.Get("Proxy-Authorization") != "" {
			t.Error("the password of the proxy went to the registry")
		}
	}
	out, err = child(t, "OCI_TEST_REF=plain.test:80/team/app", "OCI_TEST_INSECURE=1", "HTTP_PROXY="+overHTTP)
	if err != nil || len(*askedHTTP) == 0 {
		t.Errorf("HTTP_PROXY: %v, asked %q\n%s", err, *askedHTTP, out)
	}
	n := len(*askedTLS)
	out, err = child(t, "OCI_TEST_REF=secure.test/team/app", "OCI_TEST_CA="+a.File, "HTTPS_PROXY="+withPassword, "NO_PROXY=.test")
	if err == nil || len(*askedTLS) != n {
		t.Errorf("NO_PROXY: the proxy was asked all the same: %s", out)
	}
	if out, err = child(t, "OCI_TEST_REF="+plain.Host+"/team/app", "HTTP_PROXY=http://127.0.0.1:1"); err != nil {
		t.Errorf("loopback needs no proxy: %v\n%s", err, out)
	}
	out, err = child(t, "OCI_TEST_REF=secure.test/team/app", "HTTPS_PROXY=http://me:hush@bad host:1")
	if err == nil || strings.Contains(out, "hush") {
		t.Errorf("a proxy that is no URL: %v\n%s", err, out)
	}
}

// forward starts a proxy that sends everything to addr, and tells what it was asked for.
func forward(t *testing.T, addr string) (proxyURL string, asked *[]string) {
	t.Helper()
	asked = &[]string{}
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.Method+" "+r.Host+" "+r.Header.Get("Proxy-Authorization"))
		if r.Method != http.MethodConnect {
			r.URL.Scheme, r.URL.Host, r.RequestURI = "http", addr, ""
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			defer resp.Body.Close()
			for k, v := range resp.Header {
				w.Header()[k] = v
			}
			w.WriteHeader(resp.StatusCode)
			_, _ = io.Copy(w, resp.Body)
			return
		}
		far, err := net.Dial("tcp", addr) //nolint:noctx // ends with the test
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusOK)
		near, early, err := http.NewResponseController(w).Hijack() // early holds what was read already
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(far, early); _ = far.Close() }()
		_, _ = io.Copy(near, far)
		_ = near.Close()
	}))
	t.Cleanup(p.Close)
	return p.URL, asked
}
