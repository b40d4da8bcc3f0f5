package main

import (
	"reflect"
	"strings"
	"testing"

	"github.com/oci-pipeline/oci/unpack"
)

func TestIDMapFlags(t *testing.T) {
	one := []unpack.IDMap{{ContainerID: 0, HostID: 100000, Size: 65536}, {ContainerID: 65536, HostID: 5, Size: 1}}
	two := []unpack.IDMap{{ContainerID: 0, HostID: 7, Size: 1}}
	for _, c := range []struct {
		uids, gids         []string
		wantUIDs, wantGIDs []unpack.IDMap
		err                string
	}{
		{},
		{uids: []string{"0:100000:65536", "65536:5"}, wantUIDs: one, wantGIDs: one},
		{gids: []string{"0:7"}, wantUIDs: two, wantGIDs: two},
		{uids: []string{"0:100000:65536", "65536:5"}, gids: []string{"0:7:1"}, wantUIDs: one, wantGIDs: two},
		{uids: []string{"0:1:4294967294"}, wantUIDs: []unpack.IDMap{{HostID: 1, Size: 4294967294}}, wantGIDs: []unpack.IDMap{{HostID: 1, Size: 4294967294}}},
		{uids: []string{"0"}, err: "--uid-map"},
		{uids: []string{"0:1:2:3"}, err: "--uid-map"},
		{gids: []string{"a:1:2"}, err: `"a"`},
		{uids: []string{"-1:1"}, err: `"-1"`},
		{uids: []string{"0:4294967296"}, err: `"4294967296"`},
		{uids: []string{"0:0:0"}, err: "no ids"},
		{uids: []string{"0:2:4294967295"}, err: "above"},
		{uids: []string{"4294967295:1"}, err: "above"},
		{uids: []string{"0:100:10", "9:200:1"}, err: "overlaps"},
		{uids: []string{"0:100:10", "10:109:1"}, err: "overlaps"},
		{uids: make([]string, 341), err: "340"},
	} {
		m := idMapFlags{c.uids, c.gids}
		uids, gids, err := m.maps()
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) || exitStatus(err) != statusUsage {
				t.Errorf("%q %q: %v", c.uids, c.gids, err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(uids, c.wantUIDs) || !reflect.DeepEqual(gids, c.wantGIDs) {
			t.Errorf("%q %q: %v %v %v", c.uids, c.gids, uids, gids, err)
		}
	}
}
