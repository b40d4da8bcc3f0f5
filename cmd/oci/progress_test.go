package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

// TestProgressOfLongBlobs: a long blob is told every 10 s or 10 %, not more often than every 2 s; one that
// goes on, with the percentage.
func TestProgressOfLongBlobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := ispec.Descriptor{Digest: digest.FromString("x"), Size: 1000_000_000}
		var b strings.Builder
		p := newProgressMode(&b, progressPlain)
		p.event(image.Event{Kind: image.EventStarted, Descriptor: d, Bytes: 610_000_000})
		for range 20 {
			time.Sleep(time.Second)
			p.event(image.Event{Kind: image.EventProgress, Descriptor: d, Bytes: 620_000_000})
		}
		for i := range int64(8) { // 4 % of it a second
			time.Sleep(time.Second)
			p.event(image.Event{Kind: image.EventProgress, Descriptor: d, Bytes: 620_000_000 + i*40_000_000})
		}
		want := []string{
			"2d711642b726 resumed at 61 % (610.0 MB of 1.0 GB)", "2d711642b726 62 %, 620.0 MB of 1.0 GB, 1.0 MB/s", "2d711642b726 62 %, 620.0 MB of 1.0 GB, 500.0 kB/s",
			"2d711642b726 74 %, 740.0 MB of 1.0 GB, 5.4 MB/s", "2d711642b726 86 %, 860.0 MB of 1.0 GB, 9.3 MB/s", "",
		}
		if got := strings.Split(b.String(), "\n"); !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	})
}

// TestH85_progress_is_inert: what a registry says in an event does nothing to a terminal or to the lines of
// JSON.
func TestH85_progress_is_inert(t *testing.T) {
	for _, mode := range []progressMode{progressPlain, progressJSON, progressNone} {
		var b strings.Builder
		n := &notes{out: &b}
		p := n.show(func() *progress {
			p := newProgressMode(&b, mode)
			p.notes = n
			return p
		})
		n.warn("host", "x\x1b[2J\u009b31m\u202e\nforged")
		p.close()
		if got := strings.TrimSuffix(b.String(), "\n"); strings.ContainsAny(got, "\x1b\u009b\u202e") || mode == progressJSON && strings.Contains(got, "\n") {
			t.Errorf("%s: %q", mode, got)
		}
		if list := n.list(); len(list) != 1 || strings.ContainsAny(list[0], "\x1b\u009b\u202e") {
			t.Errorf("%s: warnings %q", mode, list)
		}
	}
}
