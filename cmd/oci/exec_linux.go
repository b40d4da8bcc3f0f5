package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/convert"
	"github.com/oci-pipeline/oci/runtime"
)

// execFlags are the flags of `oci exec`.
type execFlags struct {
	env                                   []string
	user, dir, process, pidFile, socket   string
	preserveFDs                           int
	detach, interactive, tty, noPrivilege bool
}

func execCommand(a *app) *cobra.Command {
	var f execFlags
	cmd := &cobra.Command{
		Use:   "exec [flags] ID CMD...",
		Short: "Run one more program in a running container",
		Long: "Run a program in a container, in its namespaces and its cgroup, as its config says of the first process\n" +
			"but for the flags. The statuses are those of `oci run`.",
		Args: atLeast(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && f.process == "" {
				return usageErrorf(cmd, "no program to run")
			}
			return runStatus(a.exec(cmd.Context(), args[0], args[1:], f))
		},
	}
	fs := cmd.Flags()
	fs.SetInterspersed(false)
	fs.StringArrayVarP(&f.env, "env", "e", nil, "set an environment variable: `NAME=value`, or NAME to pass one on")
	fs.StringVarP(&f.user, "user", "u", "", "run as `user[:group]`, names of the container or numbers")
	fs.StringVarP(&f.dir, "workdir", "w", "", "working `dir` in the container")
	fs.StringVar(&f.process, "process", "", "read the process from `file`, as config.json has it, instead")
	fs.StringVar(&f.pidFile, "pid-file", "", "write the process ID to `file`")
	fs.StringVar(&f.socket, "console-socket", "", "send the terminal to the unix `socket`")
	fs.IntVar(&f.preserveFDs, "preserve-fds", 0, "hand on this `number` of descriptors from 3 on")
	fs.BoolVarP(&f.detach, "detach", "d", false, "do not wait for its end")
	fs.BoolVarP(&f.interactive, "interactive", "i", false, "pass standard input on")
	fs.BoolVarP(&f.tty, "tty", "t", false, "give it a terminal")
	fs.BoolVar(&f.noPrivilege, "no-new-privs", false, "programs that it executes gain no privileges")
	return cmd
}

func (a *app) exec(ctx context.Context, id string, args []string, f execFlags) (int, error) {
	id, err := a.fullID(id)
	if err != nil {
		return 0, err
	}
	c, err := a.loadRunning(id)
	if err != nil {
		return 0, err
	}
	b, err := bundle.Load(c.Bundle())
	if err != nil {
		return 0, err
	}
	o := runtime.ExecOptions{OwnStdio: true, ConsoleSocket: f.socket, PidFile: f.pidFile, PreserveFDs: f.preserveFDs, Detach: f.detach}
	if o.Process, err = f.newProcess(b, c.Pid(), args); err != nil {
		return 0, err
	}
	if b.Spec.Linux != nil {
		o.Seccomp = b.Spec.Linux.Seccomp
	}
	if !f.interactive && !o.Process.Terminal && f.process == "" {
		null, err := os.Open(os.DevNull)
		if err != nil {
			return 0, fmt.Errorf("exec: %w", err)
		}
		defer null.Close()
		o.Stdio[0] = null
	}
	p, err := c.Exec(ctx, o)
	if err != nil || f.detach {
		return 0, err
	}
	return execForeground(p, f.interactive)
}

// execForeground passes terminal and signals on and waits for the end of p.
func execForeground(p *runtime.Process, interactive bool) (int, error) {
	wait := func() {}
	if master := p.Console(); master != nil {
		defer master.Close()
		var err error
		if wait, err = attachConsole(master, os.Stdin, os.Stdout, interactive); err != nil {
			return 0, err
		}
	}
	stop := forwardSignals(func(s unix.Signal) { _ = p.Signal(s) })
	defer stop()
	status, err := p.Wait()
	if err == nil {
		wait()
	}
	return status.Code(), err
}

// newProcess is the container's first process as its config has it, changed by the flags; or the
// one of --process.
func (f execFlags) newProcess(b bundle.Bundle, pid int, args []string) (*specs.Process, error) {
	p := new(specs.Process)
	if f.process != "" {
		raw, err := readBounded(f.process, bundle.MaxConfigSize)
		if err != nil {
			return nil, fmt.Errorf("exec: %w", err)
		}
		if err := bundle.Decode(raw, p); err != nil {
			return nil, fmt.Errorf("exec: %s: %w", f.process, err)
		}
		return p, nil
	}
	if b.Spec.Process == nil {
		return nil, errors.New("exec: the container's config has no process to go by: --process gives one")
	}
	*p = *b.Spec.Process
	p.Args, p.Terminal, p.ConsoleSize = args, f.tty, nil
	p.NoNewPrivileges = p.NoNewPrivileges || f.noPrivilege
	if f.dir != "" {
		p.Cwd = f.dir
	}
	if f.user != "" {
		if err := setUser(p, pid, f.user); err != nil {
			return nil, err
		}
	}
	p.Env = mergeEnv(p.Env, f.env)
	if f.tty && !slices.ContainsFunc(p.Env, func(e string) bool { return strings.HasPrefix(e, "TERM=") }) {
		p.Env = append(p.Env, "TERM=xterm")
	}
	return p, nil
}

// setUser looks a user up in the container's own files and makes p run as it. One that is not root
// has no capabilities at hand, as for the first process.
func setUser(p *specs.Process, pid int, user string) error {
	root, err := convert.OpenRoot("/proc/" + strconv.Itoa(pid) + "/root")
	if err != nil {
		return fmt.Errorf("exec --user: %w", err)
	}
	defer root.Close()
	s, err := convert.Spec(ispec.Image{}, root, convert.Options{Args: p.Args, User: user})
	if err != nil {
		return err
	}
	p.User = s.Process.User
	for _, e := range s.Process.Env {
		if strings.HasPrefix(e, "HOME=") {
			p.Env = mergeEnv(p.Env, []string{e})
		}
	}
	if p.Capabilities != nil && p.User.UID != 0 {
		limited := *p.Capabilities
		limited.Effective, limited.Permitted, limited.Ambient = nil, nil, nil
		p.Capabilities = &limited
	}
	return nil
}

// mergeEnv replaces the variables of env that set has too, and adds the others. A name without a value
// stands for the caller's own variable; where there is none the container has none either.
func mergeEnv(env, set []string) []string {
	env = slices.Clone(env)
	for _, e := range set {
		name, _, given := strings.Cut(e, "=")
		if value, ok := os.LookupEnv(name); ok && !given {
			e, given = name+"="+value, true
		}
		env = slices.DeleteFunc(env, func(old string) bool { return strings.HasPrefix(old, name+"=") })
		if given {
			env = append(env, e)
		}
	}
	return env
}

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%s: not a regular file of at most %d bytes", path, limit)
	}
	return os.ReadFile(path)
}
