package credential

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxFile bounds a credential file in bytes.
const maxFile = 4 << 20

// file is what containers' auth.json and Docker's config.json have in common. Docker keeps much
// else in its own, so unknown keys are no error.
type file struct {
	path        string
	Auths       map[string]entry  `json:"auths"`
	CredHelpers map[string]string `json:"credHelpers"`
	CredsStore  string            `json:"credsStore"`
}

type entry struct {
	Auth          string `json:"auth"` // base64 of user:password
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

func readFile(path string) (file, error) {
	raw, err := readRaw(path)
	if err != nil {
		return file{}, err
	}
	return decodeFile(path, raw)
}

func readRaw(path string) ([]byte, error) {
	// Not to wait for the writer of a FIFO.
	f, err := os.OpenFile(path, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	// An unreadable directory in place of a file, a FIFO, an endless device: all end here.
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: not a regular file", ErrFile)
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	if len(raw) > maxFile {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrFile, maxFile)
	}
	return raw, nil
}

func decodeFile(path string, raw []byte) (file, error) {
	out := file{path: path}
	if len(strings.TrimSpace(string(raw))) == 0 {
		return out, nil // logout leaves such files
	}
	var into any = &out
	if out.flat() {
		into = &out.Auths
	}
	if err := json.Unmarshal(raw, into); err != nil {
		// The text of a JSON error may quote the file: only its offset is shown.
		return file{}, fmt.Errorf("%w: not JSON of the right shape%s", ErrFile, offset(err))
	}
	return out, nil
}

// flat tells that the file is Docker's oldest form, entries and nothing else.
func (f file) flat() bool { return filepath.Base(f.path) == dockercfg }

const dockercfg = ".dockercfg"

func offset(err error) string {
	switch e := err.(type) { //nolint:errorlint // as encoding/json returns them
	case *json.SyntaxError:
		return fmt.Sprintf(" (at byte %d)", e.Offset)
	case *json.UnmarshalTypeError:
		return fmt.Sprintf(" (at byte %d, field %s)", e.Offset, e.Field)
	}
	return ""
}

type asker func(ctx context.Context, helper, server string) (Credential, error)

// A found credential, and where it is.
type found struct {
	Credential
	file, key      string // of an entry
	helper, server string // of a helper
}

// lookup gives what this file knows of the repository: nothing is anonymous.
func (f file) lookup(ctx context.Context, ask asker, registry, repository string) (found, error) {
	hosts := aliases(registry)
	for _, h := range hosts {
		for _, key := range []string{h, serverName(h)} {
			if helper := f.CredHelpers[key]; helper != "" {
				c, err := ask(ctx, helper, serverName(h))
				if err != nil || !c.Anonymous() {
					return found{Credential: c, helper: helper, server: serverName(h)}, err
				}
				break
			}
		}
	}
	if e, key, ok := f.entry(hosts, repository); ok {
		c, err := e.credential()
		if err != nil {
			return found{}, &Error{Op: "read", Subject: fmt.Sprintf("%s: entry %q", f.path, key), Err: err}
		}
		if !c.Anonymous() { // Docker leaves empty entries beside a credsStore
			return found{Credential: c, file: f.path, key: key}, nil
		}
	}
	if f.CredsStore == "" {
		return found{}, nil
	}
	server := serverName(hosts[0])
	c, err := ask(ctx, f.CredsStore, server)
	return found{Credential: c, helper: f.CredsStore, server: server}, err
}

// dockerHub is the key under which Docker keeps the credentials of its own registry.
const dockerHub = "https://index.docker.io/v1/"

// serverName is what a helper calls a host.
func serverName(host string) string {
	if host == "docker.io" {
		return dockerHub
	}
	return host
}

// aliases gives the names under which a registry may be stored.
func aliases(registry string) []string {
	switch registry {
	case "docker.io", "index.docker.io", "registry-1.docker.io":
		return []string{"docker.io", "index.docker.io", "registry-1.docker.io"}
	}
	return []string{registry}
}

// entry finds the entry with the longest path that holds the repository.
func (f file) entry(hosts []string, repository string) (entry, string, bool) {
	for path := repository; ; {
		for _, h := range hosts {
			name := h
			if path != "" {
				name += "/" + path
			}
			if e, ok := f.Auths[name]; ok {
				return e, name, true
			}
		}
		if path == "" {
			break
		}
		i := strings.LastIndexByte(path, '/')
		path = path[:max(i, 0)]
	}
	// Docker's older keys are URLs: https://host/v1/. Of several for a host, the same decides always.
	for _, h := range hosts {
		for _, key := range slices.Sorted(maps.Keys(f.Auths)) {
			if legacy(key) && hostOf(key) == h && !partOfLogin(key) {
				return f.Auths[key], key, true
			}
		}
	}
	return entry{}, "", false
}

// partOfLogin tells whether a key is one of those under which Docker keeps, beside the credential of a
// login by web page, the tokens that this was made of: they are for its own site, not for registries.
func partOfLogin(key string) bool {
	return strings.HasSuffix(key, "/access-token") || strings.HasSuffix(key, "/refresh-token")
}

// legacy reports whether a key is one of Docker's old URLs, whose path means nothing.
func legacy(key string) bool {
	rest := stripScheme(key)
	if rest != key {
		return true
	}
	_, path, _ := strings.Cut(rest, "/")
	return path == "v1" || path == "v1/" || path == "v2" || path == "v2/"
}

func stripScheme(key string) string {
	return strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
}

func hostOf(key string) string {
	host, _, _ := strings.Cut(stripScheme(key), "/")
	return host
}

func (e entry) credential() (Credential, error) {
	c := Credential{Username: e.Username, Password: e.Password, IdentityToken: e.IdentityToken, RegistryToken: e.RegistryToken}
	if e.Auth == "" {
		return c, nil
	}
	raw, err := base64.StdEncoding.DecodeString(e.Auth)
	if err != nil {
		if raw, err = base64.RawStdEncoding.DecodeString(e.Auth); err != nil {
			return Credential{}, fmt.Errorf("%w: auth is not base64", ErrFile)
		}
	}
	user, pass, ok := strings.Cut(string(raw), ":")
	if !ok || user == "" {
		return Credential{}, fmt.Errorf("%w: auth is not user:password", ErrFile)
	}
	// Docker pads with NUL on some systems.
	c.Username, c.Password = user, strings.Trim(pass, "\x00")
	return c, nil
}
