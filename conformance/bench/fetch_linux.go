package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// fetchWorks compares registry -> store over the loopback interface, with nothing there before, for
// images of several shapes; and a pull of what is there already.
func fetchWorks(ctx context.Context, o options) ([]work, func(), error) {
	addr, stop, err := startRegistry(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	var works []work
	for _, shape := range o.fetchShapes() {
		layout := filepath.Join(o.images, shape.name)
		if shape.layers > 0 {
			layout = filepath.Join(o.scratch, shape.name)
			if err := writeLayout(layout, shape.layers, shape.size); err != nil {
				stop()
				return nil, nil, err
			}
		}
		if _, err := os.Stat(filepath.Join(layout, ispec.ImageIndexFile)); err != nil {
			continue // an image that is not on this machine
		}
		ref := addr + "/" + shape.name + ":latest"
		push := exec.CommandContext(ctx, "skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", "oci:"+layout+":latest", "docker://"+ref)
		if out, err := push.CombinedOutput(); err != nil {
			stop()
			return nil, nil, fmt.Errorf("skopeo copy: %w: %s", err, out)
		}
		works = append(works, o.coldFetch(shape, layout, addr, ref))
		if shape.name == "python" {
			works = append(works, o.warmFetch(addr, ref))
			if o.oci != "" {
				works = append(works, o.warmRequests(ctx, addr))
			}
		}
	}
	return works, stop, nil
}

// fetchShape is an image: one of this machine's, or layers written for the measurement, whose content
// no compression makes smaller.
type fetchShape struct {
	title, name string
	layers      int // 0: an image that is there
	size        int64
	rounds      int
}

func (o options) fetchShapes() []fetchShape {
	// The layouts, what the registry keeps and what a round writes are up to six copies of it.
	big := int64(1 << 30)
	var st unix.Statfs_t
	if unix.Statfs(o.scratch, &st) == nil {
		big = min(big, int64(st.Bavail)*st.Bsize/8)
	}
	if o.quick {
		big /= 4
	}
	return []fetchShape{
		{title: "busybox", name: "busybox", rounds: 25},
		{title: "python", name: "python", rounds: 7},
		{title: "60 layers of 1 MiB", name: "layers", layers: 60, size: 1 << 20, rounds: 7},
		{title: fmt.Sprintf("one layer of %d MiB", big>>20), name: "single", layers: 1, size: big, rounds: 3},
		{title: fmt.Sprintf("8 layers of %d MiB", big>>23), name: "eight", layers: 8, size: big / 8, rounds: 3},
	}
}

// fetcher is one of the programs that bring an image from a registry into a directory.
type fetcher struct {
	name    string
	program string
	args    func(addr, ref, dir string) []string
}

func fetchers() []fetcher {
	return []fetcher{
		{"skopeo", "skopeo", func(_, ref, dir string) []string {
			return []string{"--insecure-policy", "copy", "-q", "--src-tls-verify=false", "docker://" + ref, "oci:" + dir + ":latest"}
		}},
		{"crane", "crane", func(_, ref, dir string) []string { return []string{"pull", "--insecure", "--format=oci", ref, dir} }},
		{"regctl", "regctl", func(addr, ref, dir string) []string {
			return []string{"image", "copy", "--host", "reg=" + addr + ",tls=disabled", ref, "ocidir://" + dir + ":latest"}
		}},
		{"oras", "oras", func(_, ref, dir string) []string {
			return []string{"cp", "--no-tty", "--from-plain-http", "--to-oci-layout", ref, dir + ":latest"}
		}},
	}
}

// version is what the program says of itself, on one line; skopeo's is in every table.
func (f fetcher) version() string {
	out, err := exec.Command(f.program, "version").Output()
	if err != nil {
		return ""
	}
	return regexp.MustCompile(`v?\d+\.\d+\.\d+`).FindString(string(out))
}

func (f fetcher) command(ctx context.Context, addr, ref, dir string) *exec.Cmd {
	return exec.CommandContext(ctx, f.program, f.args(addr, ref, dir)...)
}

// coldFetch is a pull into an empty directory. What sha256sum and a plain write of the same bytes
// cost together is the yardstick of the processor time; the other one is the least that a program does
// who reads them from a file, hashes them as this one does and writes them.
func (o options) coldFetch(shape fetchShape, layout, addr, ref string) work {
	w := work{
		title: shape.title + ", registry -> store", steps: []string{"fetch"}, rounds: shape.rounds, quick: 2, memory: true,
		targets: map[string]string{"fetch/oci": "<= 64 MiB", "fetch/sha256sum+cat": "CPU <= 1.2", "fetch/hash and write": "CPU <= 1.2"},
		tools: []tool{{name: "oci", absent: absent(o.oci), once: func(ctx context.Context) ([]sample, error) {
			return o.fresh(func(dir string) ([]sample, error) {
				cmd := exec.CommandContext(ctx, o.oci, "pull", "-q", ref)
				cmd.Env = o.env(dir)
				return timedAll(cmd)
			})
		}}},
	}
	for _, f := range fetchers() {
		w.targets["fetch/"+f.name] = "<= 0.8"
		w.tools = append(w.tools, tool{name: f.name, absent: absent(f.program), note: f.version(), once: func(ctx context.Context) ([]sample, error) {
			return o.fresh(func(dir string) ([]sample, error) {
				return timedAll(f.command(ctx, addr, ref, filepath.Join(dir, "layout")))
			})
		}})
	}
	if shape.layers == 0 { // for a large one this takes longer than all else, and tells no more
		w.tools = append(w.tools, tool{name: "sha256sum+cat", once: func(ctx context.Context) ([]sample, error) {
			return o.fresh(func(dir string) ([]sample, error) {
				const script = `sha256sum "$0"/blobs/sha256/* && cat "$0"/blobs/sha256/* > "$1"/out`
				return timedAll(exec.CommandContext(ctx, "sh", "-c", script, layout, dir))
			})
		}})
	}
	w.tools = append(w.tools, tool{name: "hash and write", once: func(ctx context.Context) ([]sample, error) {
		return o.fresh(func(dir string) ([]sample, error) {
			return timedAll(exec.CommandContext(ctx, "/proc/self/exe", bareFetch, layout, dir))
		})
	}})
	return w
}

// bareFetch as the only word makes this program the yardstick: hashWrite.
const bareFetch = "hash-and-write"

// hashWrite copies the blobs of a layout with one pass over the bytes, hashed by the standard library.
func hashWrite(layout, dir string) error {
	from := filepath.Join(layout, ispec.ImageBlobsDir, "sha256")
	list, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	buf := make([]byte, 1<<20)
	for _, e := range list {
		if err := hashWriteFile(filepath.Join(from, e.Name()), filepath.Join(dir, e.Name()), buf); err != nil {
			return err
		}
	}
	return nil
}

func hashWriteFile(from, to string, buf []byte) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	sum := sha256.New()
	for {
		n, err := in.Read(buf)
		sum.Write(buf[:n])
		if _, err := out.Write(buf[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != filepath.Base(from) {
		return fmt.Errorf("%s is %s", from, got)
	}
	return nil
}

// warmFetch is a pull of what an earlier one has brought.
func (o options) warmFetch(addr, ref string) work {
	w := work{title: "python, there already", steps: []string{"fetch"}, rounds: 20, quick: 5, targets: map[string]string{}, memory: true}
	again := func(name, program string, cmd func(ctx context.Context, dir string) *exec.Cmd) {
		dir := filepath.Join(o.scratch, "warm-"+name)
		var first sync.Once
		w.tools = append(w.tools, tool{name: name, absent: absent(program), once: func(ctx context.Context) ([]sample, error) {
			var err error
			first.Do(func() { _, err = timed(cmd(ctx, dir)) })
			if err != nil {
				return nil, err
			}
			return timedAll(cmd(ctx, dir))
		}})
	}
	again("oci", o.oci, func(ctx context.Context, dir string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, o.oci, "pull", "-q", ref)
		cmd.Env = o.env(dir)
		return cmd
	})
	for _, f := range fetchers() {
		w.targets["fetch/"+f.name] = "<= 0.8"
		again(f.name, f.program, func(ctx context.Context, dir string) *exec.Cmd { return f.command(ctx, addr, ref, dir) })
	}
	return w
}

// warmRequests counts what a pull of what is there asks the registry.
func (o options) warmRequests(ctx context.Context, addr string) work {
	var mu sync.Mutex
	var asked []string
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: addr})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.Method)
		mu.Unlock()
		proxy.ServeHTTP(w, r)
	}))
	defer server.Close()
	w := work{title: "python, there already: requests", targets: map[string]string{"oci": "1 HEAD"}, tools: []tool{{name: "oci"}}}
	for range 2 {
		asked = nil
		cmd := exec.CommandContext(ctx, o.oci, "pull", "-q", strings.TrimPrefix(server.URL, "http://")+"/python:latest")
		cmd.Env = o.env(filepath.Join(o.scratch, "requests"))
		if _, err := timed(cmd); err != nil {
			asked = []string{err.Error()}
		}
	}
	w.count = map[string]string{"oci": fmt.Sprintf("%d %s", len(asked), strings.Join(asked, " "))}
	return w
}
