package inflate

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	goruntime "runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// plainHeader is a member's header without any field.
const plainHeader = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

// member makes a member out of blocks that give data.
func member(header string, blocks, data []byte) []byte {
	b := append([]byte(header), blocks...)
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(data))
	return binary.LittleEndian.AppendUint32(b, uint32(len(data)))
}

// deflate compresses with the standard library.
func deflate(t testing.TB, data []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sample gives n bytes with text, runs, repetitions near and far, and noise, as layers have them.
func sample(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	var b []byte
	for len(b) < n {
		switch k := r.IntN(6); {
		case k == 0 || len(b) == 0:
			for range r.IntN(200) {
				b = append(b, byte(r.Uint32()))
			}
			b = append(b, '\n')
		case k == 1:
			b = append(b, bytes.Repeat([]byte{byte(r.Uint32())}, r.IntN(600))...)
		case k == 2:
			for range r.IntN(400) {
				b = append(b, "etaoin shrdlu\n"[r.IntN(14)])
			}
		default:
			dist := 1 + r.IntN(min(len(b), 1<<r.IntN(16)))
			for range 3 + r.IntN(300) {
				b = append(b, b[len(b)-dist])
			}
		}
	}
	return b[:n]
}

func TestFields(t *testing.T) {
	data := []byte("hello\n")
	blocks := deflate(t, data, 9)
	long := strings.Repeat("x", 100_000)
	crc := func(h string) string {
		return h + string(binary.LittleEndian.AppendUint16(nil, uint16(crc32.ChecksumIEEE([]byte(h)))))
	}
	for name, header := range map[string]string{
		"none":          plainHeader,
		"text, time":    "\x1f\x8b\x08\x01\x12\x34\x56\x78\x02\x03",
		"extra":         "\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff\x05\x00AB\x01\x00z",
		"no extra":      "\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff\x00\x00",
		"largest extra": "\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff\xff\xff" + long[:65535],
		"name":          "\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\xffl\xe4yer.tar\x00",
		"empty name":    "\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\xff\x00",
		"long name":     "\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\xff" + long + "\x00",
		"comment":       "\x1f\x8b\x08\x10\x00\x00\x00\x00\x00\xffwhy\x00",
		"crc":           crc("\x1f\x8b\x08\x02\x00\x00\x00\x00\x00\xff"),
		"all":           crc("\x1f\x8b\x08\x1f\x00\x00\x00\x00\x00\xff\x01\x00eN\x00" + long + "\x00"),
	} {
		t.Run(name, func(t *testing.T) {
			for _, in := range readers(member(header, blocks, data)) {
				if got, err := io.ReadAll(NewReader(in)); err != nil || !bytes.Equal(got, data) {
					t.Fatalf("got %q, %v", got, err)
				}
			}
		})
	}
}

// readers gives readers of b that give it as different pieces.
func readers(b []byte) []io.Reader {
	return []io.Reader{
		bytes.NewReader(b),
		iotest.OneByteReader(bytes.NewReader(b)),
		iotest.HalfReader(bytes.NewReader(b)),
		iotest.DataErrReader(bytes.NewReader(b)),
		&pieces{b, rand.New(rand.NewPCG(uint64(len(b)), 2))},
	}
}

// pieces gives b in pieces of any size, some of them empty.
type pieces struct {
	b    []byte
	rand *rand.Rand
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.b[:min(len(p.b), p.rand.IntN(1<<p.rand.IntN(14)))])
	p.b = p.b[n:]
	return n, nil
}

