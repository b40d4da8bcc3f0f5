package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/distribution/mirrorconfig"
	"github.com/oci-pipeline/oci/image/reference"
)

func mirrorsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mirrors",
		Short: "Show from where images come",
		Long: "Show from where images come, as registries.conf(5) and containerd's hosts.toml say.\n" +
			"Both are decoded strictly: a key that nothing understands is an error with its line.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(explainCommand(a))
	return cmd
}

// explained is the JSON of `oci mirrors explain`.
type explained struct {
	Reference string      `json:"reference"`
	Steps     []string    `json:"steps"`
	Hosts     []askedHost `json:"hosts"`
	Error     string      `json:"error,omitempty"`
}

type askedHost struct {
	URL         string   `json:"url"`
	Role        string   `json:"role"` // "registry", "mirror", "replacement"
	Source      string   `json:"source,omitempty"`
	Tags        bool     `json:"tags"`    // is asked what tags mean
	Digests     bool     `json:"digests"` // is asked for content
	Namespace   string   `json:"ns,omitempty"`
	Insecure    bool     `json:"insecure,omitempty"`
	SkipVerify  bool     `json:"skipVerify,omitempty"`
	CAs         []string `json:"caFiles,omitempty"`
	ClientCert  bool     `json:"clientCertificate,omitempty"`
	Headers     []string `json:"headers,omitempty"` // names only: values may be secrets
	Credentials string   `json:"credentials"`       // the host whose credentials are used
}

func explainCommand(a *app) *cobra.Command {
	var n networkFlags
	var format formatFlag
	cmd := &cobra.Command{
		Use:   "explain REF",
		Short: "Show which hosts would be asked for an image, in which order, and why",
		Args:  exact(1),
		RunE: func(_ *cobra.Command, args []string) error {
			conf, err := n.mirrors()
			if err != nil {
				return err
			}
			e, err := explain(conf, args[0])
			if err != nil && e.Error == "" {
				return err
			}
			if format.json() {
				return errors.Join(writeJSON(a.out, e), err)
			}
			_, werr := fmt.Fprint(a.out, e.text())
			return errors.Join(werr, err)
		},
	}
	n.registerMirrors(cmd.Flags())
	format.register(cmd.Flags())
	return cmd
}

// explain decides about a reference; with an error of the decision itself the steps are told too.
func explain(conf *mirrorconfig.Config, text string) (explained, error) {
	var e explained
	full, source := conf.Expand(text)
	if source != "" {
		e.Steps = append(e.Steps, fmt.Sprintf("alias: %s gives %q the name %s; oci does not use aliases, give the full name", source, text, full))
	}
	ref, err := reference.Parse(text)
	if err != nil {
		return e, err
	}
	if ref.Transport != reference.Registry {
		return e, usageErrorf(nil, "%s is in no registry", ref)
	}
	d, err := conf.Decide(ref)
	e.Reference, e.Steps = ref.String(), append(e.Steps, d.Steps...)
	if err != nil {
		e.Error = err.Error()
		return e, err
	}
	for i, p := range d.Endpoints {
		e.Hosts = append(e.Hosts, asked(p, ref, i == len(d.Endpoints)-1))
	}
	return e, nil
}

func asked(p mirrorconfig.Endpoint, ref reference.Ref, last bool) askedHost {
	scheme := p.Scheme
	if scheme == "" {
		scheme = "https"
	}
	h := askedHost{
		URL: scheme + "://" + p.Host + p.Prefix + "/" + p.Repository, Role: "mirror", Source: p.Source,
		Tags: p.Resolve && ref.Digest == "", Digests: p.Pull, Namespace: p.Namespace,
		Insecure: p.Insecure, SkipVerify: p.SkipVerify, CAs: p.CAs, ClientCert: len(p.Certs) > 0, Credentials: p.Host,
	}
	for name := range p.Header {
		h.Headers = append(h.Headers, name)
	}
	switch {
	case p.Upstream:
		h.Role, h.Credentials = "registry", ref.Registry
	case last:
		h.Role = "replacement"
	}
	return h
}

func (e explained) text() string {
	var b strings.Builder
	for _, s := range e.Steps {
		fmt.Fprintln(&b, s)
	}
	for i, h := range e.Hosts {
		fmt.Fprintf(&b, "%d. %s\n   %s\n", i+1, h.URL, strings.Join(h.facts(), "; "))
	}
	return b.String()
}

func (h askedHost) facts() []string {
	facts := []string{map[string]string{"registry": "the registry itself", "mirror": "a mirror", "replacement": "in place of the registry"}[h.Role]}
	if h.Source != "" {
		facts[0] += ", " + h.Source
	}
	switch {
	case h.Tags && h.Digests:
		facts = append(facts, "for tags and digests")
	case h.Tags:
		facts = append(facts, "for tags")
	default:
		facts = append(facts, "for digests")
	}
	for _, f := range []struct {
		on   bool
		text string
	}{
		{h.Insecure, "plain http and unproved certificates are allowed"},
		{h.SkipVerify, "unproved certificates are allowed"},
		{len(h.CAs) > 0, "authorities: " + strings.Join(h.CAs, ", ")},
		{h.ClientCert, "with a client certificate"},
		{len(h.Headers) > 0, "with headers: " + strings.Join(h.Headers, ", ")},
		{h.Namespace != "", "ns=" + h.Namespace},
		{true, "credentials of " + h.Credentials},
	} {
		if f.on {
			facts = append(facts, f.text)
		}
	}
	return facts
}
