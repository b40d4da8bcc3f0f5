package mirrorconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oci-pipeline/oci/image/reference"
)

// registriesFile is containers-registries.conf(5), version 2.
type registriesFile struct {
	Registries        []registryTable   `toml:"registry"`
	Aliases           map[string]string `toml:"aliases"`
	Search            []string          `toml:"unqualified-search-registries"`
	ShortNameMode     string            `toml:"short-name-mode"`
	CredentialHelpers []string          `toml:"credential-helpers"`
	LayerStoreHelper  string            `toml:"additional-layer-store-auth-helper"`
}

type registryTable struct {
	Prefix     string        `toml:"prefix"`
	Location   string        `toml:"location"`
	Insecure   bool          `toml:"insecure"`
	Blocked    bool          `toml:"blocked"`
	DigestOnly bool          `toml:"mirror-by-digest-only"`
	Mirrors    []mirrorTable `toml:"mirror"`

	file string // where it stands
	line int
}

type mirrorTable struct {
	Location string `toml:"location"`
	Insecure bool   `toml:"insecure"`
	PullFrom string `toml:"pull-from-mirror"`
}

// The values of pull-from-mirror.
const (
	pullAll        = "all"
	pullDigestOnly = "digest-only"
	pullTagOnly    = "tag-only"
)

// loadRegistries reads the main file, the drop-ins, and the answers to podman's questions, of those that
// exist. An entry of a later file replaces the entry with the same prefix of an earlier one; must tells
// that the main file has to exist.
func (c *Config) loadRegistries(main string, dirs []string, answers string, must bool) error {
	files := []string{}
	if main != "" {
		files = append(files, main)
	}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir) // sorted by name, which is their order
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &Error{Op: "read", File: dir, Err: err}
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".conf") && !e.IsDir() {
				files = append(files, filepath.Join(dir, e.Name()))
			}
		}
	}
	if answers != "" {
		files = append(files, answers)
	}
	for i, path := range files {
		var f registriesFile
		doc, err := load(path, &f)
		if errors.Is(err, fs.ErrNotExist) && !(must && i == 0) {
			continue
		}
		if path == answers && errors.Is(err, fs.ErrPermission) {
			continue // root of a user namespace is not the one whose answers they are
		}
		if err == nil {
			err = c.merge(doc, f)
		}
		if err != nil {
			return err
		}
		c.files = append(c.files, path)
	}
	// The longest prefix first, so that the first that matches is the one.
	slices.SortStableFunc(c.registries, func(a, b registryTable) int { return len(b.Prefix) - len(a.Prefix) })
	return nil
}

// merge checks the entries of a file and adds them.
func (c *Config) merge(doc document, f registriesFile) error {
	var here []string
	for i, r := range f.Registries {
		r.file, r.line = doc.path, doc.header("registry", i)
		if err := r.check(doc); err != nil {
			return err
		}
		if slices.Contains(here, r.Prefix) {
			return doc.fault(r.line, ErrConfig, "a second [[registry]] for the prefix %q", r.Prefix)
		}
		here = append(here, r.Prefix)
		c.registries = slices.DeleteFunc(c.registries, func(o registryTable) bool { return o.Prefix == r.Prefix })
		c.registries = append(c.registries, r)
	}
	for short, full := range f.Aliases {
		if full == "" {
			delete(c.aliases, short) // how an alias of an earlier file is taken back
			continue
		}
		if err := checkAlias(short, full); err != nil {
			return doc.fault(doc.line("aliases", short), ErrConfig, "alias %q: %v", short, err)
		}
		c.aliases[short] = alias{full, doc}
	}
	return c.mergeTop(doc, f)
}

// mergeTop checks what stands before all tables, and puts it in place of what an earlier file said.
func (c *Config) mergeTop(doc document, f registriesFile) error {
	if f.Search != nil { // an empty list takes back
		for _, s := range f.Search {
			if err := checkLocation(strings.TrimRight(s, "/")); err != nil {
				return doc.fault(doc.line("unqualified-search-registries"), ErrConfig, "unqualified-search-registries: %q: %v", s, err)
			}
		}
		c.search, c.searchAt = f.Search, doc.at("unqualified-search-registries")
	}
	switch f.ShortNameMode {
	case "":
	case modeEnforcing, modePermissive, modeDisabled:
		c.mode = f.ShortNameMode
	default:
		return doc.fault(doc.line("short-name-mode"), ErrConfig, "short-name-mode %q is none of enforcing, permissive, disabled", f.ShortNameMode)
	}
	if f.CredentialHelpers != nil {
		if slices.Contains(f.CredentialHelpers, "") {
			return doc.fault(doc.line("credential-helpers"), ErrConfig, "credential-helpers: an empty name")
		}
		c.helpers = f.CredentialHelpers
	}
	return nil
}