func TestErrors(t *testing.T) {
	data := []byte("hello\n")
	good := member(plainHeader, deflate(t, data, 9), data)
	with := func(at int, c byte) []byte {
		b := bytes.Clone(good)
		b[(at+len(b))%len(b)] ^= c
		return b
	}
	for name, c := range map[string]struct {
		in   []byte
		want error
		out  string
	}{
		"empty":              {nil, io.ErrUnexpectedEOF, ""},
		"first magic byte":   {with(0, 1), ErrHeader, ""},
		"second magic byte":  {with(1, 1), ErrHeader, ""},
		"method":             {with(2, 1), ErrHeader, ""},
		"reserved flag":      {with(3, 0x20), ErrHeader, ""},
		"header crc":         {member("\x1f\x8b\x08\x02\x00\x00\x00\x00\x00\xff\x12\x34", deflate(t, data, 9), data), ErrHeader, ""},
		"reserved block":     {with(10, 6), ErrCorrupt, ""},
		"crc":                {with(-8, 1), ErrChecksum, "hello\n"},
		"size":               {with(-1, 1), ErrSize, "hello\n"},
		"one byte behind":    {append(bytes.Clone(good), 0x1f), ErrGarbage, "hello\n"},
		"text behind":        {append(bytes.Clone(good), "garbage"...), ErrGarbage, "hello\n"},
		"behind the padding": {append(append(bytes.Clone(good), make([]byte, 30_000)...), good...), ErrGarbage, "hello\n"},
		"bad second header":  {append(bytes.Clone(good), "\x1f\x8b\x07\x00\x00\x00\x00\x00\x00\xff"...), ErrHeader, "hello\n"},
		"half second header": {append(bytes.Clone(good), 0x1f, 0x8b), io.ErrUnexpectedEOF, "hello\n"},
	} {
		t.Run(name, func(t *testing.T) {
			for i, in := range readers(c.in) {
				r := NewReader(in)
				got, err := io.ReadAll(r)
				if !errors.Is(err, c.want) || string(got) != c.out || errors.Is(err, io.EOF) {
					t.Errorf("reader %d: got %q, %v; want %q, %v", i, got, err, c.out, c.want)
				}
				var e *Error
				if c.want != io.ErrUnexpectedEOF && (!errors.As(err, &e) || e.Offset < 0 || e.Offset > int64(len(c.in))) {
					t.Errorf("reader %d: %#v has no place in the stream", i, err)
				}
				if _, again := r.Read(make([]byte, 1)); again != err {
					t.Errorf("reader %d: after %v came %v", i, err, again)
				}
			}
		})
	}
}

// TestErrorText is what a user sees.
func TestErrorText(t *testing.T) {
	_, err := io.ReadAll(NewReader(strings.NewReader(plainHeader + "\x07")))
	want := "inflate at byte 11: corrupt data: block of the reserved type [RFC 1951 3.2.3]"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestTruncation(t *testing.T) {
	data := sample(800, 1)
	for _, level := range []int{0, 9, flate.HuffmanOnly} {
		b := member("\x1f\x8b\x08\x1e\x00\x00\x00\x00\x00\xff\x01\x00eN\x00C\x00\xa8\x79", deflate(t, data, level), data)
		binary.LittleEndian.PutUint16(b[17:], uint16(crc32.ChecksumIEEE(b[:17])))
		for n := range b {
			for _, in := range []io.Reader{bytes.NewReader(b[:n]), iotest.OneByteReader(bytes.NewReader(b[:n]))} {
				got, err := io.ReadAll(NewReader(in))
				if err != io.ErrUnexpectedEOF || !bytes.HasPrefix(data, got) {
					t.Fatalf("level %d, %d of %d bytes: got %d bytes, %v", level, n, len(b), len(got), err)
				}
			}
		}
	}
}

func TestMembers(t *testing.T) {
	var in, want []byte
	for i := range 120 {
		data := sample(i*i%3000, uint64(i))
		in = append(in, member(plainHeader, deflate(t, data, i%10), data)...)
		want = append(want, data...)
	}
	for _, padding := range []int{0, 1, 511, 1 << 17} {
		for i, src := range readers(append(bytes.Clone(in), make([]byte, padding)...)) {
			got, err := io.ReadAll(NewReader(src))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d zeros, reader %d: %d bytes instead of %d, %v", padding, i, len(got), len(want), err)
			}
		}
	}
}

// TestHistoryEndsAtMember shows that a member cannot see the one before it.
func TestHistoryEndsAtMember(t *testing.T) {
	data := sample(40_000, 3)
	var b bytes.Buffer
	w, err := flate.NewWriterDict(&b, 9, data)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(data)
	w.Close()
	in := append(member(plainHeader, deflate(t, data, 9), data), member(plainHeader, b.Bytes(), data)...)
	got, err := io.ReadAll(NewReader(bytes.NewReader(in)))
	if !errors.Is(err, ErrCorrupt) || !bytes.HasPrefix(append(data, data...), got) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

// TestWindow goes through windows and input buffers of many sizes, so that each edge is met.
func TestWindow(t *testing.T) {
	data := sample(300_000, 4)
	in := member(plainHeader, deflate(t, data, 6), data)
	for i := range 60 {
		r := newReader(onlyReader{bytes.NewReader(in)}, 600+i, 1+i, 600+i*i, history+1+i*i*i)
		got, err := io.ReadAll(onlyReader{r})
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d: %d bytes, %v", i, len(got), err)
		}
	}
}

