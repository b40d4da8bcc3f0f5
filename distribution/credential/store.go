package credential

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// keeper gives the helper that has the credentials of a name in this file, "" if the file itself has;
// byDefault tells that it is the one for all that no other has.
func (d *document) keeper(n Name) (helper string, byDefault bool, err error) {
	helper, byDefault = d.CredsStore, true
	for _, key := range []string{n.Registry, serverName(n.Registry)} {
		if h := d.CredHelpers[key]; h != "" {
			helper, byDefault = h, false
			break
		}
	}
	return helper, byDefault, wholeRegistry(helper, n)
}

func wholeRegistry(helper string, n Name) error {
	if helper != "" && n.Repository != "" {
		return &Error{Op: "store", Subject: n.String(), Err: fmt.Errorf("%w: helper %q keeps credentials of whole registries only", ErrHelper, helper)}
	}
	return nil
}

// A Stored says where a credential was put.
type Stored struct {
	// Where is the file, or docker-credential-NAME.
	Where string
	// Plain tells that whoever reads the file has the secret: base64 hides nothing.
	Plain bool
}

// Store keeps the credential of a name: with the first of Options.Helpers that takes it or, by default
// and where that says so, in the file that podman and skopeo would change, with the helper that this
// file names for it or in the file itself.
func (k *Keychain) Store(ctx context.Context, n Name, c Credential) (Stored, error) {
	var errs []error
	for _, helper := range k.helpers() {
		var s Stored
		var err error
		if helper == Files {
			s, err = k.storeFile(ctx, n, c)
		} else if err = wholeRegistry(helper, n); err == nil {
			s, err = k.hand(ctx, helper, n.Registry, c)
		}
		if err == nil {
			return s, nil
		}
		errs = append(errs, err)
	}
	return Stored{}, errors.Join(errs...)
}

func (k *Keychain) storeFile(ctx context.Context, n Name, c Credential) (Stored, error) {
	d, err := k.open()
	if err != nil {
		return Stored{}, err
	}
	helper, byDefault, err := d.keeper(n)
	if err != nil {
		return Stored{}, err
	}
	var s Stored
	entry := json.RawMessage("{}") // how Docker lists what its default helper keeps
	if helper != "" {
		if s, err = k.hand(ctx, helper, serverName(n.Registry), c); err != nil || !byDefault {
			return s, err
		}
	} else {
		if entry, err = plainEntry(c); err != nil {
			return Stored{}, &Error{Op: "store", Subject: n.String(), Err: err}
		}
		s = Stored{Where: d.path, Plain: true}
	}
	return s, change(ctx, d.path, func(d *document) (bool, error) {
		keys := n.keys(d.path)
		for _, key := range keys {
			delete(d.auths, key) // one name, one entry
		}
		d.auths[keys[0]] = entry
		return true, nil
	})
}

func plainEntry(c Credential) (json.RawMessage, error) {
	secret := c.Password
	if c.IdentityToken != "" {
		secret = ""
	}
	entry := map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(c.Username + ":" + secret))}
	if c.IdentityToken != "" {
		entry["identitytoken"] = c.IdentityToken
	}
	return json.Marshal(entry)
}

// hand gives a credential to a helper.
func (k *Keychain) hand(ctx context.Context, helper, server string, c Credential) (Stored, error) {
	user, secret := c.Username, c.Password
	if c.IdentityToken != "" {
		user, secret = tokenUser, c.IdentityToken
	}
	input, err := json.Marshal(map[string]string{"ServerURL": server, "Username": user, "Secret": secret})
	if err == nil {
		err = k.o.Tell(ctx, helper, "store", server, string(input))
	}
	if err != nil {
		return Stored{}, &Error{Op: "store", Subject: server, Err: err}
	}
	return Stored{Where: program(helper)}, nil
}

