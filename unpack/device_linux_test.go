package unpack_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

var null = tartest.Entry{Name: "dev/null", Type: '3', Major: 1, Minor: 3, Mode: 0o620, UID: 5, GID: 6, Mtime: 77}

// showDevices gives a line for each.
func showDevices(list []unpack.Device) string {
	var lines []string
	for _, d := range list {
		lines = append(lines, fmt.Sprintf("%s %s %d:%d %04o %d:%d %v", d.Path, d.Kind, d.Major, d.Minor, d.Mode, d.UID, d.GID, d.Placeholder))
	}
	return strings.Join(lines, "\n")
}

// TestH30_policies: a device is made, left out, or an empty file that is listed, whoever unpacks.
func TestH30_policies(t *testing.T) {
	needRoot(t)
	disk := tartest.Entry{Name: "opt/disk", Type: '4', Major: 8, Minor: 1, Mode: 0o660}
	layer := entries{null, disk, file("f", "x"), link("dev/zero", "dev/null")}
	line := func(name string, placeholder bool) string {
		return fmt.Sprintf("%s char device 1:3 0620 5:6 %v", name, placeholder)
	}
	for _, c := range []struct {
		policy  unpack.DevicePolicy
		null    string
		devices string
		warned  bool
	}{
		{unpack.DeviceError, "char 1:3", line("dev/null", false) + "\n" + line("dev/zero", false) + "\nopt/disk block device 8:1 0660 0:0 false", false},
		{unpack.DeviceAny, "char 1:3", line("dev/null", false) + "\n" + line("dev/zero", false) + "\nopt/disk block device 8:1 0660 0:0 false", false},
		{unpack.DeviceSkip, "-", "", true},
		{unpack.DeviceBind, "file ", line("dev/null", true) + "\n" + line("dev/zero", true) + "\nopt/disk block device 8:1 0660 0:0 true", false},
	} {
		blobs := tartest.Blobs{}
		layers := []image.Layer{blobs.Layer(layer...)}
		target := filepath.Join(t.TempDir(), "r")
		var log bytes.Buffer
		o := unpack.Options{Devices: c.policy, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		res, err := unpack.Unpack(t.Context(), layers, blobs, target, o)
		if err != nil {
			t.Fatal(err)
		}
		nodes := tree(t, target)
		if got := show(target, "dev/null", nodes); got != c.null {
			t.Errorf("policy %d: %s", c.policy, got)
		}
		if got := show(target, "dev/zero", nodes); got != c.null {
			t.Errorf("policy %d: the hardlink is %s", c.policy, got)
		}
		if got := showDevices(res.Devices()); got != c.devices {
			t.Errorf("policy %d: devices\n%s\nwant\n%s", c.policy, got, c.devices)
		}
		if n, ok := nodes["dev/null"]; ok && (n.Mode != 0o620 || n.UID != 5 || n.GID != 6 || !strings.HasPrefix(n.Mtime, "77.")) {
			t.Errorf("policy %d: %s", c.policy, n)
		}
		if got := strings.Contains(log.String(), "left out"); got != c.warned {
			t.Errorf("policy %d: warned %v: %s", c.policy, got, log.String())
		}
		rebuilds(t, blobs, layers[0])
	}
}

// TestH30_replaced: the list has what is there in the end, in the merged form and for each layer by itself.
func TestH30_replaced(t *testing.T) {
	needRoot(t)
	at := func(name string) tartest.Entry { e := null; e.Name = name; return e }
	for name, c := range map[string]struct {
		layers []entries
		want   string // paths
	}{
		"a whiteout":           {[]entries{{at("a"), at("b")}, {gone("a")}}, "b"},
		"opaque":               {[]entries{{at("d/a"), at("b")}, {clear("d")}}, "b"},
		"opaque, then again":   {[]entries{{at("d/a"), at("d/b")}, {at("d/b"), clear("d")}}, "d/b"},
		"a file over it":       {[]entries{{at("a"), file("a", "x")}}, ""},
		"over a file":          {[]entries{{file("a", "x"), at("a")}}, "a"},
		"twice":                {[]entries{{at("a"), at("a")}, {at("a")}}, "a"},
		"its directory goes":   {[]entries{{at("d/s/a"), at("dd/a")}, {sym("d", "dd")}}, "dd/a"},
		"a link of a layer up": {[]entries{{at("a")}, {link("h", "a"), gone("a")}}, "h"},
		"a link over it":       {[]entries{{at("a"), file("f", "x"), link("a", "f")}}, ""},
		"through a link":       {[]entries{{dir("real"), sym("l", "real"), at("l/a")}}, "real/a"},
		"a placeholder's name": {[]entries{{at("d")}, {file("d/f", "")}}, ""},
	} {
		blobs := tartest.Blobs{}
		var layers []image.Layer
		for _, l := range c.layers {
			layers = append(layers, blobs.Layer(l...))
		}
		for _, policy := range []unpack.DevicePolicy{unpack.DeviceError, unpack.DeviceBind} {
			target := filepath.Join(t.TempDir(), "r")
			res, err := unpack.Unpack(t.Context(), layers, blobs, target, unpack.Options{Devices: policy})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var paths []string
			for _, d := range res.Devices() {
				paths = append(paths, d.Path)
				if n, ok := tree(t, target)[d.Path]; !ok || n.Type != map[bool]string{true: "file", false: "char"}[d.Placeholder] {
					t.Errorf("%s: %s is %s", name, d.Path, n)
				}
			}
			if got := strings.Join(paths, " "); got != c.want {
				t.Errorf("%s: devices %q, want %q", name, got, c.want)
			}
		}
	}
}

// TestH30_skipped: what is left out hides what lower layers have in its place, in both forms, and takes
// hardlinks to it along.
func TestH30_skipped(t *testing.T) {
	needRoot(t)
	at := func(name string) tartest.Entry { e := null; e.Name = name; return e }
	o := unpack.Options{Devices: unpack.DeviceSkip}
	runHazards(t, []hazard{
		{name: "over a file below", layers: []entries{{file("a", "x")}, {at("a"), file("b", "")}}, o: o, want: map[string]string{"a": "-", "b": "file "}},
		{name: "over a directory", layers: []entries{{file("a/f", "x"), at("a")}}, o: o, want: map[string]string{"a": "-"}},
		{name: "and its links", layers: []entries{{at("a"), link("h", "a"), link("i", "h")}, {link("j", "a")}}, o: o, want: map[string]string{"a": "-", "h": "-", "i": "-", "j": "-"}},
		{name: "then a file", layers: []entries{{at("a"), file("a", "x"), link("h", "a")}}, o: o, want: map[string]string{"a": "file x", "h": "file x"}},
	})
	blobs := tartest.Blobs{}
	base := t.TempDir()
	root, err := unpack.OpenRoot(base)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	res, err := unpack.ApplyLayer(t.Context(), blobs.Layer(at("a"), link("h", "a"), file("d/f", "")), blobs, root, unpack.Overlay, o)
	if err != nil {
		t.Fatal(err)
	}
	nodes := tree(t, base)
	for _, name := range []string{"a", "h"} {
		if n := nodes[name]; n.Type != "char" || n.Rdev != 0 {
			t.Errorf("%s is %s, not a whiteout", name, n)
		}
	}
	if len(res.Devices) > 0 || !slices.Equal(res.Whiteouts, []string{""}) {
		t.Errorf("%+v", res)
	}
}

// TestH26_device_0_0 is refused, or left out as if the entry were not there: never a whiteout.
func TestH26_device_0_0(t *testing.T) {
	needRoot(t)
	layers := []entries{{file("a", "x")}, {{Name: "a", Type: '3'}, {Name: "b", Type: '3'}}}
	runHazards(t, []hazard{
		{name: "error", layers: layers, err: unpack.ErrDevice},
		{name: "skip", layers: layers, o: unpack.Options{Devices: unpack.DeviceSkip}, want: map[string]string{"a": "file x", "b": "-"}},
		{name: "bind", layers: layers, o: unpack.Options{Devices: unpack.DeviceBind}, want: map[string]string{"a": "file x", "b": "-"}},
		{name: "any", layers: layers, o: unpack.Options{Devices: unpack.DeviceAny}, want: map[string]string{"a": "file x", "b": "-"}},
		{name: "block", layers: []entries{{{Name: "b", Type: '4'}}}, want: map[string]string{"b": "block 0:0"}},
	})
	var e *unpack.Error
	blobs := tartest.Blobs{}
	_, err := unpack.Unpack(t.Context(), []image.Layer{blobs.Layer(layers[1]...)}, blobs, filepath.Join(t.TempDir(), "r"), unpack.Options{})
	if !errors.As(err, &e) || e.Subject != "a" || e.Layer != 1 {
		t.Errorf("%v", err)
	}
}
