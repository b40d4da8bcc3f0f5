package credential

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"

	"github.com/oci-pipeline/oci/image/reference"
)

// Name is under what credentials are kept: a registry, or a path in one.
type Name struct {
	Registry   string // "docker.io", "localhost:5000"
	Repository string // "", or a namespace or repository
}

// ParseName reads REGISTRY or REGISTRY/PATH, with or without a scheme before it. It gives ErrName.
func ParseName(s string) (Name, error) {
	rest := strings.TrimRight(stripScheme(s), "/")
	if legacy(s) {
		rest, _, _ = strings.Cut(rest, "/") // https://index.docker.io/v1/
	}
	host, path, _ := strings.Cut(rest, "/")
	if aliases(host)[0] == "docker.io" {
		host = "docker.io"
	}
	// A name without a dot is a registry here, so that Docker's rule for short names does not apply.
	probe := "x.invalid/" + path
	if path == "" {
		probe = "x.invalid/x"
	}
	_, err1 := reference.Parse(probe)
	hostProbe := host
	if !strings.Contains(host, ":") {
		hostProbe += ":443"
	}
	ref, err2 := reference.Parse(hostProbe + "/x")
	if err1 != nil || err2 != nil || ref.Registry != hostProbe || strings.ContainsAny(path, ":@") {
		return Name{}, &Error{Op: "parse", Subject: fmt.Sprintf("%.300q", s), Err: ErrName}
	}
	return Name{host, path}, nil
}

// String gives the name as files have it.
func (n Name) String() string {
	if n.Repository == "" {
		return n.Registry
	}
	return n.Registry + "/" + n.Repository
}

// keys are the keys under which a file may have the name; the first is the one to write.
func (n Name) keys(path string) []string {
	if n.Repository != "" || n.Registry != "docker.io" {
		return []string{n.String()}
	}
	list := append(aliases(n.Registry), dockerHub)
	if filepath.Base(path) == "config.json" { // Docker's own
		slices.Reverse(list)
	}
	return list
}

// target is the file to change: the one that podman and skopeo would.
func (k *Keychain) target() string {
	list, _ := k.paths()
	if k.o.File == "" && k.o.Getenv("REGISTRY_AUTH_FILE") == "" && goruntime.GOOS != "linux" {
		for _, p := range list {
			if !strings.HasPrefix(p, "/run/") { // there is no such place elsewhere
				return p
			}
		}
	}
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// document is a credential file whose keys are kept whether or not they are known.
type document struct {
	path  string
	all   map[string]json.RawMessage
	auths map[string]json.RawMessage
	file
}

func (k *Keychain) document() (*document, error) {
	d := &document{path: k.target(), all: map[string]json.RawMessage{}, auths: map[string]json.RawMessage{}}
	if d.path == "" {
		return nil, &Error{Op: "find", Subject: "a place for credentials", Err: fs.ErrNotExist}
	}
	if real, err := filepath.EvalSymlinks(d.path); err == nil {
		d.path = real // the link stays a link
	}
	f, err := readFile(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return nil, &Error{Op: "read", Subject: d.path, Err: err}
	}
	d.file = f
	raw, err := os.ReadFile(d.path)
	if err != nil {
		return nil, &Error{Op: "read", Subject: d.path, Err: err}
	}
	if len(strings.TrimSpace(string(raw))) == 0 {
		return d, nil
	}
	err = json.Unmarshal(raw, &d.all)
	if err == nil && len(d.all["auths"]) > 0 {
		err = json.Unmarshal(d.all["auths"], &d.auths)
	}
	if err != nil || d.all == nil {
		return nil, &Error{Op: "read", Subject: d.path, Err: fmt.Errorf("%w: not JSON of the right shape", ErrFile)}
	}
	if d.auths == nil {
		d.auths = map[string]json.RawMessage{}
	}
	return d, nil
}

// helper gives the helper that has the credentials of a name in this file, "" if the file itself has.
func (d *document) helper(n Name) (string, error) {
	helper := d.CredsStore
	for _, key := range []string{n.Registry, serverName(n.Registry)} {
		if h := d.CredHelpers[key]; h != "" {
			helper = h
			break
		}
	}
	if helper != "" && n.Repository != "" {
		return "", &Error{Op: "store", Subject: n.String(), Err: fmt.Errorf("%w: helper %q keeps credentials of whole registries only", ErrHelper, helper)}
	}
	return helper, nil
}

// write replaces the file at once.
func (d *document) write() error {
	fail := func(err error) error { return &Error{Op: "write", Subject: d.path, Err: err} }
	auths, err := json.Marshal(d.auths)
	if err != nil {
		return fail(err)
	}
	d.all["auths"] = auths
	raw, err := json.MarshalIndent(d.all, "", "\t")
	if err != nil {
		return fail(err)
	}
	dir := filepath.Dir(d.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fail(err)
	}
	tmp, err := os.CreateTemp(dir, ".auth-*") // of mode 0600
	if err != nil {
		return fail(err)
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // gone after the rename
	_, err = tmp.Write(append(raw, '\n'))
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), d.path)
	}
	if err != nil {
		return fail(err)
	}
	return nil
}

