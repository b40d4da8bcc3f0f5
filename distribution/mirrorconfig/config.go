package mirrorconfig

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Options say which files to read. The zero value reads none.
type Options struct {
	// Registries is a registries.conf that must exist. Its drop-ins are the *.conf in the directory
	// with its name and ".d".
	Registries string
	// Hosts are directories that hold, for a host, HOST/hosts.toml. An absent one is no error.
	Hosts []string
	// Defaults reads, where nothing above is given, what is where other tools have it:
	// $CONTAINERS_REGISTRIES_CONF, or registries.conf of the user or else the system and the
	// drop-ins of both, and the aliases that podman's questions have led to;
	// /etc/containerd/certs.d and /etc/docker/certs.d.
	Defaults bool
	// Getenv replaces os.Getenv, Home os.UserHomeDir, Etc "/etc".
	Getenv    func(string) string
	Home, Etc string
}

// Endpoint is a place to ask for an image. It was given by a file or is the registry itself.
type Endpoint struct {
	Host       string // host[:port] of its API
	Scheme     string // "http" or "https"; "" is what the registry speaks, https except on loopback
	Prefix     string // of paths: "/v2", or what override_path says
	Repository string // there
	Namespace  string // what the registry is called, for the query ns=; "" sends none

	Resolve   bool // it may say what a tag means, and which there are
	Pull      bool // it may give content, which is proved by its digest
	Referrers bool // it may say what refers to a manifest
	Push      bool // content goes there

	Insecure   bool     // plain http, and certificates that nobody vouches for
	SkipVerify bool     // certificates that nobody vouches for
	CAs        []string // files with authorities beside those of the system
	Certs      [][2]string
	Header     http.Header
	// DialTimeout bounds the connecting; 0 is the client's own.
	DialTimeout time.Duration

	Upstream bool   // it is the registry of the reference: its credentials are meant for here
	Source   string // "file:line" that names it, "" for the registry as it is
}

// Config is what the files say. It may be used by several goroutines.
type Config struct {
	registries []registryTable // longest prefix first
	aliases    map[string]alias
	search     []string // registries of names without one
	searchAt   string   // "file:line" that says so
	mode       string   // short-name-mode
	helpers    []string // credential-helpers
	files      []string // registries.conf and drop-ins that were read
	hostsDirs  []string

	mu    sync.Mutex
	hosts map[string]*hosts // by registry, read when first asked for
}

type alias struct {
	name string
	at   document
}

// Load reads registries.conf and its drop-ins; hosts.toml is read when a host is asked for. It gives
// an *Error for a file that cannot be used.
func Load(o Options) (*Config, error) {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Home == "" {
		o.Home, _ = os.UserHomeDir() // without a home there is nothing to read in it
	}
	if o.Etc == "" {
		o.Etc = "/etc"
	}
	c := &Config{aliases: map[string]alias{}, hosts: map[string]*hosts{}, hostsDirs: o.Hosts}
	main, dirs, must := o.registries()
	if err := c.loadRegistries(main, dirs, o.answers(), must); err != nil {
		return nil, err
	}
	if len(o.Hosts) == 0 && o.Defaults {
		c.hostsDirs = []string{filepath.Join(o.Etc, "containerd", "certs.d"), filepath.Join(o.Etc, "docker", "certs.d")}
	}
	return c, nil
}

// registries gives the main file, the directories of drop-ins, and whether the main file must exist.
func (o Options) registries() (main string, dirs []string, must bool) {
	if o.Registries != "" {
		return o.Registries, []string{o.Registries + ".d"}, true
	}
	if !o.Defaults {
		return "", nil, false
	}
	if f := o.Getenv("CONTAINERS_REGISTRIES_CONF"); f != "" {
		return f, []string{f + ".d"}, true
	}
	main = filepath.Join(o.Etc, "containers", "registries.conf")
	dirs = []string{main + ".d"}
	if o.Home == "" {
		return main, dirs, false
	}
	user := filepath.Join(o.Home, ".config", "containers", "registries.conf")
	if d := o.Getenv("XDG_CONFIG_HOME"); d != "" {
		user = filepath.Join(d, "containers", "registries.conf")
	}
	if _, err := os.Stat(user); !errors.Is(err, fs.ErrNotExist) {
		main = user
	}
	return main, append(dirs, user+".d"), false
}

// answers is where podman keeps the aliases that its questions have led to; "" for nowhere.
func (o Options) answers() string {
	const file = "short-name-aliases.conf"
	cache := o.Getenv("XDG_CACHE_HOME")
	switch {
	case !o.Defaults || o.Registries != "":
		return ""
	case os.Geteuid() == 0:
		return filepath.Join(filepath.Dir(o.Etc), "var", "cache", "containers", file)
	case cache == "" && o.Home == "":
		return ""
	case cache == "":
		cache = filepath.Join(o.Home, ".cache")
	}
	return filepath.Join(cache, "containers", file)
}

// CredentialHelpers gives what registries.conf has as credential-helpers, in order: names of helpers,
// and "containers-auth.json" for the files. None is the files alone.
func (c *Config) CredentialHelpers() []string {
	if c == nil {
		return nil
	}
	return slices.Clone(c.helpers)
}

// Empty reports whether the files say nothing, so that every image is asked for at its registry.
func (c *Config) Empty() bool {
	return c == nil || len(c.registries) == 0 && len(c.hostsDirs) == 0
}
