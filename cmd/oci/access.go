package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/distribution/credential"
)

// accessFlags are the flags of every verb that talks to registries: they are defined here and nowhere
// else, so that they mean the same everywhere.
type accessFlags struct {
	insecure, plainHTTP       bool
	noVerify                  negated
	authFile, creds, username string
	passwordStdin             bool
	registryToken             string
	tries                     retryCount
	retryDelay                time.Duration
	resolve, headers          []string
	network                   networkFlags
	hosts                     []hostAccess // of single registries, where a verb talks to several
}

// hostAccess is what is said of one registry alone.
type hostAccess struct {
	registry string // as references call it
	creds    string // "user:password"; "" leaves it to the files
	insecure bool
	certDir  string // authorities and client certificates; "" leaves it to the others
}

// How long a silent registry, and trying again, may keep a person waiting.
const (
	idleRegistry = 15 * time.Second
	retryBudget  = 30 * time.Second

	defaultRetries = 5
	longestWait    = 15 * time.Second // between two tries, if the registry does not ask for more
	// patientBudget bounds waiting in all when the user says how often to try: the limits of registries
	// on pulls are counted in hours.
	patientBudget = 6 * time.Hour
)

// credential gives the flag that has a credential for whichever registry is asked; "" if none is given.
func (t *accessFlags) credential() string {
	switch {
	case t.creds != "":
		return "--creds"
	case t.username != "" || t.passwordStdin:
		return "--username"
	case t.registryToken != "":
		return "--registry-token"
	}
	return ""
}

// secret gives the flag that has something for one registry alone, a credential or a header.
func (t *accessFlags) secret() string {
	if flag := t.credential(); flag != "" || len(t.headers) == 0 {
		return flag
	}
	return "--header"
}

// registerAccess adds the flags; those that choose an image are not among them.
func (t *accessFlags) registerAccess(f *pflag.FlagSet) {
	f.StringVar(&t.authFile, "authfile", "", "read credentials from this `file` only")
	f.StringVar(&t.creds, "creds", "", "`user:password` for the registry")
	f.StringVar(&t.username, "username", "", "`name` of the user at the registry, with --password-stdin")
	f.BoolVar(&t.passwordStdin, "password-stdin", false, "read the password for the registry from standard input")
	f.StringVar(&t.registryToken, "registry-token", "", "bearer `token` to send to the registry as it is")
	t.registerConnection(f)
}

// registerConnection adds those that say how a registry is reached, and how it is trusted.
func (t *accessFlags) registerConnection(f *pflag.FlagSet) {
	f.BoolVar(&t.insecure, "insecure", false, "allow plain http and unproved certificates; loopback may always speak http")
	f.Var(&t.noVerify, "tls-verify", "want https and proved certificates; --tls-verify=false is --insecure")
	f.Lookup("tls-verify").NoOptDefVal = "true"
	f.BoolVar(&t.plainHTTP, "plain-http", false, "speak plain http, without trying https")
	f.Var(&t.tries, "retry", "how many `times` to try again what a registry or the network failed to do; if it is given, longer waits than half a minute are kept too, if the registry asks for them")
	f.DurationVar(&t.retryDelay, "retry-delay", 0, "`wait` before trying again, doubled each time (default 250ms)")
	f.StringArrayVar(&t.resolve, "resolve", nil, "connect to `host:port:address[:port]` instead of looking host up")
	f.StringArrayVarP(&t.headers, "header", "H", nil, "send this `name: value` to the registry too")
	t.network.register(f)
}

// negated is a flag that is on unless it is set to false: its zero value is the default.
type negated bool

// String, Set and Type make negated a pflag.Value.
func (n *negated) String() string { return strconv.FormatBool(!bool(*n)) }

// Set reads a boolean.
func (n *negated) Set(s string) error {
	b, err := strconv.ParseBool(s)
	*n = negated(!b)
	return err
}

