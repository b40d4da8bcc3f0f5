package main

import (
	"slices"
	"strings"
	"testing"
)

// TestMapsAround: the own id is where it is wanted, all other ids of the container come from the ranges, in their order, each once.
func TestMapsAround(t *testing.T) {
	for name, tt := range map[string]struct {
		kept   int
		ranges []idRange
		want   string
	}{
		"keep-id":             {1000, []idRange{{100000, 65536}}, "0:100000:1000 1000:1000:1 1001:101000:64536"},
		"as root":             {0, []idRange{{100000, 65536}}, "0:1000:1 1:100000:65536"},
		"in the second range": {15, []idRange{{100000, 10}, {200000, 10}}, "0:100000:10 10:200000:5 15:1000:1 16:200005:5"},
		"between ranges":      {10, []idRange{{100000, 10}, {200000, 10}}, "0:100000:10 10:1000:1 11:200000:10"},
		"beyond":              {70000, []idRange{{100000, 65536}}, "0:100000:65536 70000:1000:1"},
		"at the end":          {10, []idRange{{100000, 10}}, "0:100000:10 10:1000:1"},
		"one id":              {1000, nil, "1000:1000:1"},
		"nomap":               {-1, []idRange{{100000, 10}, {200000, 10}}, "0:100000:10 10:200000:10"},
		"nomap, one id":       {-1, nil, ""},
	} {
		got := mapsAround(tt.kept, 1000, tt.ranges)
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
		if _, err := parseIDMaps("--uid-map", got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	uid, gid := 1, 2
	if err := keepIDs("uid=7,gid=8", &uid, &gid); err != nil || uid != 7 || gid != 8 {
		t.Errorf("%v, %d, %d", err, uid, gid)
	}
	for _, bad := range []string{"x", "uid", "uid=", "uid=-1", "uid=4294967295", "what=1", "uid=1,", ","} {
		if keepIDs(bad, &uid, &gid) == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if !slices.Equal(mapsAround(-1, 0, nil), nil) {
		t.Error("a map of nothing")
	}
}
