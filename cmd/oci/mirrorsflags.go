package main

import (
	"crypto/tls"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/distribution/mirrorconfig"
)

// networkFlags say which hosts are asked, and how they are trusted.
type networkFlags struct {
	registriesConf    string
	hostsDirs         []string
	caFiles           []string
	certFile, keyFile string
	certDir           string
}

func (n *networkFlags) register(f *pflag.FlagSet) {
	n.registerMirrors(f)
	n.registerTLS(f)
}

func (n *networkFlags) registerMirrors(f *pflag.FlagSet) {
	f.StringVar(&n.registriesConf, "registries-conf", "", "read mirrors from this registries.conf `file` (default as podman)")
	f.StringArrayVar(&n.hostsDirs, "hosts-dir", nil, "`dir` with HOST/hosts.toml (default /etc/containerd/certs.d, /etc/docker/certs.d)")
}

func (n *networkFlags) registerTLS(f *pflag.FlagSet) {
	f.StringArrayVar(&n.caFiles, "ca-file", nil, "trust the authorities in this PEM `file` too")
	f.StringVar(&n.certFile, "cert-file", "", "client certificate, a PEM `file`")
	f.StringVar(&n.keyFile, "key-file", "", "its key, a PEM `file`")
	f.StringVar(&n.certDir, "cert-dir", "", "`dir` with authorities (*.crt) and client certificates (*.cert, *.key)")
}

// apply reads what the flags, or the usual places, hold.
func (n *networkFlags) apply(o *distribution.Options) (err error) {
	if o.Mirrors, err = n.mirrors(); err != nil {
		return err
	}
	o.CertDirs = append(append([]string(nil), n.hostsDirs...), certDirs()...)
	o.TLS, err = n.tls()
	return err
}

func (n *networkFlags) mirrors() (*mirrorconfig.Config, error) {
	return mirrorconfig.Load(mirrorconfig.Options{Registries: n.registriesConf, Hosts: n.hostsDirs, Defaults: true})
}

// tls is nil when no flag asks for anything.
func (n *networkFlags) tls() (*tls.Config, error) {
	if (n.certFile == "") != (n.keyFile == "") {
		return nil, usageErrorf(nil, "--cert-file and --key-file go together")
	}
	if len(n.caFiles) == 0 && n.certFile == "" && n.certDir == "" {
		return nil, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	for _, f := range n.caFiles {
		if err := distribution.AddCA(conf, f); err != nil {
			return nil, err
		}
	}
	if n.certFile != "" {
		if err := distribution.AddClientCert(conf, n.certFile, n.keyFile); err != nil {
			return nil, err
		}
	}
	if n.certDir != "" {
		if err := distribution.AddCertDir(conf, n.certDir); err != nil {
			return nil, err
		}
	}
	return conf, nil
}

// certDirs are where containers and Docker keep certificates for single hosts.
func certDirs() []string {
	var dirs []string
	if home, err := os.UserHomeDir(); err == nil {
		dirs = append(dirs, filepath.Join(home, ".config/containers/certs.d"), filepath.Join(home, ".config/docker/certs.d"))
	}
	return append(dirs, "/etc/containers/certs.d", "/etc/docker/certs.d", "/etc/containerd/certs.d")
}
