package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/runtime"
	"github.com/oci-pipeline/oci/unpack"
)

func TestExitStatus(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("other"), 1},
		{usageErrorf(nil, "x"), 2},
		{&store.Error{Op: "open", Err: store.ErrNotFound}, 3},
		{&os.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}, 3},
		{fmt.Errorf("x: %w", runtime.ErrNotExist), 3},
		{&distribution.StatusError{Status: 401}, 4},
		{&distribution.StatusError{Status: 403}, 4},
		{fs.ErrPermission, 4},
		{&distribution.StatusError{Status: 429}, 5},
		{&image.Error{Op: "verify", Err: image.ErrDigestMismatch}, 6},
		{&unpack.Error{Op: "apply", Err: unpack.ErrDiffID}, 6},
		{image.ErrNoPlatform, 7},
		{&distribution.StatusError{Status: 503}, 8},
		{distribution.ErrTimeout, 8},
		{&net.OpError{Op: "dial", Err: errors.New("x")}, 8},
		{context.DeadlineExceeded, 8},
		{&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, 9},
		{&os.PathError{Op: "remove", Path: "x", Err: syscall.ENOTEMPTY}, 1}, // an errno is no network error
		{image.ErrTooLarge, 10},
		{&bundle.Error{Op: "load bundle", Err: bundle.Problems{{Err: bundle.ErrInvalid}}}, 10},
		{unpack.ErrUnsafePath, 10},
		{context.Canceled, 130},
		{&exitError{status: 77}, 77},
	} {
		if got := exitStatus(tt.err); got != tt.want {
			t.Errorf("%v: got %d, want %d", tt.err, got, tt.want)
		}
	}
}

// TestExitStatusesAreDocumented: help and README.md say the same.
func TestExitStatusesAreDocumented(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var help strings.Builder
	if status := execute(t.Context(), []string{"help", "exit-status"}, nil, &help, io.Discard); status != 0 {
		t.Errorf("status %d", status)
	}
	for _, m := range exitMeanings() {
		if row := "| " + m.status + " | " + m.meaning + " |\n"; !strings.Contains(string(readme), row) {
			t.Errorf("README.md lacks %q", row)
		}
		if !strings.Contains(help.String(), m.meaning) {
			t.Errorf("help lacks %q", m.meaning)
		}
	}
}
