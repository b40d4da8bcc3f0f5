package mirrorconfig

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// hostsFile is containerd's hosts.toml. What stands at its top is about the server.
type hostsFile struct {
	Server string `toml:"server"`
	hostTable
	Hosts map[string]hostTable `toml:"host"`
}

type hostTable struct {
	Capabilities []string       `toml:"capabilities"`
	CA           any            `toml:"ca"`     // a file, or a list of them
	Client       any            `toml:"client"` // a file, a list of files, or a list of [certificate, key]
	SkipVerify   *bool          `toml:"skip_verify"`
	Header       map[string]any `toml:"header"` // a value, or a list of them
	OverridePath bool           `toml:"override_path"`
	DialTimeout  string         `toml:"dial_timeout"`
}

// hosts is what a hosts.toml says, checked.
type hosts struct {
	file    string
	mirrors []Endpoint
	server  *Endpoint // nil: the registry as it is
	// serverPush tells that the file itself says that the server takes content.
	serverPush bool
}

// hostsFor gives what the directories say of a registry ("docker.io", "localhost:5000"): the first
// directory that has a hosts.toml for it, or else for _default, decides. nil is nothing.
func (c *Config) hostsFor(registry string) (*hosts, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h, ok := c.hosts[registry]; ok {
		return h, nil
	}
	h, err := c.readHosts(registry)
	if err != nil {
		return nil, err
	}
	c.hosts[registry] = h
	return h, nil
}

func (c *Config) readHosts(registry string) (*hosts, error) {
	for _, dir := range c.hostsDirs {
		for _, name := range append(HostDirs(registry), "_default") {
			file := filepath.Join(dir, name, "hosts.toml")
			if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
				if name != "_default" && hasCerts(filepath.Join(dir, name)) {
					return nil, nil // a directory of certificates stands for the host, as for Docker
				}
				continue
			}
			return loadHosts(file, registry)
		}
	}
	return nil, nil
}

// hasCerts tells whether a directory holds certificates.
func hasCerts(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		x := filepath.Ext(e.Name())
		return x == ".crt" || x == ".cert" || x == ".key"
	})
}

// HostDirs gives the names that a directory about a registry may have, in the order in which
// containerd looks: host_port_ where file systems know no colon, then host:port.
func HostDirs(registry string) []string {
	if i := strings.LastIndexByte(registry, ':'); i >= 0 && !strings.HasSuffix(registry, "]") {
		return []string{registry[:i] + "_" + registry[i+1:] + "_", registry}
	}
	return []string{registry}
}

func loadHosts(file, registry string) (*hosts, error) {
	var f hostsFile
	doc, err := load(file, &f)
	if err != nil {
		return nil, err
	}
	h := &hosts{file: file}
	at := func(key string) int { return doc.line("host", key) }
	// In the order of the file, which is the order of trial.
	keys := slices.SortedFunc(maps.Keys(f.Hosts), func(a, b string) int {
		return cmp.Or(at(a)-at(b), strings.Compare(a, b))
	})
	for _, key := range keys {
		line := at(key)
		e, err := f.Hosts[key].endpoint(key, filepath.Dir(file))
		if err != nil {
			return nil, doc.fault(line, ErrConfig, "[host.%q]: %v", key, err)
		}
		e.Source = fmt.Sprintf("%s:%d", file, line)
		if f.Hosts[key].Capabilities == nil && e.Host != apiHost(registry) {
			e.Push = false // a mirror that nobody said it of gets no content
		}
		h.mirrors = append(h.mirrors, e)
	}
	server := f.Server
	if server == "" {
		server = "https://" + apiHost(registry)
	}
	e, err := f.endpoint(server, filepath.Dir(file))
	if err != nil {
		return nil, doc.fault(doc.line("server"), ErrConfig, "server %q: %v", server, err)
	}
	if f.Server == "" {
		e.Scheme = "" // nothing was said about it
	}
	e.Source = file
	h.server, h.serverPush = &e, e.Push && f.Capabilities != nil
	return h, nil
}

// apiHost is where the API of a registry is.
func apiHost(registry string) string {
	if registry == "docker.io" {
		return "registry-1.docker.io"
	}
	return registry
}

