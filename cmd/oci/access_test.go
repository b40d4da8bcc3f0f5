package main

import (
	"io"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// TestAccessFlagsAreTheSame: a verb that talks to registries has all flags that say how, and they mean
// and default to the same.
func TestAccessFlagsAreTheSame(t *testing.T) {
	a := &app{out: io.Discard, err: io.Discard}
	want := (&cobra.Command{Use: "want"})
	var f transferFlags
	f.registerAccess(want.Flags())
	count := 0
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			walk(c)
		}
		if cmd.Flags().Lookup("insecure") == nil || cmd.Name() == "login" || cmd.Name() == "logout" || cmd.Name() == "explain" {
			return
		}
		count++
		for _, name := range []string{
			"authfile", "creds", "registry-token", "username", "password-stdin", "insecure", "tls-verify", "plain-http", "retry", "retry-delay", "resolve", "header",
			"registries-conf", "hosts-dir", "cert-dir", "ca-file", "cert-file", "key-file",
		} {
			w, g := want.Flags().Lookup(name), cmd.Flags().Lookup(name)
			switch {
			case w == nil:
				t.Errorf("--%s is not defined", name)
			case g == nil:
				t.Errorf("%s lacks --%s", cmd.CommandPath(), name)
			case g.Usage != w.Usage || g.DefValue != w.DefValue || g.Shorthand != w.Shorthand || g.Value.Type() != w.Value.Type():
				t.Errorf("%s: --%s is another one", cmd.CommandPath(), name)
			}
		}
	}
	walk(a.root(nil))
	if count < 20 {
		t.Errorf("only %d verbs talk to registries", count)
	}
}

func TestAccessFlagsMistakes(t *testing.T) {
	a := &app{}
	for name, f := range map[string]accessFlags{
		"password without user":   {passwordStdin: true},
		"user without password":   {username: "u"},
		"both kinds":              {username: "u", passwordStdin: true, creds: "a:b"},
		"no password":             {creds: "user"},
		"negative delay":          {retryDelay: -time.Second},
		"no header":               {headers: []string{"nonsense"}},
		"two headers":             {headers: []string{"a: b\r\nc: d"}},
		"no address":              {resolve: []string{"host:443"}},
		"a name for an address":   {resolve: []string{"host:443:other"}},
		"certificate without key": {network: networkFlags{certFile: "x"}},
	} {
		if _, err := a.clientOptions(f); exitStatus(err) != statusUsage {
			t.Errorf("%s: %v, status %d", name, err, exitStatus(err))
		}
	}
	f := accessFlags{resolve: []string{"Host:443:192.0.2.1", "h:80:192.0.2.2:8080", "six:443:[2001:db8::1]", "six:80:[2001:db8::1]:90"}, headers: []string{"x-a: b", "X-A:c"}}
	o, err := a.clientOptions(f)
	if err != nil {
		t.Fatal(err)
	}
	for host, to := range map[string]string{"host:443": "192.0.2.1:443", "h:80": "192.0.2.2:8080", "six:443": "[2001:db8::1]:443", "six:80": "[2001:db8::1]:90"} {
		if o.Resolve[host] != to {
			t.Errorf("%s: got %q, want %q", host, o.Resolve[host], to)
		}
	}
	if got := o.Header.Values("X-A"); len(got) != 2 || got[0] != "b" || got[1] != "c" {
		t.Errorf("got %v", o.Header)
	}
}

// TestRetryFlags: without a flag waiting is short, with one the registry's wish is obeyed.
func TestRetryFlags(t *testing.T) {
	var f accessFlags
	if r := f.retry(); r.Attempts != defaultRetries+1 || r.Budget != retryBudget {
		t.Errorf("got %+v", r)
	}
	if err := f.tries.Set("0"); err != nil {
		t.Fatal(err)
	}
	f.retryDelay = time.Minute
	if r := f.retry(); r.Attempts != 1 || r.Base != time.Minute || r.Max != time.Minute || r.Budget != patientBudget {
		t.Errorf("got %+v", r)
	}
	if f.tries.String() != "0" || f.tries.Set("-1") == nil || f.tries.Set("x") == nil {
		t.Errorf("got %v", f.tries)
	}
}
