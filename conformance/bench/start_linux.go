package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// entered marks the process that is already in the private mount namespace.
const entered = "OCI_BENCH_ENTERED"

// hideHybrid re-executes the program in a mount namespace in which a cgroup v2 mount below a
// version 1 tree is unmounted.
func hideHybrid() error {
	const unified = "/sys/fs/cgroup/unified"
	var st unix.Statfs_t
	if os.Getenv(entered) != "" || unix.Statfs(unified, &st) != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
		return nil
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return nil // crun then says what it thinks of the machine
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	script := "umount " + unified + ` && exec "$0" "$@"`
	argv := append([]string{"unshare", "-m", "sh", "-c", script, self}, os.Args[1:]...)
	return syscall.Exec(unshare, argv, append(os.Environ(), entered+"=1"))
}

// startBundle is the bundle that every runtime starts: a busybox rootfs and a Docker-like config.
type startBundle struct {
	o      options
	dir    string
	origin string
	ids    atomic.Int64
}

// newStartBundle has `oci bundle` write it; without the binary, umoci does, with a poorer config.
func newStartBundle(ctx context.Context, o options) (*startBundle, error) {
	image := filepath.Join(o.images, "busybox")
	if _, err := os.Stat(filepath.Join(image, "index.json")); err != nil {
		return nil, fmt.Errorf("no image: %w (make images)", err)
	}
	b := &startBundle{o: o, dir: filepath.Join(o.scratch, "bundle"), origin: "the bundle is written by oci bundle"}
	if _, err := os.Stat(b.dir); err == nil {
		return b, nil
	}
	if o.oci != "" {
		cmd := exec.CommandContext(ctx, o.oci, "bundle", "oci:"+image+":latest", b.dir, "/bin/true")
		cmd.Env = o.env(filepath.Join(o.scratch, "store"))
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("oci bundle: %w: %s", err, out)
		}
		return b, nil
	}
	b.origin = "the bundle is written by umoci unpack: no seccomp"
	one := filepath.Join(o.scratch, "busybox") + ":latest" // umoci refuses an index
	for _, args := range [][]string{
		{"skopeo", "--insecure-policy", "copy", "oci:" + image + ":latest", "oci:" + one}, {"umoci", "unpack", "--image", one, b.dir},
	} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", args[0], err, out)
		}
	}
	return b, b.edit("config.json", func(c map[string]any) {
		p := c["process"].(map[string]any)
		p["args"], p["terminal"] = []string{"/bin/true"}, false
		delete(p, "rlimits") // raising them needs CAP_SYS_RESOURCE
	})
}

// edit writes config.json of the bundle, changed, as name.
func (b *startBundle) edit(name string, change func(map[string]any)) error {
	raw, err := os.ReadFile(filepath.Join(b.dir, "config.json"))
	if err != nil {
		return err
	}
	var c map[string]any
	if err := json.Unmarshal(raw, &c); err != nil {
		return err
	}
	change(c)
	if raw, err = json.Marshal(c); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.dir, name), raw, 0o600)
}

func (b *startBundle) id() string { return fmt.Sprintf("bench-%d-%d", os.Getpid(), b.ids.Add(1)) }

// runtime is how one runtime is called.
type runtime struct {
	path, note string
	config     []string // the flags that name another config.json
	env        []string
}

func (b *startBundle) runtimes(ctx context.Context) map[string]*runtime {
	all := map[string]*runtime{}
	if b.o.oci != "" {
		all["oci"] = &runtime{path: b.o.oci, note: b.origin, env: b.o.env(filepath.Join(b.o.scratch, "store"))}
	}
	for _, name := range []string{"crun", "runc"} {
		if path, err := exec.LookPath(name); err == nil {
			all[name] = &runtime{path: path}
		}
	}
	if crun := all["crun"]; crun != nil && !b.starts(ctx, crun) {
		lower := func(c map[string]any) { c["ociVersion"] = "1.0.2" }
		if err := b.edit("config-1.0.json", lower); err == nil {
			crun.config = []string{"--config", filepath.Join(b.dir, "config-1.0.json")}
			crun.note = "gets the same config with ociVersion 1.0.2: it refuses a later one"
		}
	}
	return all
}

