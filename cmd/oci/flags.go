package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
)

// Environment variables that this program reads and sets for itself.
const (
	envRoot  = "OCI_ROOT"  // the store
	envState = "OCI_STATE" // the state of running containers

	envStorage = "OCI_STORAGE" // what --storage is if it is not given
)

// globalFlags are the flags that every verb has.
type globalFlags struct {
	root, state     string
	logLevel, logTo string
	logFormat       string
	debug           bool
}

func (g *globalFlags) register(f *pflag.FlagSet) {
	f.StringVar(&g.root, "root", "", "the image `store` (default $OCI_ROOT, /var/lib/oci as root, else $XDG_DATA_HOME/oci)")
	f.StringVar(&g.state, "state", "", "`dir` of the running containers' state (default $OCI_STATE, /run/oci as root, else $XDG_RUNTIME_DIR/oci)")
	f.StringVar(&g.logLevel, "log-level", "warn", "least `level` that is logged: debug, info, warn, error")
	f.StringVar(&g.logTo, "log", "", "append the log to `file` instead of standard error")
	f.StringVar(&g.logFormat, "log-format", "text", "`format` of the log: text or json")
	f.BoolVar(&g.debug, "debug", false, "the same as --log-level debug")
}

// takesValue tells whether a global flag written without "=" is followed by its value.
func takesValue(flag string) bool {
	switch flag {
	case "--root", "--state", "--log-level", "--log", "--log-format":
		return true
	}
	return false
}

// storeRoot is the directory of the store: --root, $OCI_ROOT, or the default of the user.
func (a *app) storeRoot() (string, error) {
	return choose(a.global.root, envRoot, "/var/lib/oci", "XDG_DATA_HOME", ".local/share")
}

// stateRoot is the directory of the running containers' state.
func (a *app) stateRoot() (string, error) {
	if os.Geteuid() != 0 && os.Getenv("XDG_RUNTIME_DIR") == "" && a.global.state == "" && os.Getenv(envState) == "" {
		return filepath.Join(os.TempDir(), fmt.Sprintf("oci-%d", os.Geteuid())), nil
	}
	return choose(a.global.state, envState, "/run/oci", "XDG_RUNTIME_DIR", ".local/state")
}

// choose gives the first that is set of: the flag, the environment variable env, and the default:
// system as root, else oci in the directory that the XDG variable or its fallback below $HOME names.
func choose(flag, env, system, xdg, fallback string) (string, error) {
	switch {
	case flag != "":
		return filepath.Abs(flag)
	case os.Getenv(env) != "":
		return filepath.Abs(os.Getenv(env))
	case os.Geteuid() == 0:
		return system, nil
	case os.Getenv(xdg) != "":
		return filepath.Abs(filepath.Join(os.Getenv(xdg), "oci"))
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no place for the store: set $%s: %w", env, err)
	}
	return filepath.Join(home, fallback, "oci"), nil
}

// formatFlag is --format: text for people, json for programs.
type formatFlag string

func (f *formatFlag) register(fs *pflag.FlagSet) {
	*f = "text"
	fs.Var(f, "format", "`format` of the output: text or json")
}

// String, Set and Type make formatFlag a pflag.Value.
func (f *formatFlag) String() string { return string(*f) }

// Set accepts the formats that every verb can write.
func (f *formatFlag) Set(s string) error {
	if s != "text" && s != "json" {
		return fmt.Errorf("%q is neither text nor json", s)
	}
	*f = formatFlag(s)
	return nil
}

// Type is the name of the value in help texts.
func (f *formatFlag) Type() string { return "format" }

// json tells that the output is for programs: JSON, or made of it by a template.
func (f formatFlag) json() bool { return f != "text" }

// writeJSON writes v indented, with a newline, without escaping for HTML, and so that a terminal can show
// it whatever is in it: encoding/json leaves alone what some terminals obey from U+0080 on.
func writeJSON(w io.Writer, v any) error {
	raw, err := marshalJSON(v)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err = w.Write(b.Bytes())
	return err
}

// marshalJSON gives v on one line, as writeJSON has it.
func marshalJSON(v any) ([]byte, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	text := strings.TrimSuffix(b.String(), "\n")
	if strings.IndexFunc(text, unsafeRune) < 0 {
		return []byte(text), nil
	}
	b.Reset()
	for _, r := range text {
		if unsafeRune(r) && r >= 0x7f { // below, it is a space of a json.RawMessage
			escapeRune(&b, r)
		} else {
			b.WriteRune(r)
		}
	}
	return []byte(b.String()), nil
}
