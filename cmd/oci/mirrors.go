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
	Push      string      `json:"push,omitempty"` // where content goes; none if nobody may have it
	Error     string      `json:"error,omitempty"`
}

type askedHost struct {
	URL         string   `json:"url"`
	Role        string   `json:"role"` // "registry", "mirror", "replacement"
	Source      string   `json:"source,omitempty"`
	Tags        bool     `json:"tags"`      // is asked what tags mean, and which there are
	Digests     bool     `json:"digests"`   // is asked for content
	Referrers   bool     `json:"referrers"` // is asked what refers to it
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
	x, err := conf.Expand(text)
	e.Steps = append(e.Steps, nameSteps(text, x)...)
	if err != nil {
		e.Error = err.Error()
		return e, err
	}
	ref, err := reference.Parse(x.Names[0])
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
	return e, e.pushes(conf, ref)
}

// nameSteps tells how a name without a registry got one.
func nameSteps(text string, x mirrorconfig.Expansion) []string {
	names := strings.Join(x.Names, ", ")
	switch {
	case x.Source != "" && x.Alias:
		return []string{fmt.Sprintf("name: %s: the alias %q is %s", x.Source, text, names)}
	case len(x.Names) > 1:
		return []string{fmt.Sprintf("name: %s: of the registries to search, %q may be any of %s; the first that has it is meant, and what follows is about the first", x.Source, text, names)}
	case x.Source != "":
		return []string{fmt.Sprintf("name: %s: the registry to search makes %q %s", x.Source, text, names)}
	case mirrorconfig.Short(text):
		return []string{fmt.Sprintf("name: no file says what %q means: it is a name of docker.io", text)}
	}
	return nil
}

func asked(p mirrorconfig.Endpoint, ref reference.Ref, last bool) askedHost {
	scheme := p.Scheme
	if scheme == "" {
		scheme = "https"
	}
	h := askedHost{
		URL: scheme + "://" + p.Host + p.Prefix + "/" + p.Repository, Role: "mirror", Source: p.Source,
		Tags: p.Resolve && ref.Digest == "", Digests: p.Pull, Referrers: p.Referrers, Namespace: p.Namespace,
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

// pushes tells where content for ref goes.
func (e *explained) pushes(conf *mirrorconfig.Config, ref reference.Ref) error {
	to, err := conf.Target(ref)
	switch {
	case errors.Is(err, mirrorconfig.ErrNoPush):
		e.Steps = append(e.Steps, "push: "+err.Error())
		return nil
	case err != nil:
		return err
	}
	h := asked(to, ref, false)
	e.Push = h.URL
	if !to.Upstream {
		e.Steps = append(e.Steps, fmt.Sprintf("push: %s gives the capability to %s, with its credentials", h.Source, h.URL))
	}
	return nil
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
	var what []string
	for _, f := range []struct {
		on   bool
		text string
	}{{h.Tags, "tags"}, {h.Digests, "digests"}, {h.Referrers, "referrers"}} {
		if f.on {
			what = append(what, f.text)
		}
	}
	facts = append(facts, "for "+strings.Join(what, ", "))
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
