package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/distribution/credential"
)

// loginFlags are what `oci login` is told.
type loginFlags struct {
	username, authFile      string
	passwordStdin, identity bool
	insecure                bool
	network                 networkFlags
}

func loginCommand(a *app) *cobra.Command {
	var l loginFlags
	cmd := &cobra.Command{
		Use:   "login REGISTRY[/PATH]",
		Short: "Store credentials for a registry, after it has accepted them",
		Long: "Store credentials for a registry, or for a path in it, after the registry has accepted them.\n" +
			"They go where podman and skopeo keep theirs: --authfile, $REGISTRY_AUTH_FILE, or auth.json of the session;\n" +
			"with the credential helper that this file names for the registry, if it does.",
		Args: exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			n, err := credential.ParseName(args[0])
			if err != nil {
				return usageErrorf(cmd, "%w", err)
			}
			return a.login(ctx, n, l)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&l.username, "username", "u", "", "`name` of the user (default: ask)")
	f.BoolVar(&l.passwordStdin, "password-stdin", false, "read the password from standard input (default: ask)")
	f.BoolVar(&l.identity, "identity-token", false, "store a refresh token of the registry's token server in place of the password")
	f.StringVar(&l.authFile, "authfile", "", "store in this `file`")
	f.BoolVar(&l.insecure, "insecure", false, "allow plain http and unproved certificates; loopback may always speak http")
	l.network.register(f)
	return cmd
}

func (a *app) login(ctx context.Context, n credential.Name, l loginFlags) error {
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
	stored, err := credential.New(credential.Options{File: l.authFile}).Store(ctx, n, cred)
	if err != nil {
		return err
	}
	if stored.Plain {
		fmt.Fprintf(a.err, "the secret is not encrypted in %s: whoever reads the file has it; a credential helper keeps it better\n", stored.Where)
	}
	_, err = fmt.Fprintf(a.out, "logged in to %s as %s; stored in %s\n", n, cred.Username, stored.Where)
	return err
}

func (a *app) loginClient(l loginFlags, cred credential.Credential) (*distribution.Client, error) {
	o := distribution.Options{
		Insecure: l.insecure, UserAgent: "oci/" + version, Logger: a.log, IdleTimeout: idleRegistry,
		Retry: distribution.Retry{Budget: retryBudget}, Credentials: credential.Static(cred),
	}
	if err := l.network.apply(&o); err != nil {
		return nil, err
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
	c := credential.Credential{Username: l.username}
	if l.passwordStdin {
		if c.Username == "" {
			return c, usageErrorf(nil, "--password-stdin needs --username")
		}
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
