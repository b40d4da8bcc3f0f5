package main

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseSignal(t *testing.T) {
	for text, want := range map[string]unix.Signal{
		"9": unix.SIGKILL, "KILL": unix.SIGKILL, "SIGKILL": unix.SIGKILL, "sigterm": unix.SIGTERM, "hup": unix.SIGHUP,
		"64": 64, "0": 0, "65": 0, "-1": 0, "": 0, "SIGSIGKILL": 0, "nosuch": 0,
		"SIGRTMIN": 34, "RTMIN+3": 37, "sigrtmax-1": 63, "RTMAX": 64, "RTMIN+31": 0, "RTMAX-31": 0, "RTMIN+x": 0, "RTMINX": 0,
	} {
		if got, err := parseSignal(text); got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: got %d, %v; want %d", text, got, err, want)
		}
	}
}

func TestMergeEnv(t *testing.T) {
	base := []string{"A=1", "AB=2", "C=3"}
	got := mergeEnv(base, []string{"A=x", "D=4", "A=y"})
	if want := []string{"AB=2", "C=3", "D=4", "A=y"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if base[0] != "A=1" {
		t.Error("the container's own environment was changed")
	}
}
