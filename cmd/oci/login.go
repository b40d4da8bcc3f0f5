package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/distribution/credential"
)

// loginFlags are what `oci login` is told.
type loginFlags struct {
	accessFlags           // how to reach the registry
	user, file            string
	stdin, identity, show bool
}

func loginCommand(a *app) *cobra.Command {
	var l loginFlags
	cmd := &cobra.Command{
		Use:   "login REGISTRY[/PATH]",
		Short: "Store credentials for a registry, after it has accepted them",
		Long: "Store credentials for a registry, or for a path in it, after the registry has accepted them.\n" +
			"They go where podman and skopeo keep theirs: --authfile, $REGISTRY_AUTH_FILE, or auth.json of the session;\n" +
			"with the credential helper that this file names for the registry, if it does, or with those that\n" +
			"registries.conf has as credential-helpers. Without --username the stored ones are tried first.",
		Args: exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			n, err := credential.ParseName(args[0])
			switch {
			case err != nil:
				return usageErrorf(cmd, "%w", err)
			case cmd.Flags().Changed("password"):
				return usageErrorf(cmd, "--password: everybody on the machine can read a command line; give the password to --password-stdin")
			case l.stdin && l.user == "":
				return usageErrorf(cmd, "--password-stdin needs --username")
			case l.show:
				return a.showLogin(ctx, n, l)
			}
			return a.login(ctx, n, l)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&l.user, "username", "u", "", "`name` of the user (default: ask)")
	f.StringP("password", "p", "", "refused, with what to do instead") // other tools have it
	_ = f.MarkHidden("password")
	f.BoolVar(&l.stdin, "password-stdin", false, "read the password from standard input (default: ask)")
	f.BoolVar(&l.identity, "identity-token", false, "store a refresh token of the registry's token server in place of the password")
	f.BoolVar(&l.show, "get-login", false, "print the name of the user that is logged in, and ask nobody")
	f.StringVar(&l.file, "authfile", "", "store in this `file`")
	l.registerConnection(f)
	return cmd
}

// keychain is where the credentials are that login and logout change.
func keychain(file string, n networkFlags) (*credential.Keychain, error) {
	conf, err := n.mirrors()
	if err != nil {
		return nil, err
	}
	return credential.New(credential.Options{File: file, Helpers: conf.CredentialHelpers()}), nil
}

// stored gives the credential that there is for a name. A file that is to be made knows none.
func (l loginFlags) stored(ctx context.Context, n credential.Name) (credential.Credential, error) {
	k, err := keychain(l.file, l.network)
	if err != nil {
		return credential.Credential{}, err
	}
	c, err := k.Lookup(ctx, n.Registry, n.Repository)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return c, err
}

// showLogin prints who is logged in.
func (a *app) showLogin(ctx context.Context, n credential.Name, l loginFlags) error {
	c, err := l.stored(ctx, n)
	switch {
	case err != nil:
		return err
	case c.Anonymous():
		return &exitError{status: statusNotFound, err: fmt.Errorf("%s: %w", n, credential.ErrAbsent)}
	case c.Username == "":
		c.Username = "(an identity token)"
	}
	_, err = fmt.Fprintln(a.out, safeText(c.Username))
	return err
}

func (a *app) login(ctx context.Context, n credential.Name, l loginFlags) error {
	if l.user == "" {
		if in, err := a.loggedIn(ctx, n, l); in || err != nil {
			return err
		}
	}
	cred, err := a.askCredential(l)
	if err != nil {
		return err
	}
	c, err := a.loginClient(l, cred)
	if err != nil {
		return err
	}
	defer c.Close()
	wanted, err := c.Login(ctx, n)
	if err != nil {
		return err
	}
	if !wanted {
		fmt.Fprintf(a.err, "%s lets everyone in: the credentials are not proved\n", n.Registry)
	}
	if l.identity {
		if cred.IdentityToken, err = c.IdentityToken(ctx, n); err != nil {
			return err
		}
	}
	k, err := keychain(l.file, l.network)
	if err != nil {
		return err
	}
	stored, err := k.Store(ctx, n, cred)
	if err != nil {
		return err
	}
	if stored.Plain {
		fmt.Fprintf(a.err, "the secret is not encrypted in %s: whoever reads the file has it; a credential helper keeps it better\n", stored.Where)
	}
	_, err = fmt.Fprintf(a.out, "logged in to %s as %s; stored in %s\n", n, cred.Username, stored.Where)
	return err
}

