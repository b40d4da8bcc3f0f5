package main

import (
	"os"
	"strings"
	"testing"
)

// The container's own name is in its hosts exactly once, on the host's network beside what the host knows.
func TestHostsFile(t *testing.T) {
	if got := hostsFile("", "box"); got != localHosts+"127.0.0.1\tbox\n" {
		t.Errorf("got %q", got)
	}
	for _, name := range []string{"localhost", ""} {
		if got := hostsFile("none", name); got != localHosts {
			t.Errorf("host name %q: got %q", name, got)
		}
	}
	own, err := os.ReadFile("/etc/hosts")
	if err != nil || len(own) == 0 {
		t.Skip("this machine has no /etc/hosts")
	}
	got := hostsFile("host", "box-of-a-test")
	if !strings.HasPrefix(got, strings.TrimSuffix(string(own), "\n")+"\n") || !strings.HasSuffix(got, "\n127.0.0.1\tbox-of-a-test\n") {
		t.Errorf("on the host's network: got %q", got)
	}
}
