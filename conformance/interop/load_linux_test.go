package interop_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// serveMemory is what `oci serve` may take at its peak, with 200 clients, in KiB.
const serveMemory = 64 << 10

// TestServe_200_clients: 100 clients pull one large blob, 50 push blobs of their own, and 50 open
// connections and say little or nothing. Everything is right, and the memory is bounded.
func TestServe_200_clients(t *testing.T) {
	addr, dir := freeAddress(t), filepath.Join(t.TempDir(), "load")
	cmd := exec.Command(oci, "serve", "--writable", "--addr", addr, dir)
	cmd.Env, cmd.SysProcAttr = home(t), &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	check(t, cmd.Start())
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}()
	big := make([]byte, 16<<20)
	for i := range big {
		big[i] = byte(rand.Uint32())
	}
	base := "http://" + addr + "/v2/load/blobs/"
	var d digest.Digest
	for range 500 {
		var err error
		if d, err = postBlob(base, big); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if d == "" {
		t.Fatal("serve does not answer")
	}
	var mute []net.Conn
	for i := range 50 {
		c, err := net.Dial("tcp", addr)
		check(t, err)
		defer c.Close()
		mute = append(mute, c)
		_, _ = io.WriteString(c, []string{"", "GET /v2/", "PUT /v2/load/manifests/v HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n{"}[i%3])
	}
	var wg sync.WaitGroup
	var bad atomic.Int64
	for i := range 150 {
		wg.Go(func() {
			var err error
			if i < 100 {
				err = getBlob(base, d, len(big))
			} else {
				_, err = postBlob(base, append(fmt.Appendf(nil, "blob %d", i), big[:1<<20]...))
			}
			if err != nil && bad.Add(1) < 5 {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	check(t, err)
	peak, err := strconv.Atoi(string(regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)[1]))
	check(t, err)
	if peak > serveMemory {
		t.Errorf("serve took %d KiB at its peak, at most %d are allowed", peak, serveMemory)
	}
	t.Logf("peak %d KiB, %d mute connections", peak, len(mute))
}

func postBlob(base string, body []byte) (digest.Digest, error) {
	d := digest.FromBytes(body)
	resp, err := http.Post(base+"uploads/?digest="+d.String(), "application/octet-stream", bytes.NewReader(body)) //nolint:noctx // loopback
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("post: %s", resp.Status)
	}
	return d, nil
}

func getBlob(base string, d digest.Digest, size int) error {
	resp, err := http.Get(base + d.String()) //nolint:noctx // loopback
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	v := d.Verifier()
	n, err := io.Copy(v, resp.Body)
	if err == nil && (n != int64(size) || !v.Verified()) {
		err = fmt.Errorf("got %d bytes that are not %s", n, d)
	}
	return err
}

// TestServe_concurrent_tools: several tools push and pull one image at the same time, through names of
// their own, and all get what was there.
func TestServe_concurrent_tools(t *testing.T) {
	host := server(t, "oci")
	var s sample
	for _, one := range samples(t) {
		if one.name == "index" {
			s = one
		}
	}
	for _, c := range clients() {
		for i := range 3 {
			t.Run(fmt.Sprintf("%s-%d", c.name, i), func(t *testing.T) {
				t.Parallel()
				program(t, c.name)
				env := home(t)
				ref := fmt.Sprintf("%s/at-once/%s-%d:%s", host, c.name, i, tag)
				run(t, env, c.push(host, ref, s.dir)...)
				dir := filepath.Join(t.TempDir(), "got")
				run(t, env, c.pull(host, ref, dir)...)
				check(t, holds(dir, ispec.Descriptor{MediaType: s.top.MediaType, Digest: s.top.Digest, Size: s.top.Size}))
			})
		}
	}
}
