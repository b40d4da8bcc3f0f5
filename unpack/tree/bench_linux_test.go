package tree_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/snapshot"
	"github.com/oci-pipeline/oci/unpack/tartest"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// manyFiles is an image of 60,000 files in two layers.
func manyFiles() ([]image.Layer, tartest.Blobs) {
	blobs := tartest.Blobs{}
	var layers []image.Layer
	for l := range 2 {
		var entries []tartest.Entry
		for d := range 3000 {
			dir := fmt.Sprintf("usr/share/package-%d/part-%d", d%500, d)
			entries = append(entries, tartest.Dir(dir))
			for f := range 10 {
				entries = append(entries, tartest.File(fmt.Sprintf("%s/file-%d-%d.py", dir, l, f), "print('hello')\n"))
			}
		}
		layers = append(layers, blobs.GzipTar(tartest.Archive(entries...)))
	}
	return layers, blobs
}

// BenchmarkOfLayers makes trees from blobs and from logs, and reports what one holds.
func BenchmarkOfLayers(b *testing.B) {
	b.Run("60000", func(b *testing.B) {
		layers, blobs := manyFiles()
		benchmarkTree(b, layers, blobs)
	})
	b.Run("python", func(b *testing.B) {
		l, _, img := tartest.RealImage(b, "python")
		benchmarkTree(b, img.Layers(), l)
	})
}

func benchmarkTree(b *testing.B, layers []image.Layer, blobs unpack.Blobs) {
	store := filepath.Join(b.TempDir(), "layers")
	s, err := snapshot.Open(store, snapshot.Options{})
	if err == nil {
		_, err = s.Ensure(b.Context(), layers, blobs)
	}
	if err != nil {
		b.Fatal(err)
	}
	logs := func(layer image.Layer) (io.ReadCloser, error) { return os.Open(snapshot.LogPath(store, layer.DiffID)) }
	for name, o := range map[string]tree.Options{"logs": {Logs: logs}, "blobs": {}, "content": {Content: true}} {
		b.Run(name, func(b *testing.B) {
			var t *tree.Tree
			var err error
			start := cpuTime()
			for b.Loop() {
				if t, err = tree.OfLayers(b.Context(), layers, blobs, o); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpuTime()-start)/float64(b.N)/1e6, "cpu-ms/op")
			with, n := heap(), t.Len()
			goruntime.KeepAlive(t)
			t = nil
			b.ReportMetric(float64(with-heap())/float64(n), "held-B/path")
			b.ReportMetric(float64(n), "paths")
		})
	}
}

// cpuTime is what this process has used, in nanoseconds: other processes do not disturb it much.
func cpuTime() int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// heap is what is reachable, in bytes.
func heap() int64 {
	var m goruntime.MemStats
	goruntime.GC()
	goruntime.GC()
	goruntime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