// Rotate keeps the identity token new in place of old, which Lookup gave: token servers may give
// another with an answer, and take the first for spent. It is written where it was read, and only if
// old is still there. It gives ErrAbsent if it is not.
func (k *Keychain) Rotate(ctx context.Context, registry, repository, old, new string) error {
	k.forget()
	defer k.forget()
	f, err := k.find(ctx, registry, repository)
	if err != nil {
		return err
	}
	gone := &Error{Op: "replace the identity token of", Subject: registry, Err: ErrAbsent}
	if f.IdentityToken != old || old == "" {
		return gone
	}
	if f.helper != "" {
		c := f.Credential
		c.IdentityToken = new
		_, err := k.hand(ctx, f.helper, f.server, c)
		return err
	}
	return change(ctx, f.file, func(d *document) (bool, error) {
		var entry map[string]json.RawMessage
		var is string
		if json.Unmarshal(d.auths[f.key], &entry) != nil || json.Unmarshal(entry["identitytoken"], &is) != nil || is != old {
			return false, gone // another process was faster
		}
		if entry["identitytoken"], err = json.Marshal(new); err != nil {
			return false, err
		}
		d.auths[f.key], err = json.Marshal(entry)
		return err == nil, err
	})
}

// Erase forgets the credential of a name wherever Store would have put it, with its helper too. It
// gives ErrAbsent if there is none.
func (k *Keychain) Erase(ctx context.Context, n Name) (where string, err error) {
	for _, helper := range k.helpers() {
		var at string
		if helper == Files {
			at, err = k.eraseFile(ctx, n)
		} else if n.Repository == "" {
			at, err = program(helper), k.o.Tell(ctx, helper, "erase", n.Registry, n.Registry)
		}
		if err != nil && !errors.Is(err, ErrAbsent) {
			return "", err
		}
		if err == nil && at != "" && where == "" {
			where = at
		}
	}
	if where == "" {
		return "", &Error{Op: "erase", Subject: n.String(), Err: fmt.Errorf("%w in %s", ErrAbsent, k.target())}
	}
	return where, nil
}

func (k *Keychain) eraseFile(ctx context.Context, n Name) (where string, err error) {
	d, err := k.open()
	if err != nil {
		return "", err
	}
	helper, _, err := d.keeper(n)
	if err == nil && helper != "" {
		err = k.o.Tell(ctx, helper, "erase", serverName(n.Registry), serverName(n.Registry))
		if err == nil {
			where = program(helper)
		}
	}
	if err != nil && !errors.Is(err, ErrAbsent) && n.Repository == "" {
		return "", err
	}
	had := false
	err = change(ctx, d.path, func(d *document) (bool, error) {
		before := len(d.auths)
		for _, key := range n.keys(d.path) {
			delete(d.auths, key)
		}
		had = len(d.auths) < before
		return had, nil
	})
	if err == nil && where == "" {
		if where = d.path; !had {
			err = ErrAbsent
		}
	}
	return where, err
}

// EraseAll forgets every credential wherever Store would have put it, those with helpers too. It
// gives the names that there were, sorted.
func (k *Keychain) EraseAll(ctx context.Context) (names []string, where string, err error) {
	for _, helper := range k.helpers() {
		var some []string
		if helper == Files {
			some, where, err = k.eraseFiles(ctx)
		} else {
			some, err = k.eraseHelper(ctx, helper)
		}
		if err != nil {
			return nil, "", err
		}
		names = append(names, some...)
	}
	slices.Sort(names)
	return slices.Compact(names), where, nil
}

func (k *Keychain) eraseFiles(ctx context.Context) (names []string, where string, err error) {
	d, err := k.open()
	if err != nil {
		return nil, "", err
	}
	erase := func(helper, server string) (had bool, err error) {
		err = k.o.Tell(ctx, helper, "erase", server, server)
		if errors.Is(err, ErrAbsent) {
			return false, nil
		}
		return err == nil, err
	}
	for server, helper := range d.CredHelpers {
		had, err := erase(helper, server)
		if err != nil {
			return nil, "", err
		}
		if had {
			names = append(names, server)
		}
	}
	for key := range d.auths {
		if d.CredsStore != "" {
			if _, err := erase(d.CredsStore, key); err != nil {
				return nil, "", err
			}
		}
	}
	err = change(ctx, d.path, func(d *document) (bool, error) {
		before := len(names)
		names = slices.AppendSeq(names, maps.Keys(d.auths))
		clear(d.auths)
		return len(names) > before, nil
	})
	return names, d.path, err
}

// eraseHelper forgets what a helper lists.
func (k *Keychain) eraseHelper(ctx context.Context, helper string) (names []string, err error) {
	names, err = k.o.List(ctx, helper)
	if err != nil {
		return nil, err
	}
	for _, server := range names {
		if err := k.o.Tell(ctx, helper, "erase", server, server); err != nil && !errors.Is(err, ErrAbsent) {
			return nil, err
		}
	}
	return names, nil
}