// Type is the name of the value in help texts.
func (n *negated) Type() string { return "bool" }

// retryCount is --retry: how often to try in all, 0 for the default.
type retryCount int

// String, Set and Type make retryCount a pflag.Value.
func (r *retryCount) String() string {
	if *r == 0 {
		return strconv.Itoa(defaultRetries)
	}
	return strconv.Itoa(int(*r) - 1)
}

// Set reads how often to try again.
func (r *retryCount) Set(s string) error {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return fmt.Errorf("%q is not a number from 0 to 65535", s)
	}
	*r = retryCount(n + 1)
	return nil
}

// Type is the name of the value in help texts.
func (r *retryCount) Type() string { return "times" }

// check refuses what cannot be meant.
func (t *accessFlags) check() error {
	switch {
	case t.passwordStdin && t.username == "":
		return usageErrorf(nil, "--password-stdin needs --username")
	case t.username != "" && !t.passwordStdin:
		return usageErrorf(nil, "--username needs --password-stdin; --creds takes both")
	case t.username != "" && t.creds != "":
		return usageErrorf(nil, "--creds and --username exclude each other")
	case t.registryToken != "" && (t.username != "" || t.creds != ""):
		return usageErrorf(nil, "--registry-token is in place of --creds and --username")
	case strings.ContainsFunc(t.registryToken, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return usageErrorf(nil, "--registry-token: a character that no header may hold")
	case t.creds != "" && !strings.Contains(t.creds, ":"):
		return usageErrorf(nil, "--creds: want user:password")
	case t.retryDelay < 0:
		return usageErrorf(nil, "--retry-delay is not negative")
	}
	return nil
}

// client gives the registry client that the flags ask for. One process has one client for the same
// flags: it knows the tokens and what hosts speak. It is closed with the process.
func (a *app) client(t transferFlags) (*distribution.Client, error) {
	key := fmt.Sprintf("%+v", t.accessFlags)
	a.clientsMu.Lock()
	defer a.clientsMu.Unlock()
	if c := a.clients[key]; c != nil {
		return c, nil
	}
	o, err := a.clientOptions(t.accessFlags)
	if err != nil {
		return nil, err
	}
	c, err := distribution.New(o)
	if err != nil {
		return nil, err
	}
	if a.clients == nil {
		a.clients = map[string]*distribution.Client{}
	}
	a.clients[key] = c
	return c, nil
}

// clientOptions are what the flags say, read and checked.
func (a *app) clientOptions(t accessFlags) (distribution.Options, error) {
	// A registry that says nothing is given up in under a minute; a transfer that makes progress is not.
	o := distribution.Options{
		Insecure: t.insecure || bool(t.noVerify), PlainHTTP: t.plainHTTP,
		UserAgent: "oci/" + version, Logger: a.log, IdleTimeout: idleRegistry, Retry: t.retry(),
		Warn: a.notes.warn, Waiting: a.notes.wait,
	}
	err := t.check()
	if err == nil {
		o.Header, err = t.header()
	}
	if err == nil {
		o.Resolve, err = t.addresses()
	}
	if err == nil {
		err = t.network.apply(&o)
	}
	if err == nil {
		o.Credentials, err = a.credentials(t, o.Mirrors.CredentialHelpers())
	}
	for _, h := range t.hosts {
		if h.insecure {
			o.InsecureHosts = append(o.InsecureHosts, h.registry)
		}
		if h.certDir != "" {
			if o.HostCertDirs == nil {
				o.HostCertDirs = map[string]string{}
			}
			o.HostCertDirs[h.registry] = h.certDir
		}
	}
	return o, err
}

// retry gives how often and how long to try again. Who says how often is ready to wait.
func (t *accessFlags) retry() distribution.Retry {
	r := distribution.Retry{Attempts: int(t.tries), Base: t.retryDelay, Max: max(longestWait, t.retryDelay), Budget: retryBudget}
	if t.tries == 0 {
		r.Attempts = defaultRetries + 1
	}
	if t.tries != 0 || t.retryDelay != 0 {
		r.Budget = patientBudget
	}
	return r
}

// header reads --header as HTTP has it.
func (t *accessFlags) header() (http.Header, error) {
	if len(t.headers) == 0 {
		return nil, nil
	}
	h := http.Header{}
	for _, text := range t.headers {
		one, err := textproto.NewReader(bufio.NewReader(strings.NewReader(text + "\r\n\r\n"))).ReadMIMEHeader()
		if err != nil || len(one) != 1 || strings.ContainsAny(text, "\r\n\x00") {
			return nil, usageErrorf(nil, "--header %s: want 'name: value'", quote(before(text, ":")))
		}
		for k, v := range one {
			h[k] = append(h[k], v...)
		}
	}
	return h, nil
}

// before is what comes before sep: of a header, what is no secret.
func before(s, sep string) string {
	s, _, _ = strings.Cut(s, sep)
	return s
}

// addresses reads --resolve: host:port:address, an IPv6 address in brackets or not, and a port if it is
// another one there.
func (t *accessFlags) addresses() (map[string]string, error) {
	m := map[string]string{}
	for _, text := range t.resolve {
		host, rest, ok1 := strings.Cut(text, ":")
		port, to, ok2 := strings.Cut(rest, ":")
		address, err := netip.ParseAddr(strings.Trim(to, "[]"))
		toPort := port
		if err != nil {
			var ap netip.AddrPort
			ap, err = netip.ParseAddrPort(to)
			address, toPort = ap.Addr(), fmt.Sprint(ap.Port())
		}
		if !ok1 || !ok2 || host == "" || port == "" || err != nil {
			return nil, usageErrorf(nil, "--resolve %s: want host:port:address[:port]", quote(text))
		}
		m[strings.ToLower(net.JoinHostPort(host, port))] = net.JoinHostPort(address.String(), toPort)
	}
	return m, nil
}

// credentials gives where credentials come from: the flags, for all registries or for one, or the files
// and helpers.
func (a *app) credentials(t accessFlags, helpers []string) (distribution.Credentials, error) {
	if t.passwordStdin {
		secret, err := a.passwordFromStdin()
		if err != nil {
			return nil, err
		}
		c := credential.Static{Username: t.username, Password: secret}
		return c, checkSecret(credential.Credential(c))
	}
	switch {
	case t.registryToken != "":
		return credential.Static{RegistryToken: t.registryToken}, nil
	case t.creds != "":
		return staticCreds(t.creds), nil
	}
	list := hostCredentials{only: map[string]credential.Static{}, Keychain: credential.New(credential.Options{File: t.authFile, Helpers: helpers})}
	for _, h := range t.hosts {
		if h.creds != "" {
			list.only[h.registry] = staticCreds(h.creds)
		}
	}
	if len(list.only) == 0 {
		return list.Keychain, nil
	}
	return list, nil
}

func staticCreds(text string) credential.Static {
	user, password, _ := strings.Cut(text, ":")
	return credential.Static{Username: user, Password: password}
}

// passwordFromStdin reads the password, once for all clients of the process.
func (a *app) passwordFromStdin() (string, error) {
	if a.password != "" {
		return a.password, nil
	}
	raw, err := io.ReadAll(io.LimitReader(a.in, maxSecret+1))
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	a.password = strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r")
	return a.password, nil
}

// hostCredentials are credentials of single registries, and others for the rest.
type hostCredentials struct {
	only map[string]credential.Static
	*credential.Keychain
}

// Lookup implements distribution.Credentials.
func (h hostCredentials) Lookup(ctx context.Context, registry, repository string) (credential.Credential, error) {
	if c, ok := h.only[registry]; ok {
		return c.Lookup(ctx, registry, repository)
	}
	return h.Keychain.Lookup(ctx, registry, repository)
}
