package credential

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// Credential is what a registry or its token server asks for. The zero value is anonymous.
type Credential struct {
	Username, Password string
	// IdentityToken is an OAuth2 refresh token; it replaces the password.
	IdentityToken string
	// RegistryToken is a bearer token to send as it is.
	RegistryToken string
}

// Anonymous reports whether c holds nothing.
func (c Credential) Anonymous() bool { return c == Credential{} }

// String never shows a secret.
func (c Credential) String() string {
	if c.Anonymous() {
		return "anonymous"
	}
	return c.Username + ":***"
}

// GoString never shows a secret.
func (c Credential) GoString() string { return "credential.Credential(" + c.String() + ")" }

// Static gives the same credential for every registry: one from the command line.
type Static Credential

// Lookup gives s.
func (s Static) Lookup(context.Context, string, string) (Credential, error) {
	return Credential(s), nil
}

// Options says where to look. The zero value looks where the environment says.
type Options struct {
	// File is the only file to read; it must exist.
	File string
	// Getenv replaces os.Getenv.
	Getenv func(string) string
	// Home replaces os.UserHomeDir.
	Home string
	// Ask replaces the execution of docker-credential-<helper> get.
	Ask func(ctx context.Context, helper, server string) (Credential, error)
	// Tell replaces the execution of docker-credential-<helper> store and erase.
	Tell func(ctx context.Context, helper, verb, server, input string) error
	// List replaces the execution of docker-credential-<helper> list; it gives the servers.
	List func(ctx context.Context, helper string) ([]string, error)
	// Helpers are asked in order: helpers by name, and Files, which stands for the files. They are what
	// registries.conf(5) has as credential-helpers. None is Files alone, and so it is with File.
	Helpers []string
}

// Files is the name of the files among Options.Helpers.
const Files = "containers-auth.json"

// Keychain looks credentials up. It may be used by several goroutines.
type Keychain struct {
	o Options

	mu    sync.Mutex
	read  bool
	files []file
	err   error
}

// New gives a Keychain. No file is read before the first Lookup.
func New(o Options) *Keychain {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Home == "" {
		o.Home, _ = os.UserHomeDir() // without a home there is nothing to read in it
	}
	if o.Ask == nil {
		o.Ask = ask
	}
	if o.Tell == nil {
		o.Tell = tell
	}
	if o.List == nil {
		o.List = list
	}
	return &Keychain{o: o}
}

// Lookup gives the credential for a repository ("library/debian", may be "") of a registry
// ("docker.io", "localhost:5000"); anonymous if no file knows one. It gives ErrFile and ErrHelper.
func (k *Keychain) Lookup(ctx context.Context, registry, repository string) (Credential, error) {
	f, err := k.find(ctx, registry, repository)
	return f.Credential, err
}

// Again is Lookup that reads the files anew, for what another process has changed since.
func (k *Keychain) Again(ctx context.Context, registry, repository string) (Credential, error) {
	k.forget()
	return k.Lookup(ctx, registry, repository)
}

// find is Lookup, and tells where the credential is.
func (k *Keychain) find(ctx context.Context, registry, repository string) (found, error) {
	for _, helper := range k.helpers() {
		var f found
		var err error
		if helper == Files {
			f, err = k.findInFiles(ctx, registry, repository)
		} else {
			f = found{helper: helper, server: registry}
			f.Credential, err = k.o.Ask(ctx, helper, registry)
		}
		if err != nil {
			return found{}, err
		}
		if !f.Anonymous() {
			return f, nil
		}
	}
	return found{}, nil
}

// helpers gives what to ask, in order.
func (k *Keychain) helpers() []string {
	if k.o.File != "" || len(k.o.Helpers) == 0 {
		return []string{Files}
	}
	return k.o.Helpers
}

func (k *Keychain) findInFiles(ctx context.Context, registry, repository string) (found, error) {
	files, err := k.loaded()
	if err != nil {
		return found{}, err
	}
	for _, f := range files {
		c, err := f.lookup(ctx, k.o.Ask, registry, repository)
		if err != nil || !c.Anonymous() {
			return c, err
		}
	}
	return found{}, nil
}

// loaded gives the files, which are read once.
func (k *Keychain) loaded() ([]file, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.read {
		k.files, k.err = k.load()
		k.read = true
	}
	return k.files, k.err
}

// forget has the files read again.
func (k *Keychain) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.read = false
}

// load reads the files that exist.
func (k *Keychain) load() ([]file, error) {
	paths, must := k.paths()
	var files []file
	for _, p := range paths {
		f, err := readFile(p)
		switch {
		case err == nil:
			files = append(files, f)
		case os.IsNotExist(err) && !must:
		default:
			return nil, &Error{Op: "read", Subject: p, Err: err}
		}
	}
	return files, nil
}

// paths gives the files to read, in order, and whether they must exist.
func (k *Keychain) paths() (list []string, must bool) {
	if k.o.File != "" {
		return []string{k.o.File}, true
	}
	if f := k.o.Getenv("REGISTRY_AUTH_FILE"); f != "" {
		// podman login creates it: a file that is not there yet holds no credentials.
		return []string{f}, false
	}
	if d := k.o.Getenv("XDG_RUNTIME_DIR"); d != "" {
		list = append(list, filepath.Join(d, "containers", "auth.json"))
	} else if uid := os.Getuid(); uid >= 0 {
		list = append(list, filepath.Join("/run/containers", strconv.Itoa(uid), "auth.json"))
	}
	switch d := k.o.Getenv("XDG_CONFIG_HOME"); {
	case d != "":
		list = append(list, filepath.Join(d, "containers", "auth.json"))
	case k.o.Home != "":
		list = append(list, filepath.Join(k.o.Home, ".config", "containers", "auth.json"))
	}
	switch d := k.o.Getenv("DOCKER_CONFIG"); {
	case d != "":
		list = append(list, filepath.Join(d, "config.json"))
	case k.o.Home != "":
		list = append(list, filepath.Join(k.o.Home, ".docker", "config.json"))
	}
	if k.o.Home != "" {
		list = append(list, filepath.Join(k.o.Home, dockercfg))
	}
	return list, false
}
