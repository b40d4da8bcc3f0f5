package tree_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/snapshot"
	"github.com/oci-pipeline/oci/unpack/tartest"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// randomStack gives the bytes of a stack of a few layers.
func randomStack(rnd *rand.Rand) []byte {
	raw := make([]byte, opBytes*(4+rnd.IntN(24)))
	for i := range raw {
		raw[i] = byte(rnd.Uint32())
	}
	return raw
}

// seeds is how many stacks a test tries; OCI_TEST_SEEDS asks for more.
func seeds(n int) int {
	if v, err := strconv.Atoi(os.Getenv("OCI_TEST_SEEDS")); err == nil {
		return v
	}
	return n
}

// kindOf gives what kind of refusal an error is.
func kindOf(err error) error {
	for _, kind := range []error{unpack.ErrUnsafePath, unpack.ErrTar, unpack.ErrLimit, unpack.ErrWhiteout, unpack.ErrLink, unpack.ErrOwner, unpack.ErrDevice} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return err
}

// maker makes a tree of layers, in a directory of its own.
type maker func(tb testing.TB, dir string, layers []image.Layer, blobs tartest.Blobs) (*tree.Tree, error)

func merged(tb testing.TB, dir string, layers []image.Layer, blobs tartest.Blobs) (*tree.Tree, error) {
	if _, err := unpack.Unpack(tb.Context(), layers, blobs, dir, unpack.Options{}); err != nil {
		return nil, err
	}
	return ofDir(tb, dir), nil
}

func stacked(tb testing.TB, dir string, layers []image.Layer, blobs tartest.Blobs) (*tree.Tree, error) {
	s, err := snapshot.Open(dir, snapshot.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	dirs, err := s.Ensure(tb.Context(), layers, blobs)
	if err != nil {
		return nil, err
	}
	m, err := snapshot.Mount(tb.Context(), snapshot.MountOptions{Layers: dirs, ReadOnly: true})
	if err != nil {
		tb.Fatal(err)
	}
	defer m.Close()
	return ofFile(tb, m), nil
}

// engine is what the model is compared with.
type engine struct {
	make maker
	late bool // layers by themselves, at once: what is refused first may be something else
}

// mend leaves out the entries that the model refuses: nearly every random stack has one.
func (s stack) mend(tb testing.TB) stack {
	out, t := stack{}, tree.New()
	for i, entries := range s {
		for bad := true; bad; {
			var good []tartest.Entry
			n, l := 0, t.Layer(i+1, tree.Options{})
			layers, blobs := stack{entries}.layersOf()
			_, err := unpack.ReadLayer(tb.Context(), layers[0], blobs, unpack.Options{}, func(e *unpack.Entry, _ io.Reader) error {
				if l.Add(e) == nil {
					good = append(good, entries[n])
				}
				n++
				return nil
			})
			if err != nil { // the one that ReadLayer itself refuses
				good = append(good, entries[n+1:]...)
			}
			if bad = len(good) < len(entries); !bad {
				err = l.Close()
			}
			if err != nil && !bad {
				tb.Fatal(err)
			}
			entries = good
		}
		out = append(out, entries)
	}
	return out
}

// compareStack tells how the tree that an engine makes of a stack differs from the model; "" if not.
func compareStack(tb testing.TB, s stack, en engine) string {
	layers, blobs := s.layersOf()
	dir, err := os.MkdirTemp("", "tree")
	if err != nil {
		tb.Fatal(err)
	}
	defer os.RemoveAll(dir)
	want, wantErr := tree.OfLayers(tb.Context(), layers, blobs, tree.Options{Content: true})
	got, gotErr := en.make(tb, filepath.Join(dir, "d"), layers, blobs)
	switch {
	case en.late && wantErr != nil && gotErr != nil:
		return ""
	case wantErr != nil || gotErr != nil:
		if kindOf(wantErr) != kindOf(gotErr) { //nolint:errorlint // one of a list
			return fmt.Sprintf("got error %v\nmodel error %v", gotErr, wantErr)
		}
		return ""
	}
	return strings.Join(lines(tree.Diff(want, got, tree.DiffOptions{Content: true})), "\n")
}

// try compares random stacks, and prints the first few that differ, made small.
func try(t *testing.T, n int, salt uint64, en engine) {
	parts := goruntime.GOMAXPROCS(0)
	for part := range parts {
		t.Run(fmt.Sprintf("part %d", part+1), func(t *testing.T) {
			t.Parallel()
			failures := 0
			for seed := part; seed < seeds(n); seed += parts {
				if differs(t, seed, salt, en) {
					failures++
				}
				if failures == 5 {
					t.Fatal("more are not tried")
				}
			}
		})
	}
}

// differs compares one random stack.
func differs(t *testing.T, seed int, salt uint64, en engine) bool {
	raw := randomStack(rand.New(rand.NewPCG(uint64(seed), salt)))
	form := func(raw []byte) stack {
		if seed%4 == 0 {
			return decodeStack(raw)
		}
		return decodeStack(raw).mend(t)
	}
	if compareStack(t, form(raw), en) == "" {
		return false
	}
	small := shrink(raw, func(less []byte) bool { return compareStack(t, form(less), en) != "" })
	t.Errorf("seed %d: %x\n%s%s", seed, small, form(small), compareStack(t, form(small), en))
	return true
}

// TestModelMerged compares the model with layers applied to one directory.
func TestModelMerged(t *testing.T) {
	needRoot(t)
	try(t, 1500, 1, engine{make: merged})
}

// TestModelStacked compares the model with layers unpacked by themselves, stacked by overlayfs.
func TestModelStacked(t *testing.T) {
	needRoot(t)
	try(t, 250, 2, engine{stacked, true})
}

// TestModelFound is the stacks in which the model found an engine wrong, as small as they could be made.
func TestModelFound(t *testing.T) {
	needRoot(t)
	for name, text := range map[string]string{
		"the root gets its setgid bit from a layer":           "99000003dd000000e1000000",
		"a lower link to what the layer replaced":             "8400000002000000970000004d6900003d000000040500000f000300",
		"a lower link in the place of its target's directory": "f7580000de0000000f00000061000000",
		"a lower link in the place of the target's other name": "23020000cd00000021000000cb000000ce0000004200000077000000" +
			"e26f00002d006f003e0000002d030600",
		"a lower link back to where it came from":                 "4a000000be00000098020000ee010000b0003e00",
		"a directory in which a target was only looked up":        "82b700005f0000008f000000f6000000",
		"a link to AUFS's file in the place of a link to a lower": "d0000000410000009800000020050000490000005d00000089000000780000006d0000006000000098000000da000500af03a8007b030300",
		"the only link to AUFS's file replaced by another":        "3a000700bb0003003b000300",
		"a lower link below what the layer hides":                 "2e000000690000005e000000edb5000070000000d80000003b0000005105000070001400",
	} {
		t.Run(name, func(t *testing.T) {
			inAllForms(t, unhex(t, text))
		})
	}
}

// inAllForms compares the stack of some bytes, and what is left of it without what is refused, with all engines.
func inAllForms(t *testing.T, raw []byte) {
	s := decodeStack(raw)
	for _, s := range []stack{s, s.mend(t)} {
		for _, en := range []engine{{make: merged}, {stacked, true}} {
			if diff := compareStack(t, s, en); diff != "" {
				t.Errorf("%s%s", s, diff)
			}
		}
	}
}

func unhex(tb testing.TB, s string) []byte {
	raw, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}
