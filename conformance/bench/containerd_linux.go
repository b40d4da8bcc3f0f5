package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// containerdConfig leaves out what needs the network or writes outside root and state, and takes no part in a pull.
const containerdConfig = `version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime",
  "io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]
`

// containerds pull with the client ctr into a daemon of its own: content store, and snapshots of
// the layers with its default snapshotter, overlayfs. What the daemon spends meanwhile is counted.
// Where it finds igzip or unpigz, it has them inflate; that is a contender of its own, since few
// machines have the first.
func (o options) containerds(program, ctr, ref string) []tool {
	if why := absent(program, ctr); why != "" {
		return []tool{{name: program, absent: why}}
	}
	say := version(program)
	tools := []tool{o.containerd(program, ctr, ref, "CONTAINERD_DISABLE_IGZIP=1", "CONTAINERD_DISABLE_PIGZ=1")}
	tools[0].note = say + ", inflates by itself"
	for _, name := range []string{"igzip", "unpigz"} {
		if path, err := exec.LookPath(name); err == nil && (name == "unpigz" || program == "containerd2") {
			t := o.containerd(program, ctr, ref)
			t.name, t.note = program+"+"+name, say+", inflates with "+path
			return append(tools, t)
		}
	}
	return tools
}

func (o options) containerd(program, ctr, ref string, env ...string) tool {
	return tool{name: program, once: func(ctx context.Context) ([]sample, error) {
		return o.fresh(func(dir string) (_ []sample, err error) {
			d, err := startContainerd(ctx, program, dir, env)
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, d.stop()) }()
			before, err := d.cpu()
			if err != nil {
				return nil, err
			}
			s, err := timed(exec.CommandContext(ctx, ctr, "--address", d.socket, "image", "pull", "--plain-http", ref))
			if err != nil {
				return nil, err
			}
			after, err := d.cpu()
			s.cpu += after - before
			s.rss = max(s.rss, d.peak())
			return []sample{s}, err
		})
	}}
}

// containerd is a daemon at work.
type containerd struct {
	cmd    *exec.Cmd
	socket string
	said   bytes.Buffer
}

func startContainerd(ctx context.Context, program, dir string, env []string) (*containerd, error) {
	config := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(config, []byte(containerdConfig), 0o600); err != nil {
		return nil, err
	}
	d := &containerd{socket: filepath.Join(dir, "sock")}
	d.cmd = exec.CommandContext(ctx, program, "--config", config, "--log-level", "error",
		"--root", filepath.Join(dir, "root"), "--state", filepath.Join(dir, "state"), "--address", d.socket)
	d.cmd.Env = append(os.Environ(), env...)
	d.cmd.Stderr = &d.said
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also when this program is killed
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	for range 200 {
		if c, err := net.Dial("unix", d.socket); err == nil {
			c.Close()
			time.Sleep(200 * time.Millisecond) // it has things to do after it answers
			// Its peak from now on (proc_pid_clear_refs(5)).
			return d, os.WriteFile(d.proc("clear_refs"), []byte("5"), 0)
		}
		time.Sleep(20 * time.Millisecond)
	}
	err := d.stop()
	return nil, fmt.Errorf("%s does not answer: %w: %s", program, err, d.said.String())
}

func (d *containerd) proc(file string) string {
	return fmt.Sprintf("/proc/%d/%s", d.cmd.Process.Pid, file)
}

// cpu is what the daemon and the decompressors that it has waited for have spent (proc_pid_stat(5)).
func (d *containerd) cpu() (time.Duration, error) {
	raw, err := os.ReadFile(d.proc("stat"))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	fields := strings.Fields(rest) // the first is the third of the whole
	var ticks int64
	for i := 14; i <= 17; i++ {
		n, err := strconv.ParseInt(fields[i-3], 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 everywhere
	return time.Duration(ticks) * tick, nil
}

// peak is the largest resident size that the daemon had.
func (d *containerd) peak() int64 {
	raw, err := os.ReadFile(d.proc("status"))
	if err != nil {
		return 0
	}
	var kib int64
	if _, rest, ok := strings.Cut(string(raw), "VmHWM:"); ok {
		_, _ = fmt.Sscan(rest, &kib)
	}
	return kib << 10
}

func (d *containerd) stop() error {
	if err := d.cmd.Process.Signal(unix.SIGTERM); err != nil {
		return err
	}
	if err := d.cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, d.said.String())
	}
	return nil
}