type onlyReader struct{ io.Reader }

func TestWriteTo(t *testing.T) {
	data := sample(500_000, 5)
	in := member(plainHeader, deflate(t, data, 6), data)
	r := NewReader(bytes.NewReader(in))
	head := make([]byte, 1000)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	n, err := r.WriteTo(&b)
	if err != nil || n != int64(len(data)-1000) || !bytes.Equal(append(head, b.Bytes()...), data) {
		t.Errorf("%d bytes, %v", n, err)
	}
	in[len(in)-1]++
	if n, err := NewReader(bytes.NewReader(in)).WriteTo(io.Discard); n != int64(len(data)) || !errors.Is(err, ErrSize) {
		t.Errorf("%d bytes, %v", n, err)
	}
	full := errors.New("full")
	w := writerFunc(func(p []byte) (int, error) { return 1, full })
	if n, err := NewReader(bytes.NewReader(in)).WriteTo(w); n != 1 || err != full {
		t.Errorf("%d bytes, %v", n, err)
	}
	w = func(p []byte) (int, error) { return 1, nil }
	if n, err := NewReader(bytes.NewReader(in)).WriteTo(w); n != 1 || err != io.ErrShortWrite {
		t.Errorf("%d bytes, %v", n, err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestSourceErrors: what the source says comes through, after what can be decoded without it.
func TestSourceErrors(t *testing.T) {
	data := sample(3000, 6)
	in := member(plainHeader, deflate(t, data, 6), data)
	broken := errors.New("broken")
	for _, n := range []int{0, 5, 12, len(in) / 2, len(in) - 8, len(in)} {
		got, err := io.ReadAll(NewReader(io.MultiReader(bytes.NewReader(in[:n]), iotest.ErrReader(broken))))
		if err != broken || !bytes.HasPrefix(data, got) || n >= len(in)-8 && len(got) != len(data) {
			t.Errorf("%d bytes of input: %d bytes, %v", n, len(got), err)
		}
	}
	if _, err := NewReader(readerFunc(func([]byte) (int, error) { return 0, nil })).Read(make([]byte, 1)); err != io.ErrNoProgress {
		t.Error(err)
	}
	if _, err := NewReader(readerFunc(func(p []byte) (int, error) { return len(p) + 1, nil })).Read(make([]byte, 1)); err == nil {
		t.Error("a source may give more than was asked for")
	}
	if n, err := NewReader(bytes.NewReader(in)).Read(nil); n != 0 || err != nil {
		t.Error(n, err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestGivesBeforeItAsks: whoever sends piece by piece, each ended by a flush, and waits for an answer
// to each, must not wait for a reader that wants to see more first.
func TestGivesBeforeItAsks(t *testing.T) {
	data := sample(500, 7)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	sent, arrived := 0, 0
	r := NewReader(readerFunc(func(p []byte) (int, error) {
		if arrived < sent {
			t.Errorf("asks for more with %d of %d bytes given", arrived, sent)
		}
		if sent == 20*len(data) {
			z.Close()
			return copy(p, b.Next(1<<20)), io.EOF
		}
		z.Write(data)
		z.Flush()
		sent += len(data)
		return copy(p, b.Next(1<<20)), nil
	}))
	p := make([]byte, 300)
	for {
		n, err := r.Read(p)
		arrived += n
		if err == io.EOF && arrived == 20*len(data) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestMemory: once a Reader exists, no stream makes it allocate more than its tables.
func TestMemory(t *testing.T) {
	data := sample(1<<20, 8)
	in := member(plainHeader, deflate(t, data, 6), data)
	for range 20 {
		in = append(in, member("\x1f\x8b\x08\x18\x00\x00\x00\x00\x00\xff"+strings.Repeat("n", 5000)+"\x00\x00", deflate(t, data[:100], 6), data[:100])...)
	}
	src := bytes.NewReader(in)
	r := NewReader(src)
	before := goruntime.NumGoroutine()
	n := testing.AllocsPerRun(5, func() {
		src.Reset(in)
		r.Reset(src)
		if _, err := r.WriteTo(io.Discard); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations in a Reader that is used again", n)
	}
	if after := goruntime.NumGoroutine(); after != before {
		t.Errorf("%d goroutines became %d", before, after)
	}
}