func (b *startBundle) starts(ctx context.Context, r *runtime) bool {
	return b.command(ctx, r, "run", b.id()).Run() == nil
}

func (b *startBundle) command(ctx context.Context, r *runtime, verb, id string) *exec.Cmd {
	args := []string{verb}
	if verb == "run" || verb == "create" {
		args = append(append(args, r.config...), "--bundle", b.dir)
	}
	if verb == "delete" {
		args = append(args, "--force")
	}
	cmd := exec.CommandContext(ctx, r.path, append(args, id)...)
	cmd.Env = r.env
	return cmd
}

// tools builds the contenders of a work out of the runtimes there are.
func (b *startBundle) tools(ctx context.Context, once func(context.Context, *runtime) ([]sample, error)) []tool {
	all := b.runtimes(ctx)
	var tools []tool
	for _, name := range []string{"oci", "crun", "runc"} {
		r := all[name]
		if r == nil {
			tools = append(tools, tool{name: name, absent: "not installed"})
			continue
		}
		tools = append(tools, tool{name: name, note: r.note, once: func(ctx context.Context) ([]sample, error) { return once(ctx, r) }})
	}
	return tools
}

func startWorks(ctx context.Context, o options) ([]work, func(), error) {
	b, err := newStartBundle(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	w := work{
		title: "run /bin/true", steps: []string{"run"}, rounds: 40, quick: 10, memory: true,
		targets: map[string]string{"run/crun": "<= 0.8", "run/runc": "<= 0.3", "run/bare C": "<= 2"},
		tools: b.tools(ctx, func(ctx context.Context, r *runtime) ([]sample, error) {
			return timedAll(b.command(ctx, r, "run", b.id()))
		}),
	}
	w.tools = append(w.tools, bareTool(ctx, b))
	return []work{w, b.syscalls(ctx)}, nil, nil
}

func createWorks(ctx context.Context, o options) ([]work, func(), error) {
	b, err := newStartBundle(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	return []work{{
		title: "lifecycle", steps: []string{"create", "start", "delete"}, rounds: 20, quick: 5,
		targets: map[string]string{"create+start+delete/crun": "<= 0.8", "create+start+delete/runc": "<= 0.3"},
		tools: b.tools(ctx, func(ctx context.Context, r *runtime) ([]sample, error) {
			id := b.id()
			return timedAll(b.command(ctx, r, "create", id), b.command(ctx, r, "start", id), b.command(ctx, r, "delete", id))
		}),
	}}, nil, nil
}

// totalCalls finds the number of calls in the last line of strace's summary.
const totalCalls = `(?m)^100\.00\s+\S+\s+(?:\d+\s+)?(\d+)\s+(?:\d+\s+)?total$`

// syscalls counts what a run asks of the kernel, in all processes until they end.
func (b *startBundle) syscalls(ctx context.Context) work {
	w := work{title: "run /bin/true: system calls", count: map[string]string{}, targets: map[string]string{"oci": "< 300"}}
	all := b.runtimes(ctx)
	for _, name := range []string{"oci", "crun", "runc"} {
		w.tools = append(w.tools, tool{name: name})
		switch r := all[name]; {
		case r == nil:
			w.count[name] = "absent"
		default:
			w.count[name] = b.countCalls(ctx, r)
		}
	}
	return w
}

func (b *startBundle) countCalls(ctx context.Context, r *runtime) string {
	strace, err := exec.LookPath("strace")
	if err != nil {
		return "strace is absent"
	}
	run := b.command(ctx, r, "run", b.id())
	summary := filepath.Join(b.o.scratch, "strace")
	cmd := exec.CommandContext(ctx, strace, append([]string{"-f", "-c", "-o", summary, run.Path}, run.Args[1:]...)...)
	cmd.Env = r.env
	if out, err := cmd.CombinedOutput(); err != nil {
		return "failed: " + strings.TrimSpace(string(out))
	}
	raw, err := os.ReadFile(summary)
	if err != nil {
		return err.Error()
	}
	m := regexp.MustCompile(totalCalls).FindStringSubmatch(string(raw))
	if m == nil {
		return "no total in the summary"
	}
	return m[1]
}