// endpoint makes an Endpoint of a table; dir is what its paths are relative to.
func (t hostTable) endpoint(at, dir string) (Endpoint, error) {
	e := Endpoint{Prefix: "/v2", Resolve: true, Pull: true, Referrers: true, Push: true, Header: http.Header{}}
	if !strings.HasPrefix(at, "http://") && !strings.HasPrefix(at, "https://") {
		at = "https://" + at
	}
	u, err := url.Parse(at)
	switch {
	case err != nil:
		return e, errors.New("not a URL")
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return e, errors.New("a URL here has a scheme, a host and a path only")
	}
	if _, err := place(u.Host + "/x"); err != nil {
		return e, fmt.Errorf("%q is not a host", u.Host)
	}
	e.Scheme, e.Host = u.Scheme, apiHost(u.Host)
	p := strings.TrimRight(path.Clean("/"+u.EscapedPath()), "/")
	switch {
	case t.OverridePath, strings.HasSuffix(p, "/v2"):
		e.Prefix = p
	default:
		e.Prefix = p + "/v2"
	}
	e.SkipVerify = t.SkipVerify != nil && *t.SkipVerify
	if t.Capabilities != nil {
		e.Resolve, e.Pull, e.Referrers, e.Push = false, false, false, false
	}
	for _, c := range t.Capabilities {
		switch c {
		case "resolve":
			e.Resolve = true
		case "pull":
			e.Pull = true
		case "push":
			e.Push = true
		case "referrers":
			e.Referrers = true
		default:
			return e, fmt.Errorf("capability %q is none of pull, resolve, push, referrers", c)
		}
	}
	if t.DialTimeout != "" {
		if e.DialTimeout, err = time.ParseDuration(t.DialTimeout); err != nil || e.DialTimeout <= 0 {
			return e, fmt.Errorf("dial_timeout %q is not a duration", t.DialTimeout)
		}
	}
	return e, t.details(&e, dir)
}

// details reads what may be written in several ways.
func (t hostTable) details(e *Endpoint, dir string) error {
	abs := func(p string) string {
		if filepath.IsAbs(p) {
			return p
		}
		return filepath.Join(dir, p)
	}
	list, ok := stringList(t.CA)
	if !ok {
		return errors.New("ca is neither a file nor a list of files")
	}
	for _, f := range list {
		e.CAs = append(e.CAs, abs(f))
	}
	pairs, ok := pairList(t.Client)
	if !ok {
		return errors.New("client is neither a file, nor a list of files, nor a list of [certificate, key]")
	}
	for _, p := range pairs {
		e.Certs = append(e.Certs, [2]string{abs(p[0]), abs(p[1])})
	}
	for name, v := range t.Header {
		values, ok := stringList(v)
		if !ok || !validHeader(name) {
			return fmt.Errorf("header %q is not a name with a value or a list of values", name)
		}
		for _, s := range values {
			if strings.ContainsAny(s, "\r\n\x00") {
				return fmt.Errorf("header %q: a value of more than one line", name)
			}
			e.Header.Add(name, s)
		}
	}
	return nil
}

// validHeader tells whether the name may be set: a token, and none of those that a connection needs.
func validHeader(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Range", "Accept-Encoding":
		return false
	}
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

func stringList(v any) ([]string, bool) {
	switch v := v.(type) {
	case nil:
		return nil, true
	case string:
		return []string{v}, v != ""
	case []any:
		var out []string
		for _, e := range v {
			s, ok := e.(string)
			if !ok || s == "" {
				return nil, false
			}
			out = append(out, s)
		}
		return out, true
	}
	return nil, false
}

// pairList reads client certificates. A file alone holds certificate and key.
func pairList(v any) ([][2]string, bool) {
	if list, ok := stringList(v); ok {
		var out [][2]string
		for _, f := range list {
			out = append(out, [2]string{f, f})
		}
		return out, true
	}
	list, _ := v.([]any)
	var out [][2]string
	for _, e := range list {
		pair, ok := stringList(e)
		switch {
		case !ok || len(pair) < 1 || len(pair) > 2:
			return nil, false
		case len(pair) == 1 || pair[1] == "":
			pair = []string{pair[0], pair[0]}
		}
		out = append(out, [2]string{pair[0], pair[1]})
	}
	return out, len(out) > 0
}
