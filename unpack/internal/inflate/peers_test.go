package inflate

import (
	"bytes"
	stdgzip "compress/gzip"
	"fmt"
	"io"
	"os/exec"
	"testing"

	"github.com/klauspost/compress/gzip"
)

// zlibStrategies compresses its input with zlib in all ways it has, as one member each: level,
// memory level and strategy (Z_DEFAULT_STRATEGY, Z_FILTERED, Z_HUFFMAN_ONLY, Z_RLE, Z_FIXED), with
// flushes of every kind in between.
const zlibStrategies = `
import sys, zlib
data = sys.stdin.buffer.read()
for strategy in range(5):
    for level in (0, 1, 3, 6, 9):
        for mem in (1, 9):
            z = zlib.compressobj(level, zlib.DEFLATED, 31, mem, strategy)
            out, step = b"", len(data) // 5
            for i, flush in enumerate((zlib.Z_NO_FLUSH, zlib.Z_PARTIAL_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_BLOCK)):
                out += z.compress(data[i*step:(i+1)*step if i < 4 else len(data)]) + z.flush(flush)
            sys.stdout.buffer.write(out + z.flush())
`

// A peer is a compressor that this project did not write.
type peer struct {
	command []string
	times   int // how often what it writes holds what it reads
}

func peers() map[string]peer {
	all := map[string]peer{
		"zlib":          {[]string{"python3", "-c", zlibStrategies}, 50},
		"zopfli":        {[]string{"sh", "-c", `f=$(mktemp) && cat >"$f" && zopfli -c --i1 "$f"; rm -f "$f"`}, 1},
		"pigz":          {[]string{"pigz", "-c", "-p2", "-b128"}, 1},
		"pigz-11":       {[]string{"pigz", "-c", "-11", "-I1", "-b128"}, 1},
		"pigz-i":        {[]string{"pigz", "-c", "-i", "-b128"}, 1},
		"igzip-0":       {[]string{"igzip", "-c", "-0"}, 1},
		"libdeflate-12": {[]string{"libdeflate-gzip", "-c", "-12"}, 1},
	}
	for level := 1; level <= 9; level++ {
		l := fmt.Sprint("-", level)
		all["gzip"+l] = peer{[]string{"gzip", "-c", l}, 1}
		all["libdeflate"+l] = peer{[]string{"libdeflate-gzip", "-c", l}, 1}
		if level <= 3 {
			all["igzip"+l] = peer{[]string{"igzip", "-c", l}, 1}
		}
	}
	return all
}

func TestPeers(t *testing.T) {
	data := sample(200_000, 30)
	for name, p := range peers() {
		t.Run(name, func(t *testing.T) {
			program := p.command[0]
			if program == "sh" {
				program = name
			}
			if _, err := exec.LookPath(program); err != nil {
				t.Skip(program + " is not installed")
			}
			cmd := exec.Command(p.command[0], p.command[1:]...)
			cmd.Stdin = bytes.NewReader(data)
			in, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			expand(t, in, bytes.Repeat(data, p.times))
		})
	}
}

// TestGoPeers has the levels of the two compressors in Go.
func TestGoPeers(t *testing.T) {
	data := sample(200_000, 31)
	var in, want []byte
	for level := -3; level <= 9; level++ {
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, level)
		if err != nil {
			t.Fatal(err)
		}
		z.Write(data)
		z.Close()
		if level >= stdgzip.HuffmanOnly {
			s, err := stdgzip.NewWriterLevel(&b, level)
			if err != nil {
				t.Fatal(err)
			}
			s.Write(data)
			s.Close()
			want = append(want, data...)
		}
		in, want = append(in, b.Bytes()...), append(want, data...)
	}
	expand(t, in, want)
}

func expand(t *testing.T, in, want []byte) {
	t.Helper()
	all := kinds()
	for kind, r := range all {
		r.Reset(onlyReader{bytes.NewReader(in)})
		got, err := io.ReadAll(onlyReader{r})
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes instead of %d, %v", kind, len(got), len(want), err)
		}
	}
}
