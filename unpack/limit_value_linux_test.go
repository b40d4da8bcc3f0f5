package unpack_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// limitCase is layers that measure exactly so much of what a limit bounds.
type limitCase struct {
	limit   string
	measure int64
	layers  []image.Layer
	more    []string // other settings
}

func limitCases(t *testing.T, blobs tartest.Blobs) []limitCase {
	t.Helper()
	body := strings.Repeat("x", 1000)
	zeros := tartest.Archive(file("f", strings.Repeat("\x00", 1<<20)))
	zeroed := tartest.Gzip(zeros)
	factor := int64((len(zeros)-1)/len(zeroed) + 1)
	one := func(list ...tartest.Entry) []image.Layer { return []image.Layer{blobs.Layer(list...)} }
	tar := int64(len(tartest.Archive(file("f", body))))
	sparse := tartest.Entry{Name: "x", Body: body, PAX: map[string]string{
		"GNU.sparse.name": "s", "GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.size": "50000", "GNU.sparse.numblocks": "1", "GNU.sparse.map": "9,1000",
	}}
	sparseTar := int64(len(tartest.Archive(sparse)))
	return []limitCase{
		{"entries", 3, one(file("a", ""), dir("b"), sym("c", "a")), nil},
		{"depth", 3, one(file("a/b/c", "")), nil},
		{"depth", 4, one(sym("a/b", "c/d/e"), file("a/b/f", "")), nil}, // through a link: a/c/d/e is made
		{"name", 200, one(file(strings.Repeat("nn/", 66)+"nn", "")), nil},
		{"name", 200, one(file("t", ""), link("h", strings.Repeat("./", 99)+"/t")), nil},
		{"file", 1000, one(file("f", body)), nil},
		{"file", 50000, one(sparse), nil},
		{"layer", tar, one(file("f", body)), nil},
		{"total", 2 * tar, []image.Layer{blobs.Layer(file("f", body)), blobs.Layer(file("g", body))}, nil},
		{"total", 50000 + sparseTar, one(sparse), nil},
		{"xattr", 30, one(tartest.Entry{Name: "f", PAX: map[string]string{"SCHILY.xattr.user.a": body[:10], "LIBARCHIVE.xattr.user.b": "eHh4eHh4eHh4eHh4eHh4eHh4eHg"}}), nil},
		{"log", 512 + 24 + 1024, one(file("f", body)), nil},
		{"window", 1 << 20, []image.Layer{windowed(t, blobs, 1<<20)}, nil},
		{"ratio", factor, []image.Layer{blobs.Add(ispec.MediaTypeImageLayerGzip, zeroed, zeros)}, []string{"ratio-from=1"}},
		{"ratio-from", int64(len(zeros)), []image.Layer{blobs.Add(ispec.MediaTypeImageLayerGzip, zeroed, zeros)}, []string{"ratio=2"}},
	}
}

// windowed is a layer whose one zstd frame asks for a window of so many bytes.
func windowed(t *testing.T, blobs tartest.Blobs, window int) image.Layer {
	t.Helper()
	tar := tartest.Archive(file("f", strings.Repeat("0123456789", window/4)))
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out, zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(tar); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return blobs.Add(ispec.MediaTypeImageLayerZstd, out.Bytes(), tar)
}

