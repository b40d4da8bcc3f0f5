package inflate

import (
	"bufio"
	"bytes"
	"compress/flate"
	stdgzip "compress/gzip"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sys/unix"
)

// BenchmarkRatio measures the processor time of this thread, so that other load disturbs little, and
// takes turns with what it compares with. Each metric is a median: MB/s of output, and the time as a
// fraction of what klauspost/compress and the standard library take. Layers come from
// OCI_TEST_IMAGES; "all layers" is their sum.
func BenchmarkRatio(b *testing.B) {
	layers := layerBlobs(b)
	inputs := map[string][][]byte{"all layers": {}}
	for name, blob := range layers {
		inputs["layer "+name] = [][]byte{blob}
		inputs["all layers"] = append(inputs["all layers"], blob)
	}
	noise := make([]byte, 8<<20)
	rand.NewChaCha8([32]byte{}).Read(noise)
	for name, c := range map[string]struct {
		data  []byte
		level int
	}{
		"mixed": {sample(8<<20, 50), 6}, "mixed, 300 bytes": {sample(300, 50), 6}, "mixed, 10 KB": {sample(10_000, 50), 6},
		"zeros": {make([]byte, 32<<20), 6}, "noise": {noise, 6}, "literals": {sample(8<<20, 51), flate.HuffmanOnly},
	} {
		inputs[name] = [][]byte{member(plainHeader, deflate(b, c.data, c.level), c.data)}
	}
	for _, name := range sortedKeys(inputs) {
		if len(inputs[name]) > 0 {
			b.Run(name, func(b *testing.B) { ratio(b, inputs[name]) })
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// ratio runs all decoders over blobs in turn.
func ratio(b *testing.B, blobs [][]byte) {
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	plain := func(src io.Reader) (io.Reader, error) {
		r := NewReader(src)
		r.fast = (*core).fastGo
		return r, nil
	}
	ways := []func(io.Reader) (io.Reader, error){
		func(src io.Reader) (io.Reader, error) { return NewReader(src), nil },
		plain,
		func(src io.Reader) (io.Reader, error) { return gzip.NewReader(bufio.NewReaderSize(src, 64<<10)) },
		func(src io.Reader) (io.Reader, error) { return stdgzip.NewReader(bufio.NewReaderSize(src, 64<<10)) },
	}
	buf := make([]byte, 256<<10)
	times := make([][]time.Duration, len(ways))
	var size int64
	for b.Loop() {
		for i, way := range ways {
			start := threadTime(b)
			size = 0
			for _, blob := range blobs {
				r, err := way(onlyReader{bytes.NewReader(blob)})
				for err == nil {
					var n int
					n, err = r.Read(buf)
					size += int64(n)
				}
				if err != io.EOF {
					b.Fatal(err)
				}
			}
			times[i] = append(times[i], threadTime(b)-start)
		}
	}
	var median [4]float64
	for i, t := range times {
		slices.Sort(t)
		median[i] = float64(t[len(t)/2])
	}
	b.ReportMetric(0, "ns/op") // the sum of all means nothing
	b.ReportMetric(float64(size)*1e3/median[0], "MB/s")
	b.ReportMetric(median[0]/median[2], "/klauspost")
	b.ReportMetric(median[1]/median[2], "purego/klauspost")
	b.ReportMetric(median[0]/median[3], "/std")
}

// threadTime is how long this thread has computed.
func threadTime(b *testing.B) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}

// layerBlobs gives the gzip blobs of OCI_TEST_IMAGES by the start of their digests.
func layerBlobs(b *testing.B) map[string][]byte {
	files, err := filepath.Glob(filepath.Join(os.Getenv("OCI_TEST_IMAGES"), "*", "blobs", "sha256", "*"))
	if err != nil {
		b.Fatal(err)
	}
	all := map[string][]byte{}
	for _, f := range files {
		blob, err := os.ReadFile(f)
		if err != nil {
			b.Fatal(err)
		}
		if len(blob) > 50_000 && bytes.HasPrefix(blob, []byte("\x1f\x8b")) {
			all[filepath.Base(f)[:12]] = blob
		}
	}
	return all
}
