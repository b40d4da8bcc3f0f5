package main

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// gate is a TCP proxy that counts what clients send, and lets no more than limit bytes pass.
type gate struct {
	addr        string
	between     bool // it stops before a chunk, and not in it
	sent, limit atomic.Int64
	cuts        atomic.Int64 // how often all connections were cut
}

func newGate(t *testing.T, to string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	g := &gate{addr: l.Addr().String()}
	g.limit.Store(1 << 40)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go g.pass(c, to)
		}
	}()
	return g
}

func (g *gate) pass(c net.Conn, to string) {
	defer c.Close()
	s, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer s.Close()
	go func() {
		_, _ = io.Copy(c, s)
		c.Close()
	}()
	buf, cuts := make([]byte, 64<<10), g.cuts.Load()
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		for g.sent.Load()+int64(n) > g.limit.Load() && (!g.between || strings.HasPrefix(string(buf[:n]), "PATCH ")) { // a link that is stuck
			time.Sleep(5 * time.Millisecond)
			if g.cuts.Load() != cuts {
				return
			}
		}
		g.sent.Add(int64(n))
		if _, err := s.Write(buf[:n]); err != nil {
			return
		}
	}
}

// dockerRegistry starts Debian's docker-registry, and gives its address.
func dockerRegistry(t *testing.T) string {
	t.Helper()
	needs(t, "docker-registry")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr, dir := l.Addr().String(), t.TempDir()
	l.Close()
	conf := filepath.Join(dir, "config.yml")
	text := "version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: " + dir + "}}\nhttp: {addr: " + addr + "}\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("docker-registry", "serve", conf)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for range 300 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return addr
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("docker-registry did not answer")
	return ""
}

// TestPush_DC28_later_process kills a push in the middle of a layer. The next one does not send again what
// the registry has in full.
func TestPush_DC28_later_process(t *testing.T) {
	images := testImages(t)
	for name, start := range map[string]func(t *testing.T) string{
		"docker-registry 2.8": dockerRegistry,
		"oci serve": func(t *testing.T) string {
			url, _ := startServe(t, "--writable", filepath.Join(t.TempDir(), "served"))
			return strings.TrimPrefix(url, "http://")
		},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			g := newGate(t, start(t))
			// docker-registry 2.8 does not tell how much it has: it can go on after whole chunks.
			g.between = name != "oci serve"
			mustRun(t, home, "copy", "-q", "oci:"+images+"/debian", "store:example.org/debian:1")
			const killed = 20 << 20
			g.limit.Store(killed)
			push := []string{"push", "-q", "-j", "1", "--chunk-size", "4M", "example.org/debian:1", g.addr + "/a/debian:1"}
			cmd := exec.Command(binary(t), push...)
			cmd.Env = append(os.Environ(), "HOME="+home, "OCI_ROOT="+filepath.Join(home, "store"))
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			for range 2000 {
				if g.sent.Load() > killed-200<<10 {
					break
				}
				time.Sleep(5 * time.Millisecond)
			}
			time.Sleep(time.Second / 4) // the rest of a chunk, and its answer
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			g.cuts.Add(1)
			time.Sleep(50 * time.Millisecond) // until nothing of it is under way
			first := g.sent.Swap(0)
			g.limit.Store(1 << 40)
			if saved, _ := filepath.Glob(filepath.Join(home, "store/ingest/upload-*")); len(saved) != 1 || first < killed/2 {
				t.Fatalf("%d bytes were sent, and %q is remembered", first, saved)
			}
			mustRun(t, home, push...)
			second := g.sent.Load()
			mustRun(t, home, "--root", "fresh", "pull", "-q", g.addr+"/a/debian:1")
			info, err := os.ReadDir(filepath.Join(home, "fresh/blobs/sha256"))
			if err != nil {
				t.Fatal(err)
			}
			var whole int64
			for _, e := range info {
				if i, err := e.Info(); err == nil {
					whole += i.Size()
				}
			}
			t.Logf("of %d bytes %d were sent before the kill, %d after it", whole, first, second)
			if second > whole-first+8<<20 {
				t.Errorf("too much was sent again")
			}
			if out := mustRun(t, home, "--root", "fresh", "check"); !strings.Contains(out, "clean") {
				t.Error(out)
			}
			if saved, _ := filepath.Glob(filepath.Join(home, "store/ingest/upload-*")); len(saved) != 0 {
				t.Errorf("remembered still: %q", saved)
			}
		})
	}
}

// TestPush_DC30_known_sources: blobs that the registry is known to have elsewhere are mounted, wherever the
// store has that from: a pull, or a push.
func TestPush_DC30_known_sources(t *testing.T) {
	images, home := testImages(t), t.TempDir()
	g := newGate(t, dockerRegistry(t))
	mustRun(t, home, "copy", "-q", "--all-platforms", "oci:"+images+"/busybox:latest", g.addr+"/one/busybox:1")
	mustRun(t, home, "pull", "-q", "--all-platforms", g.addr+"/one/busybox:1")
	for _, to := range []string{"/two/busybox:1", "/three/deep/busybox:1"} {
		before := g.sent.Load()
		mustRun(t, home, "push", "-q", "--tag", "latest", "--tag", "1.36", g.addr+"/one/busybox:1", g.addr+to)
		if n := g.sent.Load() - before; n > 100<<10 {
			t.Errorf("%s: %d bytes were sent", to, n)
		}
		if out := mustRun(t, home, "tags", g.addr+strings.TrimSuffix(to, ":1")); out != "1\n1.36\nlatest\n" {
			t.Errorf("tags %q", out)
		}
	}
	// What another store pulled it has not pulled from here: its blobs are sent.
	mustRun(t, home, "--root", "other", "copy", "-q", "--all-platforms", "oci:"+images+"/busybox:latest", g.addr+"/four/busybox:1")
	a := mustRun(t, home, "manifest", "get", g.addr+"/four/busybox:1")
	if b := mustRun(t, home, "manifest", "get", g.addr+"/three/deep/busybox:1"); a != b {
		t.Error("they differ")
	}
}
