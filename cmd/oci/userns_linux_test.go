package main

import (
	"slices"
	"strings"
	"testing"
)

func TestParseSubordinate(t *testing.T) {
	file := strings.Join([]string{
		"someone:100000:65536", "else:165536:65536", "1000:300000:10", "someone:notanumber:1",
		"someone:1", "someone:4294967296:1", "someone:0:5", ":400000:3", "",
	}, "\n")
	tests := []struct {
		name string
		uid  int
		want []idRange
	}{
		{"someone", 1000, []idRange{{100000, 65536}, {300000, 10}}},
		{"else", 1001, []idRange{{165536, 65536}}},
		{"", 1002, nil}, // a user without a name is not the line without a name
	}
	for _, tt := range tests {
		if got := parseSubordinate(strings.NewReader(file), tt.name, tt.uid); !slices.Equal(got, tt.want) {
			t.Errorf("%q %d: got %v, want %v", tt.name, tt.uid, got, tt.want)
		}
	}
	if got := parseSubordinate(strings.NewReader("someone:"+strings.Repeat("1", 1<<20)), "someone", 1); got != nil {
		t.Errorf("endless line: got %v", got)
	}
}

func TestFirstVerb(t *testing.T) {
	for line, want := range map[string]string{
		"":                               "",
		"pull x":                         "pull",
		"--root /x pull y":               "pull",
		"--root=/x --debug pull y":       "pull",
		"--debug":                        "",
		"--log-level debug images --all": "images",
		"run --root x":                   "run",
	} {
		if got := firstVerb(strings.Fields(line)); got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}
