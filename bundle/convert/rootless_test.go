//go:build linux

package convert

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle"
)

// TestPeersRunRootless: a config for a user without root, run as such a user, with one id mapped.
func TestPeersRunRootless(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: it becomes another user")
	}
	const uid = 65534 // nobody, whom newuidmap(1) knows by name
	single := []specs.LinuxIDMapping{{ContainerID: 0, HostID: uid, Size: 1}}
	// The v2 mount of hybrid cgroups is hidden from crun 1.8, as in peers.
	hide := fmt.Sprintf(`[ ! -d /sys/fs/cgroup/unified ] || mount -t tmpfs none /sys/fs/cgroup/unified
		exec setpriv --reuid %d --regid %d --clear-groups env XDG_RUNTIME_DIR="$1" `, uid, uid)
	for _, tt := range []struct {
		name string
		o    Options
		want []string
	}{
		{"own network", Options{}, []string{"on /sys type sysfs (ro"}},
		{"host network and pids", Options{Network: "host", PID: "host", IPC: "host"}, []string{"on /sys type sysfs ("}},
	} {
		for name, script := range map[string]string{
			"runc": `runc --root "$1/state" run --bundle "$1/b" "$2"`,
			"crun": `crun --cgroup-manager disabled --root "$1/state" run --bundle "$1/b" "$2"`,
		} {
			t.Run(tt.name+" "+name, func(t *testing.T) {
				if _, err := exec.LookPath(name); err != nil {
					t.Skip("not installed: ", err)
				}
				dir, err := os.MkdirTemp("", "rootless")
				must(t, err)
				t.Cleanup(func() { os.RemoveAll(dir) })
				busyboxRoot(t, filepath.Join(dir, "b/rootfs"))
				o := tt.o
				o.Rootless, o.UIDMappings, o.GIDMappings, o.User = true, single, single, "0"
				s, err := Spec(shell(`busybox id -u; busybox cat /proc/self/uid_map; busybox mount | busybox grep "on /sys "; echo x > /dev/null && echo null`), nil, o)
				must(t, err)
				must(t, bundle.Write(filepath.Join(dir, "b"), s))
				must(t, exec.Command("chown", "-R", fmt.Sprintf("%d:%d", uid, uid), dir).Run())
				id := fmt.Sprintf("rootless-%d-%s", len(tt.name), name)
				cmd := exec.CommandContext(t.Context(), "unshare", "-m", "sh", "-c", hide+script, "sh", dir, id)
				cmd.WaitDelay = time.Second
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				wants(append(tt.want, "0\n", fmt.Sprint(uid), "null\n")...)(t, string(out))
				if strings.Contains(string(out), "denied") {
					t.Errorf("%s", out)
				}
			})
		}
	}
}
