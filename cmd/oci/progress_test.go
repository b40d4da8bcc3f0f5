package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
)

func TestProgressLines(t *testing.T) {
	d := ispec.Descriptor{Digest: digest.FromString("x"), Size: 1_500_000}
	events := []image.Event{
		{Kind: image.EventStarted, Descriptor: d},
		{Kind: image.EventProgress, Descriptor: d, Bytes: 10},
		{Kind: image.EventRetry, Descriptor: d, Err: errors.New("connection reset")},
		{Kind: image.EventDone, Descriptor: d},
		{Kind: image.EventReused, Descriptor: d},
	}
	for mode, want := range map[progressMode]string{
		progressAuto: "2d711642b726: connection reset; trying again\n2d711642b726 1.5 MB fetched\n2d711642b726 1.5 MB present\n",
		progressNone: "2d711642b726: connection reset; trying again\n",
	} {
		var b strings.Builder
		p := newProgressMode(&b, mode)
		for _, e := range events {
			p.event(e)
		}
		p.close()
		if b.String() != want {
			t.Errorf("%s: got %q, want %q", mode, b.String(), want)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 1_234_567: "1.2 MB", 5e15: "5000.0 TB"} {
		if got := size(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}
