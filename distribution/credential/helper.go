package credential

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"time"
)

const (
	// helperTime is enough for one that asks the user to unlock a key ring.
	helperTime = 60 * time.Second
	// helperOutput bounds what a helper may print.
	helperOutput = 1 << 20
	// tokenUser is the name under which a helper gives an identity token.
	tokenUser = "<token>"
)

// ask runs docker-credential-<helper> get, with the server on its standard input.
func ask(ctx context.Context, helper, server string) (Credential, error) {
	out, err := runHelper(ctx, helper, "get", server)
	if errors.Is(err, errNoCredential) {
		return Credential{}, nil
	}
	fail := func(err error) (Credential, error) {
		return Credential{}, &Error{Op: "ask", Subject: fmt.Sprintf("helper %q for %q", helper, server), Err: err}
	}
	if err != nil {
		return fail(err)
	}
	c, err := decodeAnswer(out)
	if err != nil {
		return fail(err)
	}
	return c, nil
}

// decodeAnswer reads what a helper prints for get.
func decodeAnswer(out []byte) (Credential, error) {
	var answer struct{ Username, Secret string }
	if err := json.Unmarshal(out, &answer); err != nil {
		return Credential{}, fmt.Errorf("%w: the answer is not JSON", ErrHelper)
	}
	if answer.Username == tokenUser {
		return Credential{IdentityToken: answer.Secret}, nil
	}
	return Credential{Username: answer.Username, Password: answer.Secret}, nil
}

// tell runs docker-credential-<helper> store or erase.
func tell(ctx context.Context, helper, verb, server, input string) error {
	_, err := runHelper(ctx, helper, verb, input)
	switch {
	case errors.Is(err, errNoCredential):
		return ErrAbsent
	case err != nil:
		return &Error{Op: verb + " by", Subject: fmt.Sprintf("helper %q for %q", helper, server), Err: err}
	}
	return nil
}

// list runs docker-credential-<helper> list and gives the servers that it has credentials of, sorted.
func list(ctx context.Context, helper string) ([]string, error) {
	out, err := runHelper(ctx, helper, "list", "")
	if errors.Is(err, errNoCredential) {
		return nil, nil
	}
	var users map[string]string
	if err == nil && json.Unmarshal(out, &users) != nil {
		err = fmt.Errorf("%w: the answer is not JSON", ErrHelper)
	}
	if err != nil {
		return nil, &Error{Op: "ask", Subject: fmt.Sprintf("helper %q for its list", helper), Err: err}
	}
	return slices.Sorted(maps.Keys(users)), nil
}

// program is what runs for a helper.
func program(helper string) string { return "docker-credential-" + helper }

// errNoCredential: the helper knows of none.
var errNoCredential = errors.New("no such credential")

// runHelper gives what docker-credential-<helper> verb prints for the input.
func runHelper(ctx context.Context, helper, verb, input string) ([]byte, error) {
	if !validHelper(helper) {
		return nil, fmt.Errorf("%w: not the name of a program", ErrHelper)
	}
	ctx, cancel := context.WithTimeout(ctx, helperTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(helper), verb) //nolint:gosec // the user's own configuration names it
	cmd.Stdin = strings.NewReader(input)
	out, errOut := &limited{max: helperOutput}, &limited{max: 4096}
	cmd.Stdout, cmd.Stderr = out, errOut
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if err == nil {
		return out.buf.Bytes(), nil
	}
	text := strings.ToLower(out.buf.String() + errOut.buf.String())
	switch {
	case strings.Contains(text, "credentials not found"), strings.Contains(text, "no credentials"):
		return nil, errNoCredential
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%w: %w", ErrHelper, ctx.Err())
	case errors.Is(err, exec.ErrNotFound):
		return nil, fmt.Errorf("%w: docker-credential-%s is not installed", ErrHelper, helper)
	}
	return nil, fmt.Errorf("%w: %w", ErrHelper, err)
}

// validHelper keeps a configuration file from naming a program by its path.
func validHelper(s string) bool {
	if s == "" || len(s) > 64 || s[0] == '-' {
		return false
	}
	for _, r := range s {
		ok := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
		if !ok {
			return false
		}
	}
	return true
}

// limited is a buffer that refuses more than max bytes.
type limited struct {
	buf bytes.Buffer // not embedded: its ReadFrom would know no limit
	max int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.buf.Len()+len(p) > l.max {
		return 0, fmt.Errorf("%w: more than %d bytes of output", ErrHelper, l.max)
	}
	return l.buf.Write(p)
}
