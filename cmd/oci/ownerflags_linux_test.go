package main

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/oci-pipeline/oci/unpack"
)

// TestH33_maps_of_a_namespace: ids that a user names as they are on the host become those of the user namespace,
// range by range; what it has not is an error that names the line of /etc/subuid.
func TestH33_maps_of_a_namespace(t *testing.T) {
	own := []idMap{{inside: 0, outside: 1000, count: 1}, {inside: 1, outside: 100000, count: 65536}}
	r := func(c, h, n uint32) unpack.IDMap { return unpack.IDMap{ContainerID: c, HostID: h, Size: n} }
	for _, c := range []struct {
		given, want []unpack.IDMap
		missing     uint32
	}{
		{given: []unpack.IDMap{r(0, 1000, 1), r(1, 100000, 65536)}, want: []unpack.IDMap{r(0, 0, 1), r(1, 1, 65536)}},
		{given: []unpack.IDMap{r(0, 100000, 10)}, want: []unpack.IDMap{r(0, 1, 10)}},
		{given: []unpack.IDMap{r(5, 100100, 3), r(0, 1000, 1)}, want: []unpack.IDMap{r(5, 101, 3), r(0, 0, 1)}},
		{given: []unpack.IDMap{r(0, 1000, 2)}, missing: 1001},
		{given: []unpack.IDMap{r(0, 165535, 2)}, missing: 165536},
		{given: []unpack.IDMap{r(0, 0, 1)}, missing: 0},
	} {
		got, err := translateMap("--uid-map", "uid", c.given, own)
		var missing *ownMapError
		switch {
		case c.want != nil && (err != nil || !reflect.DeepEqual(got, c.want)):
			t.Errorf("%v: %v, %v, want %v", c.given, got, err, c.want)
		case c.want == nil && (!errors.As(err, &missing) || missing.id != c.missing || !errors.Is(err, unpack.ErrOwner) || exitStatus(err) != statusStorage):
			t.Errorf("%v: %v, want %d missing", c.given, err, c.missing)
		case c.want == nil && !strings.HasSuffix(err.Error(), "only 1000 to 1000, 100000 to 165535"):
			t.Errorf("%v", err)
		}
	}
	adjoining := []idMap{{inside: 0, outside: 100, count: 10}, {inside: 50, outside: 110, count: 10}}
	if got, err := translateMap("--uid-map", "uid", []unpack.IDMap{r(0, 105, 10)}, adjoining); err != nil || !reflect.DeepEqual(got, []unpack.IDMap{r(0, 5, 5), r(5, 50, 5)}) {
		t.Errorf("a range of two: %v, %v", got, err)
	}
}
