package snapshot

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// deviceStacks are images with devices that upper layers hide, replace and link to.
func deviceStacks() map[string][][]tartest.Entry {
	at := func(name string) tartest.Entry {
		return tartest.Entry{Name: name, Type: '3', Major: 1, Minor: 3, Mode: 0o640, UID: 0}
	}
	lower := []tartest.Entry{at("a"), at("b"), at("d/e"), at("d/s/f"), tartest.File("file", "x"), tartest.Link("a2", "a")}
	return map[string][][]tartest.Entry{
		"one layer":             {lower},
		"nothing hidden":        {lower, {tartest.File("d/new", "n")}},
		"whiteout":              {lower, {tartest.Whiteout("a")}},
		"whiteout above":        {lower, {tartest.Whiteout("d")}},
		"opaque":                {lower, {tartest.Opaque("d"), at("d/g")}},
		"opaque root":           {lower, {tartest.Opaque(""), at("z")}},
		"a file over it":        {lower, {tartest.File("a", "now a file")}},
		"a file above":          {lower, {tartest.File("d", "now a file")}},
		"a directory over it":   {lower, {tartest.File("a/x", "")}},
		"the same":              {lower, {at("a")}, {tartest.File("top", "")}},
		"over a file":           {lower, {at("file")}},
		"a link to it":          {lower, {tartest.Link("h", "b")}},
		"a link, then gone":     {lower, {tartest.Link("h", "b"), tartest.Whiteout("b")}},
		"a link over another":   {lower, {tartest.Link("a", "file")}},
		"a link swapped":        {lower, {tartest.Link("d", "b")}, {tartest.Link("c", "d")}},
		"and again":             {lower, {tartest.Whiteout("a")}, {at("a")}},
		"none":                  {{tartest.File("f", "")}, {tartest.File("g", "")}},
		"over one of two names": {lower, {tartest.File("a2", "")}},
	}
}

func deviceLines(list []unpack.Device) string {
	var lines []string
	for _, d := range list {
		lines = append(lines, fmt.Sprintf("%+v", d))
	}
	return strings.Join(lines, "\n")
}

// checkDeviceStacks proves that a stack has the devices that the layers in order have, and the layers pass a check.
func checkDeviceStacks(t *testing.T, policy unpack.DevicePolicy, o unpack.Options) {
	t.Helper()
	for name, entries := range deviceStacks() {
		blobs := tartest.Blobs{}
		var layers []image.Layer
		for _, l := range entries {
			layers = append(layers, blobs.Layer(l...))
		}
		merged := o
		merged.Devices, merged.UserXattr = unpack.DeviceAny, false
		want, err := unpack.Unpack(t.Context(), layers, blobs, filepath.Join(t.TempDir(), "r"), merged)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		o.Devices = policy
		s := newStore(t, Options{Unpack: o})
		stack, err := s.EnsureStack(t.Context(), layers, blobs)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, want := deviceLines(stack.Devices), deviceLines(want.Devices()); got != want {
			t.Errorf("%s: the stack has\n%s\nthe layers in order\n%s", name, got, want)
		}
		for _, l := range layers {
			if rebuilt, err := s.Check(t.Context(), l.DiffID, true); err != nil || !rebuilt {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestH30_stack_child is what TestH30_stack runs in a user namespace, in which no device can be made.
func TestH30_stack_child(t *testing.T) {
	tartest.ChildDir(t)
	o := unpack.Options{UserXattr: true, SingleID: true}
	for _, policy := range []unpack.DevicePolicy{unpack.DeviceSkip, unpack.DeviceBind} {
		checkDeviceStacks(t, policy, o)
	}
	blobs := tartest.Blobs{}
	layers := []image.Layer{blobs.Layer(deviceStacks()["one layer"][0]...)}
	dir := filepath.Join(t.TempDir(), "layers")
	for _, policy := range []unpack.DevicePolicy{unpack.DeviceError, unpack.DeviceSkip, unpack.DeviceError, unpack.DeviceBind} {
		o.Devices = policy
		s, err := Open(dir, Options{Unpack: o})
		if err != nil {
			t.Fatal(err)
		}
		stack, err := s.EnsureStack(t.Context(), layers, blobs)
		if policy == unpack.DeviceError {
			var e *unpack.Error
			if !errors.As(err, &e) || !errors.Is(err, unpack.ErrDevice) || e.Subject != "a" || e.Layer != 1 || e.Digest != layers[0].Descriptor.Digest {
				t.Errorf("%v", err)
			}
		} else if err != nil || len(stack.Devices) != 5 || !stack.Devices[0].Placeholder {
			t.Errorf("%+v, %v", stack, err)
		}
	}
}

// TestH30_stack: layers are shared by containers under any policy: what a stack shows of devices is told, for
// devices and for the files that stand for them.
func TestH30_stack(t *testing.T) {
	needRoot(t)
	checkDeviceStacks(t, unpack.DeviceError, unpack.Options{})
	checkDeviceStacks(t, unpack.DeviceSkip, unpack.Options{})
	tartest.RunChild(t, "TestH30_stack_child", 65534, mountUserns())
}

// TestIS_T3_replaced_link: a hardlink to nothing is malformed, also if a later entry of the layer takes its
// name, in both forms: containerd and Docker refuse such a layer, and GNU tar ends with an error.
func TestIS_T3_replaced_link(t *testing.T) {
	needRoot(t)
	lower := []tartest.Entry{tartest.File("there", "x"), tartest.Dir("dir")}
	for name, c := range map[string]struct {
		layers [][]tartest.Entry
		bad    bool
	}{
		"by a file":                  {[][]tartest.Entry{lower, {tartest.Link("h", "none"), tartest.File("h", "own")}}, true},
		"by a directory":             {[][]tartest.Entry{lower, {tartest.Link("h", "none"), tartest.File("h/f", "own")}}, true},
		"by a link":                  {[][]tartest.Entry{lower, {tartest.Link("h", "none"), tartest.Link("h", "there")}}, true},
		"with its directory":         {[][]tartest.Entry{lower, {tartest.Link("d/h", "none"), tartest.File("d", "own")}}, true},
		"to a directory":             {[][]tartest.Entry{lower, {tartest.Link("h", "dir"), tartest.File("h", "own")}}, true},
		"in the base layer":          {[][]tartest.Entry{{tartest.Link("h", "none"), tartest.File("h", "own")}}, true},
		"a good one":                 {[][]tartest.Entry{lower, {tartest.Link("h", "there"), tartest.File("h", "own")}}, false},
		"a good one, by a directory": {[][]tartest.Entry{lower, {tartest.Link("h", "there"), tartest.File("h/f", "own")}}, false},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			blobs := tartest.Blobs{}
			var layers []image.Layer
			for _, l := range c.layers {
				layers = append(layers, blobs.Layer(l...))
			}
			if !c.bad {
				sameForms(t, layers, blobs)
				return
			}
			_, errMerged := unpack.Unpack(t.Context(), layers, blobs, filepath.Join(t.TempDir(), "r"), unpack.Options{})
			_, errStack := newStore(t, Options{}).Ensure(t.Context(), layers, blobs)
			if !errors.Is(errMerged, unpack.ErrLink) || !errors.Is(errStack, unpack.ErrLink) {
				t.Errorf("in order %v, stacked %v", errMerged, errStack)
			}
			if errMerged.Error() != errStack.Error() && name != "to a directory" {
				t.Errorf("in order %v\nstacked  %v", errMerged, errStack)
			}
		})
	}
}
