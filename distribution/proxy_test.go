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

// TestProxySocks5: a SOCKS5 proxy does the dialling, with a password, and gets the name to look up.
func TestProxySocks5(t *testing.T) {
	a := registrytest.NewAuthority(t)
	secure, _, _ := setup(t, registrytest.Options{Config: a.Server(t, "secure.test")})
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // ends with the test
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	asked := make(chan string, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go socks5(c, secure.Host, asked)
		}
	}()
	out, err := child(t, "OCI_TEST_REF=secure.test/team/app", "OCI_TEST_CA="+a.File, "HTTPS_PROXY=socks5h://me:hush@"+l.Addr().String())
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := <-asked; got != "me hush secure.test" {
		t.Errorf("the proxy was asked %q", got)
	}
}

// socks5 serves one connection (RFC 1928, RFC 1929): it wants a password, tells who asked for what, and
// connects to addr.
func socks5(c net.Conn, addr string, asked chan<- string) {
	defer c.Close()
	read := func(n int) []byte {
		b := make([]byte, n)
		_, _ = io.ReadFull(c, b)
		return b
	}
	read(int(read(2)[1]))
	_, _ = c.Write([]byte{5, 2})
	user := string(read(int(read(2)[1])))
	password := string(read(int(read(1)[0])))
	_, _ = c.Write([]byte{1, 0})
	head := read(5)
	if head[3] != 3 { // a name
		asked <- "an address"
		return
	}
	name := string(read(int(head[4])))
	read(2)
	asked <- user + " " + password + " " + name
	far, err := net.Dial("tcp", addr) //nolint:noctx // ends with the test
	if err != nil {
		return
	}
	defer far.Close()
	_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	go func() { _, _ = io.Copy(far, c) }()
	_, _ = io.Copy(c, far)
}

// TestProxyOverTLS: a proxy that is itself reached by https.
func TestProxyOverTLS(t *testing.T) {
	a := registrytest.NewAuthority(t)
	secure, _, _ := setup(t, registrytest.Options{Config: a.Server(t, "secure.test")})
	overTLS, asked := forwardBy(t, secure.Host, a.Server(t, "proxy.test"))
	withPassword := strings.Replace(overTLS, "https://", "https://me:hush@", 1)
	out, err := child(t, "OCI_TEST_REF=secure.test/team/app", "OCI_TEST_CA="+a.File, "HTTPS_PROXY="+withPassword)
	if err != nil || len(*asked) == 0 || (*asked)[0] != "CONNECT secure.test:443 Basic bWU6aHVzaA==" {
		t.Errorf("%v, asked %q\n%s", err, *asked, out)
	}
}

// forward starts a proxy that sends everything to addr, and tells what it was asked for.
func forward(t *testing.T, addr string) (proxyURL string, asked *[]string) {
	return forwardBy(t, addr, nil)
}

// forwardBy is forward over TLS, if conf is not nil.
func forwardBy(t *testing.T, addr string, conf *tls.Config) (proxyURL string, asked *[]string) {
	t.Helper()
	asked = &[]string{}
	p := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
	if p.TLS = conf; conf != nil {
		p.StartTLS()
	} else {
		p.Start()
	}
	t.Cleanup(p.Close)
	return p.URL, asked
}