// TestLimits_each: what measures as much as a limit passes, one more does not, and the error says which
// limit, what it is set to, what was met and how to let it pass. All limits have a case.
func TestLimits_each(t *testing.T) {
	needRoot(t)
	blobs := tartest.Blobs{}
	seen := map[string]bool{"free": true} // TestSpace
	for _, c := range limitCases(t, blobs) {
		seen[c.limit] = true
		for _, value := range []int64{c.measure - 1, c.measure, c.measure + 1} {
			var l unpack.Limits
			for _, s := range append(c.more, c.limit+"="+strconv.FormatInt(value, 10)) {
				if err := l.Set(s); err != nil {
					t.Fatal(err)
				}
			}
			err := applyLimited(t, c, blobs, l)
			if value >= c.measure {
				if err != nil {
					t.Errorf("%s=%d, measure %d: %v", c.limit, value, c.measure, err)
				}
				continue
			}
			var over *unpack.LimitError
			if c.limit == "ratio-from" && errors.As(err, &over) && over.Limit.Name == "ratio" {
				continue // it only says from when on the other is asked
			}
			if !errors.Is(err, unpack.ErrLimit) || !errors.As(err, &over) || over.Limit.Name != c.limit || over.Value != value || over.Met != c.measure && over.Met != 0 {
				t.Errorf("%s=%d, measure %d: %v", c.limit, value, c.measure, err)
				continue
			}
			if want := c.limit + "=" + over.Limit.Format(value); !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not say %s", err, want)
			}
			if err := l.Set(over.Enough()); err != nil {
				t.Fatal(err)
			}
			if err := applyLimited(t, c, blobs, l); err != nil {
				t.Errorf("%s, which was to be enough: %v", over.Enough(), err)
			}
		}
	}
	for _, row := range unpack.LimitTable() {
		if !seen[row.Name] {
			t.Errorf("limit %s has no case", row.Name)
		}
	}
}

// applyLimited unpacks in both forms: the log is kept only in the one, and the budget of several layers
// is shared in both.
func applyLimited(t *testing.T, c limitCase, blobs tartest.Blobs, l unpack.Limits) error {
	t.Helper()
	_, err := unpack.Unpack(t.Context(), c.layers, blobs, filepath.Join(t.TempDir(), "r"), unpack.Options{Limits: l})
	budget := unpack.NewBudget(l)
	var second error
	for _, layer := range c.layers {
		root, rerr := unpack.OpenRoot(t.TempDir())
		if rerr != nil {
			t.Fatal(rerr)
		}
		var log bytes.Buffer
		_, aerr := unpack.ApplyLayer(t.Context(), layer, blobs, root, unpack.Overlay, unpack.Options{Limits: l, Log: &log, Budget: budget})
		root.Close()
		second = errors.Join(second, aerr)
	}
	if c.limit == "log" {
		return second
	}
	if (err == nil) != (second == nil) {
		t.Errorf("%s: merged %v, overlay %v", c.limit, err, second)
	}
	return err
}

func TestLimits_settings(t *testing.T) {
	var l unpack.Limits
	for _, s := range []string{"entries=5m", "ratio=1000", "file=none", "layer=3G", "name=64k", "free=0", "free=1T"} {
		if err := l.Set(s); err != nil {
			t.Error(err)
		}
	}
	if want := (unpack.Limits{Entries: 5_000_000, Ratio: 1000, FileBytes: -1, LayerBytes: 3 << 30, NameBytes: 64 << 10, FreeBytes: 1 << 40}); l != want {
		t.Errorf("got %+v, want %+v", l, want)
	}
	for _, s := range []string{"", "entries", "entries=", "entries=-1", "entries=0", "entries=x", "entries=1.5", "entries=K", "entries=9223372036854775807K", "none=1", "=1", "file= 1", "file=1P"} {
		before := l
		if err := l.Set(s); err == nil || l != before {
			t.Errorf("%q is taken", s)
		}
	}
	for _, row := range unpack.LimitTable() {
		for _, n := range []int64{-1, 1, 999, 1000, 1024, 5_000_000, 1 << 40, row.Default} {
			var m, again unpack.Limits
			if n == 0 {
				continue
			}
			if err := m.Set(row.Name + "=" + row.Format(n)); err != nil {
				t.Error(err)
			}
			if err := again.Set(row.Name + "=" + strconv.FormatInt(n, 10)); n > 0 && (err != nil || m != again) {
				t.Errorf("%s=%d is written %s: %v", row.Name, n, row.Format(n), err)
			}
		}
	}
}