// Store keeps the credential of a name, with the helper that the file names for it or in the file.
// It tells where.
func (k *Keychain) Store(ctx context.Context, n Name, c Credential) (where string, err error) {
	d, err := k.document()
	if err != nil {
		return "", err
	}
	helper, err := d.helper(n)
	if err != nil {
		return "", err
	}
	user, secret := c.Username, c.Password
	if c.IdentityToken != "" {
		secret = ""
	}
	if helper != "" {
		if c.IdentityToken != "" {
			user, secret = tokenUser, c.IdentityToken
		}
		input, err := json.Marshal(map[string]string{"ServerURL": serverName(n.Registry), "Username": user, "Secret": secret})
		if err != nil {
			return "", &Error{Op: "store", Subject: n.String(), Err: err}
		}
		return "docker-credential-" + helper, k.o.Tell(ctx, helper, "store", serverName(n.Registry), string(input))
	}
	entry := map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(user + ":" + secret))}
	if c.IdentityToken != "" {
		entry["identitytoken"] = c.IdentityToken
	}
	raw, err := json.Marshal(entry)
	if err != nil {
		return "", &Error{Op: "store", Subject: n.String(), Err: err}
	}
	keys := n.keys(d.path)
	for _, key := range keys {
		delete(d.auths, key) // one name, one entry
	}
	d.auths[keys[0]] = raw
	return d.path, d.write()
}

// Erase forgets the credential of a name in the file that Store would change, and with its helper. It
// gives ErrAbsent if there is none.
func (k *Keychain) Erase(ctx context.Context, n Name) (where string, err error) {
	d, err := k.document()
	if err != nil {
		return "", err
	}
	helper, err := d.helper(n)
	if err != nil && n.Repository == "" {
		return "", err
	}
	var found []string
	for _, key := range n.keys(d.path) {
		if _, ok := d.auths[key]; ok {
			delete(d.auths, key)
			found = append(found, d.path)
		}
	}
	if helper != "" {
		err := k.o.Tell(ctx, helper, "erase", serverName(n.Registry), serverName(n.Registry))
		if err != nil && !errors.Is(err, ErrAbsent) {
			return "", err
		}
		if err == nil {
			return "docker-credential-" + helper, writeIf(d, len(found) > 0)
		}
	}
	if len(found) == 0 {
		return "", &Error{Op: "erase", Subject: n.String(), Err: fmt.Errorf("%w in %s", ErrAbsent, d.path)}
	}
	return d.path, d.write()
}

func writeIf(d *document, changed bool) error {
	if !changed {
		return nil
	}
	return d.write()
}

// EraseAll forgets every credential in the file that Store would change, those with its helpers too.
// It gives the names that it had.
func (k *Keychain) EraseAll(ctx context.Context) (names []string, where string, err error) {
	d, err := k.document()
	if err != nil {
		return nil, "", err
	}
	names = slices.Sorted(maps.Keys(d.auths))
	for server, helper := range d.CredHelpers {
		err := k.o.Tell(ctx, helper, "erase", server, server)
		if err != nil && !errors.Is(err, ErrAbsent) {
			return nil, "", err
		}
		if err == nil && !slices.Contains(names, server) {
			names = append(names, server)
		}
	}
	if d.CredsStore != "" {
		for key := range d.auths {
			if err := k.o.Tell(ctx, d.CredsStore, "erase", key, key); err != nil && !errors.Is(err, ErrAbsent) {
				return nil, "", err
			}
		}
	}
	if len(d.auths) == 0 {
		return names, d.path, nil
	}
	d.auths = map[string]json.RawMessage{}
	return names, d.path, d.write()
}