func checkAlias(short, full string) error {
	if strings.ContainsAny(short, ":@") || short == "" {
		return errors.New("a short name has neither tag nor digest")
	}
	ref, err := place(full)
	if host, _, ok := strings.Cut(full, "/"); err != nil || !ok || ref.Registry != host || strings.ContainsAny(full[len(host):], ":@") {
		return fmt.Errorf("%q is not the full name of a repository", full)
	}
	return nil
}

// check proves that the entry has a meaning, and completes it.
func (r *registryTable) check(doc document) error {
	r.Prefix, r.Location = strings.TrimRight(r.Prefix, "/"), strings.TrimRight(r.Location, "/")
	if r.Prefix == "" {
		r.Prefix = r.Location
	}
	wildcard := strings.HasPrefix(r.Prefix, "*.")
	switch {
	case r.Prefix == "":
		return doc.fault(r.line, ErrConfig, "[[registry]] with neither prefix nor location")
	case strings.Contains(r.Prefix[1:], "*") || r.Prefix[0] == '*' && !wildcard:
		return doc.fault(r.line, ErrConfig, "prefix %q: a star is allowed as the whole first label only", r.Prefix)
	case strings.HasPrefix(r.Location, "*"):
		return doc.fault(r.line, ErrConfig, "location %q is a pattern; give prefix and location", r.Location)
	case r.Location == "" && !wildcard:
		r.Location = r.Prefix // containers ask for it; what else could be meant
	}
	if err := checkLocation(r.Location); err != nil && r.Location != "" {
		return doc.fault(r.line, ErrConfig, "location %q: %v", r.Location, err)
	}
	for i := range r.Mirrors {
		m := &r.Mirrors[i]
		m.Location = strings.TrimRight(m.Location, "/")
		if err := checkLocation(m.Location); err != nil {
			return doc.fault(r.line, ErrConfig, "mirror %q: %v", m.Location, err)
		}
		switch {
		case m.PullFrom != "" && r.DigestOnly:
			return doc.fault(r.line, ErrConfig, "mirror %q: pull-from-mirror and mirror-by-digest-only exclude each other", m.Location)
		case r.DigestOnly:
			m.PullFrom = pullDigestOnly
		case m.PullFrom == "":
			m.PullFrom = pullAll
		case m.PullFrom != pullAll && m.PullFrom != pullDigestOnly && m.PullFrom != pullTagOnly:
			return doc.fault(r.line, ErrConfig, "mirror %q: pull-from-mirror %q is none of all, digest-only, tag-only", m.Location, m.PullFrom)
		}
	}
	return nil
}

// checkLocation proves that s is a host, or a host with a path, and no URL.
func checkLocation(s string) error {
	if strings.Contains(s, "://") {
		return errors.New("a location has no scheme")
	}
	_, err := place(s + "/x")
	return err
}

// place reads host and repository of a location with a repository behind it. Unlike a reference, a
// location always starts with a host, whether or not that has a dot.
func place(s string) (reference.Ref, error) {
	host, repo, _ := strings.Cut(s, "/")
	if strings.ContainsAny(host, ".:") || host == "localhost" {
		return reference.Parse(s)
	}
	ref, err := reference.Parse("x.invalid/" + repo)
	if err != nil {
		return reference.Ref{}, err
	}
	if _, err := reference.Parse(host + ":443/x"); err != nil {
		return reference.Ref{}, err
	}
	ref.Registry = host
	return ref, nil
}

// matches gives how much of name the prefix covers; -1 if it does not match. name is
// host/repository with tag or digest.
func matches(prefix, name string) int {
	n := len(prefix)
	if rest, ok := strings.CutPrefix(prefix, "*."); ok {
		if n = matchesDomain(rest, name); n < 0 {
			return -1
		}
	} else if !strings.HasPrefix(name, prefix) {
		return -1
	}
	if n == len(name) || name[n] == '/' || name[n] == '@' {
		return n
	}
	// A tag; after a host alone it would be the port of another registry.
	if name[n] == ':' && strings.Contains(name[:n], "/") {
		return n
	}
	return -1
}

// matchesDomain gives how much of name domain covers, when the host of name lies below it. A domain
// without a port holds every port.
func matchesDomain(domain, name string) int {
	domain, path, hasPath := strings.Cut(domain, "/")
	host, _, _ := strings.Cut(name, "/")
	bare := host
	if !strings.Contains(domain, ":") {
		bare, _, _ = strings.Cut(host, ":")
	}
	if len(bare) <= len(domain)+1 || !strings.HasSuffix(bare, "."+domain) {
		return -1
	}
	n := len(host)
	if hasPath {
		if !strings.HasPrefix(name[n:], "/"+path) {
			return -1
		}
		n += 1 + len(path)
	}
	return n
}
