package inflate

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"testing"
)

// compare decodes blocks with compress/flate and, between a header and the trailer that this calls
// for, with each of the Readers: both must accept the same, give the same bytes, and have
// used the same input, or the trailer would not be found.
func compare(t *testing.T, all map[string]*Reader, blocks []byte) {
	t.Helper()
	src := bytes.NewReader(blocks)
	want, wantErr := io.ReadAll(io.LimitReader(flate.NewReader(src), 1<<22))
	if len(want) == 1<<22 {
		return // a bomb
	}
	used := blocks[:len(blocks)-src.Len()]
	in := member(plainHeader, used, want)
	if wantErr != nil {
		in = append([]byte(plainHeader), blocks...)
	}
	for kind, r := range all {
		r.Reset(bytes.NewReader(in))
		got, err := io.ReadAll(onlyReader{r})
		var corrupt flate.CorruptInputError
		switch {
		case wantErr == nil && (err != nil || !bytes.Equal(got, want)):
			t.Errorf("%s: %d bytes, %v; compress/flate: %d bytes", kind, len(got), err, len(want))
		case wantErr != nil && !bytes.HasPrefix(got, want):
			t.Errorf("%s: %d bytes, %v; compress/flate had %d others, %v", kind, len(got), err, len(want), wantErr)
		case errors.As(wantErr, &corrupt) && !errors.Is(err, ErrCorrupt):
			t.Errorf("%s: %v; compress/flate: %v", kind, err, wantErr)
		case wantErr == io.ErrUnexpectedEOF && err != io.ErrUnexpectedEOF && !errors.Is(err, ErrCorrupt):
			// compress/flate asks for as many bits as the end of the block has, even where it would
			// take fewer to see what is wrong.
			t.Errorf("%s: %v; compress/flate: %v", kind, err, wantErr)
		}
	}
}

// kinds gives Readers that take different ways through the same stream.
func kinds() map[string]*Reader {
	small := newReader(nil, 600, 1, 600, history+1000)
	plain := NewReader(nil)
	plain.fast = (*core).fastGo
	all := map[string]*Reader{"whole": NewReader(nil), "small": small, "go": plain}
	twins(all)
	return all
}

// FuzzInflate starts from streams of each block type, and from broken ones.
func FuzzInflate(f *testing.F) {
	for _, level := range []int{flate.NoCompression, 1, 6, flate.HuffmanOnly} {
		f.Add(deflate(f, sample(4000, 10), level), uint32(0), byte(0))
		f.Add(deflate(f, sample(20_000, 11), level), uint32(100), byte(1))
	}
	for _, c := range blockCases() {
		f.Add(c.bits.bytes(), uint32(0), byte(0))
	}
	all := kinds()
	f.Fuzz(func(t *testing.T, blocks []byte, at uint32, flip byte) {
		if len(blocks) > 0 {
			blocks = bytes.Clone(blocks)
			blocks[int(at)%len(blocks)] ^= flip
		}
		compare(t, all, blocks)
	})
}

// FuzzReader: whatever the stream, a Reader ends, and what it accepts, all ways of reading give alike.
func FuzzReader(f *testing.F) {
	data := sample(2000, 12)
	f.Add(member(plainHeader, deflate(f, data, 6), data))
	f.Add(append(member("\x1f\x8b\x08\x1c\x00\x00\x00\x00\x00\xff\x01\x00eN\x00C\x00", deflate(f, data, 1), data), 0, 0))
	f.Fuzz(func(t *testing.T, in []byte) {
		want, wantErr := io.ReadAll(io.LimitReader(NewReader(bytes.NewReader(in)), 1<<22))
		if len(want) == 1<<22 {
			return
		}
		for i, src := range readers(in) {
			got, err := io.ReadAll(NewReader(src))
			if !bytes.Equal(got, want) || reason(err) != reason(wantErr) {
				t.Errorf("reader %d: %d bytes, %v; at once: %d bytes, %v", i, len(got), err, len(want), wantErr)
			}
		}
	})
}

// reason is what err says, but for the place, which depends on the loop that found it.
func reason(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Err.Error() + e.Clause
	}
	return fmt.Sprint(err)
}