// loggedIn tells whether the registry accepts the credential that is stored for it; the token server may
// replace it.
func (a *app) loggedIn(ctx context.Context, n credential.Name, l loginFlags) (bool, error) {
	cred, err := l.stored(ctx, n)
	if err != nil || cred.Anonymous() {
		return false, err
	}
	c, err := a.loginClient(l, cred)
	if err != nil {
		return false, err
	}
	defer c.Close()
	wanted, err := c.Login(ctx, n)
	if errors.Is(err, distribution.ErrUnauthorized) {
		fmt.Fprintf(a.err, "%s does not accept the stored credentials any more\n", n)
		return false, nil
	}
	if err != nil || !wanted {
		return false, err
	}
	_, err = fmt.Fprintf(a.out, "logged in to %s as %s, as before\n", n, safeText(cred.Username))
	return err == nil, err
}

// loginClient is a client that has one credential.
func (a *app) loginClient(l loginFlags, cred credential.Credential) (*distribution.Client, error) {
	o, err := a.clientOptions(l.accessFlags)
	if err != nil {
		return nil, err
	}
	o.Credentials = credential.Static(cred)
	if k, err := keychain(l.file, l.network); err == nil && cred.IdentityToken != "" {
		o.Credentials = k // which keeps another identity token, if the server gives one
	}
	return distribution.New(o)
}

// maxSecret bounds what is read as a password; tokens of clouds have 2 KiB.
const maxSecret = 64 << 10

// askCredential takes the credential from flags and standard input, and asks for what is missing if
// a person is there.
func (a *app) askCredential(l loginFlags) (credential.Credential, error) {
	in, _ := a.in.(*os.File)
	tty := in != nil && term.IsTerminal(int(in.Fd()))
	c := credential.Credential{Username: l.user}
	if l.stdin {
		raw, err := io.ReadAll(io.LimitReader(a.in, maxSecret+1))
		if err != nil {
			return c, fmt.Errorf("read password: %w", err)
		}
		c.Password = strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r")
		return c, checkSecret(c)
	}
	if !tty {
		return c, usageErrorf(nil, "nobody is there to be asked: use --username and --password-stdin")
	}
	if c.Username == "" {
		fmt.Fprint(a.err, "Username: ")
		line, err := bufio.NewReaderSize(oneByte{in}, 256).ReadString('\n')
		if err != nil {
			return c, fmt.Errorf("read user name: %w", err)
		}
		c.Username = strings.TrimSpace(line)
	}
	fmt.Fprint(a.err, "Password: ")
	raw, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(a.err)
	if err != nil {
		return c, fmt.Errorf("read password: %w", err)
	}
	c.Password = string(raw)
	return c, checkSecret(c)
}

// oneByte reads a byte at a time, so that what follows a line is left to the next reader.
type oneByte struct{ io.Reader }

// Read reads at most one byte.
func (o oneByte) Read(p []byte) (int, error) { return o.Reader.Read(p[:min(len(p), 1)]) }

// checkSecret refuses what no registry can have given, before it is sent.
func checkSecret(c credential.Credential) error {
	switch {
	case c.Username == "" || c.Password == "":
		return usageErrorf(nil, "user name and password must not be empty")
	case len(c.Password) > maxSecret:
		return usageErrorf(nil, "a password of more than %d bytes", maxSecret)
	case strings.Contains(c.Username, ":"):
		return usageErrorf(nil, "a user name with a colon cannot be sent (RFC 7617)")
	case strings.ContainsAny(c.Username+c.Password, "\r\n\x00"):
		return usageErrorf(nil, "a password of more than one line")
	}
	return nil
}
