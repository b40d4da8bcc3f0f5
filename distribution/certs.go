package distribution

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/oci-pipeline/oci/distribution/mirrorconfig"
)

// ErrCertificate: a file with a certificate or a key cannot be used.
var ErrCertificate = errors.New("unusable certificate")

// maxCertFile bounds a file of certificates; that of a system has 200 KiB.
const maxCertFile = 4 << 20

func certError(file string, err error) error {
	return &Error{Op: "read certificate", Subject: file, Err: fmt.Errorf("%w: %w", ErrCertificate, err)}
}

// AddCA lets conf trust the authorities in a PEM file, beside those of the system.
func AddCA(conf *tls.Config, file string) error {
	raw, err := readBounded(file)
	if err != nil {
		return certError(file, err)
	}
	pool := conf.RootCAs
	if pool == nil {
		if pool, err = x509.SystemCertPool(); err != nil {
			pool = x509.NewCertPool() // a system without authorities of its own
		}
	} else {
		pool = pool.Clone()
	}
	if !pool.AppendCertsFromPEM(raw) {
		return certError(file, errors.New("no certificate in PEM form"))
	}
	conf.RootCAs = pool
	return nil
}

// AddClientCert lets conf show a certificate to servers that ask for one. Both may be in one file.
func AddClientCert(conf *tls.Config, certFile, keyFile string) error {
	cert, err := readBounded(certFile)
	if err != nil {
		return certError(certFile, err)
	}
	key, err := readBounded(keyFile)
	if err != nil {
		return certError(keyFile, err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return certError(certFile, err)
	}
	conf.Certificates = append(conf.Certificates[:len(conf.Certificates):len(conf.Certificates)], pair)
	return nil
}

// AddCertDir adds what a directory holds as Docker and containers lay it out: *.crt are authorities,
// NAME.cert with NAME.key a client certificate. One without the other is an error.
func AddCertDir(conf *tls.Config, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return certError(dir, err)
	}
	has := func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	}
	for _, e := range entries {
		file := filepath.Join(dir, e.Name())
		base := strings.TrimSuffix(e.Name(), filepath.Ext(file))
		switch filepath.Ext(file) {
		case ".crt":
			err = AddCA(conf, file)
		case ".cert":
			if !has(base + ".key") {
				return certError(file, fmt.Errorf("no %s.key beside it; authorities end in .crt", base))
			}
			err = AddClientCert(conf, file, filepath.Join(dir, base+".key"))
		case ".key":
			if !has(base + ".cert") {
				return certError(file, fmt.Errorf("no %s.cert beside it", base))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func readBounded(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxCertFile+1))
	if err == nil && len(raw) > maxCertFile {
		err = fmt.Errorf("larger than %d bytes", maxCertFile)
	}
	return raw, err
}

// transports gives the transport for requests to the host itself, and the one for where it leads:
// redirects and token servers, which get its authorities, but neither its client certificate nor
// leave to be anybody. A host without TLS settings of its own shares the client's.
func (h *host) transports(c *Client) (own, led http.RoundTripper, err error) {
	h.tlsOnce.Do(func() { h.own, h.led, h.tlsErr = c.transportsFor(h) })
	return h.own, h.led, h.tlsErr
}

func (c *Client) transportsFor(h *host) (own, led *http.Transport, err error) {
	dir, err := c.certDir(h)
	if err != nil {
		return nil, nil, err
	}
	plain := dir == "" && len(h.at.CAs) == 0 && len(h.at.Certs) == 0 && !h.at.SkipVerify && h.insecure == c.o.Insecure
	hasCert := c.o.TLS != nil && (len(c.o.TLS.Certificates) > 0 || c.o.TLS.GetClientCertificate != nil)
	if plain && !hasCert {
		return c.base, c.base, nil
	}
	conf := c.base.TLSClientConfig.Clone()
	if h.mirror {
		conf.Certificates, conf.GetClientCertificate = nil, nil // those are for the registry
	}
	if dir != "" {
		if err := AddCertDir(conf, dir); err != nil {
			return nil, nil, err
		}
	}
	for _, f := range h.at.CAs {
		if err := AddCA(conf, f); err != nil {
			return nil, nil, err
		}
	}
	for _, p := range h.at.Certs {
		if err := AddClientCert(conf, p[0], p[1]); err != nil {
			return nil, nil, err
		}
	}
	beyond := conf.Clone()
	beyond.Certificates, beyond.GetClientCertificate = nil, nil
	conf.InsecureSkipVerify = conf.InsecureSkipVerify || h.insecure || h.at.SkipVerify
	own, led = c.base.Clone(), c.base.Clone()
	own.TLSClientConfig, led.TLSClientConfig = conf, beyond
	c.mu.Lock()
	c.extra = append(c.extra, own, led)
	c.mu.Unlock()
	return own, led, nil
}

// certDir gives the first directory of certificates that there is for a host; "" if there is none.
func (c *Client) certDir(h *host) (string, error) {
	if dir := c.o.HostCertDirs[h.name]; dir != "" && h.named && !h.mirror {
		return dir, nil
	}
	for _, dir := range c.o.CertDirs {
		names := mirrorconfig.HostDirs(h.api)
		if h.api != h.name {
			names = append(names, mirrorconfig.HostDirs(h.name)...)
		}
		for _, name := range names {
			path := filepath.Join(dir, name)
			has, err := hasCerts(path)
			if err != nil {
				return "", certError(path, err)
			}
			if has {
				return path, nil
			}
		}
	}
	return "", nil
}

// hasCerts tells whether a directory holds certificates that count: beside a hosts.toml, which names
// its own, none do.
func hasCerts(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			err = nil
		}
		return false, err
	}
	found := false
	for _, e := range entries {
		switch filepath.Ext(e.Name()) {
		case ".toml":
			if e.Name() == "hosts.toml" {
				return false, nil
			}
		case ".crt", ".cert", ".key":
			found = true
		}
	}
	return found, nil
}

// router is the transport of all requests: each goes the way of the host it belongs to.
type router struct{ c *Client }

// RoundTrip implements http.RoundTripper.
func (r router) RoundTrip(req *http.Request) (*http.Response, error) {
	g, ok := req.Context().Value(guardKey{}).(*guard)
	if !ok {
		return r.c.traced(r.c.base, req)
	}
	own, led, err := g.host.transports(r.c)
	switch {
	case err != nil:
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	case !g.foreign && strings.EqualFold(req.URL.Hostname(), hostOnly(g.host.api)):
		return r.c.traced(own, req)
	}
	return r.c.traced(led, req)
}
