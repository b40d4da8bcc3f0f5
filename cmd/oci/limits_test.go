package main

import (
	"io"
	"strings"
	"testing"

	"github.com/oci-pipeline/oci/unpack"
)

// TestLimitsAreDocumented: the topic of help has each limit with its default, which a setting takes and
// which then changes nothing.
func TestLimitsAreDocumented(t *testing.T) {
	var help strings.Builder
	if status := execute(t.Context(), []string{"help", "limits"}, nil, &help, io.Discard); status != 0 {
		t.Errorf("status %d", status)
	}
	for _, l := range unpack.LimitTable() {
		line := "\n  " + l.Name + strings.Repeat(" ", 11-len(l.Name)) + l.Format(l.Default) + " "
		if !strings.Contains(help.String(), line) || !strings.Contains(help.String(), l.Why) {
			t.Errorf("help lacks %q", line)
		}
		var a app
		if err := (limitFlag{&a.limits}).Set(l.Name + "=" + l.Format(l.Default)); err != nil {
			t.Error(err)
		}
	}
}
