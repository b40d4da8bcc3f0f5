package interop_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestInterop_podman: podman pulls from `oci serve`, and what it pushes there is what it has.
func TestInterop_podman(t *testing.T) {
	p := podmanArgs(t)
	host := server(t, "oci")
	for _, s := range samples(t) {
		if !s.platform {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			env := home(t)
			id := config(t, s.dir, s.top).Digest
			ref := host + "/ours/" + s.name + ":" + tag
			run(t, env, "oci", "copy", "-q", "--all-platforms", "oci:"+s.dir+":"+tag, ref)
			if got := run(t, env, append(p, "pull", "-q", "--tls-verify=false", ref)...); got != id.Encoded() {
				t.Errorf("podman pulled %s, want %s", got, id.Encoded())
			}
			for _, format := range []string{"oci", "v2s2"} {
				if s.name == "zstd" && format == "v2s2" {
					continue // Docker's manifests have no such layers
				}
				back := host + "/podman/" + s.name + ":" + format
				digestFile := filepath.Join(t.TempDir(), "digest")
				run(t, env, append(p, "push", "-q", "--tls-verify=false", "--format", format, "--digestfile", digestFile, id.Encoded(), back)...)
				want, err := os.ReadFile(digestFile)
				check(t, err)
				if got := run(t, env, "oci", "digest", back); !strings.HasPrefix(got, string(want)) {
					t.Errorf("%s: the digest is %s, want %s", format, got, want)
				}
				dir := filepath.Join(t.TempDir(), "back")
				run(t, env, "oci", "copy", "-q", back, "oci:"+dir+":"+tag)
				check(t, prove(dir, only(t, dir)))
			}
		})
	}
}

// containerd starts one with directories of its own, and gives the address of its socket.
func containerd(t *testing.T) string {
	t.Helper()
	program(t, "containerd")
	program(t, "ctr")
	if os.Geteuid() != 0 {
		t.Skip("containerd needs root")
	}
	dir, err := os.MkdirTemp("", "oci-ctrd") // a socket's path is short
	check(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket, conf := filepath.Join(dir, "s"), filepath.Join(dir, "config.toml")
	check(t, os.WriteFile(conf, fmt.Appendf(nil, "version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n[ttrpc]\naddress = %q\n",
		filepath.Join(dir, "root"), filepath.Join(dir, "state"), socket, socket+".ttrpc"), 0o600))
	// in a mount namespace of its own: it mounts to unpack
	said := start(t, home(t), "unshare", "-m", "--", program(t, "containerd"), "-c", conf, "-l", "warn")
	for range 1000 {
		if _, err := try(t, home(t), "ctr", "-a", socket, "version"); err == nil {
			return socket
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("containerd does not answer: %s", said.String())
	return ""
}

// TestInterop_containerd: containerd pulls from `oci serve` and pushes what it has under another name.
func TestInterop_containerd(t *testing.T) {
	socket := containerd(t)
	host := server(t, "oci")
	ctr := []string{"ctr", "-a", socket}
	for _, s := range samples(t) {
		if !s.platform {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			env := home(t)
			ref, back := host+"/ours/"+s.name+":"+tag, host+"/containerd/"+s.name+":"+tag
			run(t, env, "oci", "copy", "-q", "--all-platforms", "oci:"+s.dir+":"+tag, ref)
			run(t, env, append(ctr, "images", "pull", "--plain-http", "--snapshotter", "native", "--all-platforms", ref)...)
			if out := run(t, env, append(ctr, "images", "ls", "name=="+ref)...); !strings.Contains(out, s.top.Digest.String()) {
				t.Errorf("containerd pulled %s", out)
			}
			run(t, env, append(ctr, "images", "push", "--plain-http", back, ref)...)
			dir := filepath.Join(t.TempDir(), "back")
			run(t, env, "oci", "copy", "-q", "--all-platforms", back, "oci:"+dir+":"+tag)
			check(t, holds(dir, ispec.Descriptor{MediaType: s.top.MediaType, Digest: s.top.Digest, Size: s.top.Size}))
		})
	}
}
