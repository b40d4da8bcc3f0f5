package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/runtime/internal/cgroup"
	"github.com/oci-pipeline/oci/runtime/internal/launch"
	"github.com/oci-pipeline/oci/runtime/internal/plan"
	"github.com/oci-pipeline/oci/runtime/internal/seccomp"
)

// live is what the process that created a container holds of it.
type live struct {
	attached bool
	started  bool
	plan     *plan.Plan
	proc     *launch.Process
	manager  cgroup.Manager
	console  *os.File // the terminal's master

	sync, report int // this process's ends, -1 when closed
	given        []int
}

// creation is a container that is being made; its steps run in order and undo themselves on failure.
type creation struct {
	CreateOptions
	*Container
	live *live
	host plan.Host
	fds  plan.FDs

	filter      []byte // the compiled seccomp profile, nil for none
	filterFlags uint64

	// files are the descriptors of the container's process, in its numbering.
	files   []uintptr
	mounts  map[int]plan.GivenMount
	console [2]int // a socket pair for the terminal's master
	unlock  func()

	rulesDone, pidFileDone bool
}

// Create makes a container whose process waits for Start. On failure nothing of it remains.
func (r *Runtime) Create(ctx context.Context, o CreateOptions) (*Container, error) {
	if !ValidID(o.ID) {
		return nil, &Error{Op: "create", Subject: strconv.Quote(o.ID), Err: ErrInvalidID}
	}
	c := &creation{
		CreateOptions: o,
		Container:     &Container{rt: r, dir: filepath.Join(r.root, o.ID)},
		live:          &live{attached: o.Attached, sync: -1, report: -1},
		console:       [2]int{-1, -1},
	}
	err := c.check()
	if err == nil {
		err = c.directory()
	}
	if err != nil {
		return nil, c.wrap(err)
	}
	for _, step := range []func(context.Context) error{
		c.facts, c.cgroup, c.descriptors, c.outsideMounts, c.compile, c.launch, c.idMaps, c.limits, c.hooks, c.settle, c.record,
	} {
		if err = step(ctx); err != nil {
			break
		}
	}
	c.closeGiven()
	if err != nil {
		c.undo(ctx)
		return nil, c.wrap(err)
	}
	c.Container.live = c.live
	c.unlock()
	return c.Container, nil
}

func (c *creation) wrap(err error) error {
	e := &Error{Op: "create", Subject: c.CreateOptions.ID, Err: markProgram(err)}
	if errors.Is(err, ErrExist) {
		e.Clause = spec.CreateUniqueID
	}
	return e
}

// check refuses what makes no sense before anything is made.
func (c *creation) check() error {
	s := c.Spec
	switch {
	case s == nil || s.Process == nil:
		return fmt.Errorf("%w: it has no process", ErrConfig)
	case !filepath.IsAbs(c.CreateOptions.Bundle):
		return fmt.Errorf("%w: the bundle %q is not an absolute path", ErrConfig, c.CreateOptions.Bundle)
	case c.ConsoleSocket != "" && !s.Process.Terminal:
		return fmt.Errorf("%w: a console socket without a terminal", ErrConfig)
	case c.ConsoleSocket == "" && s.Process.Terminal && !c.Attached:
		return fmt.Errorf("%w: a terminal needs a console socket when nobody stays to hold it", ErrConfig)
	}
	return nil
}

// directory reserves the id.
func (c *creation) directory() error {
	if err := os.MkdirAll(c.rt.root, 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(c.dir, 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return ErrExist
		}
		return err
	}
	unlock, err := c.Container.lock(context.Background())
	if err != nil {
		return errors.Join(err, os.Remove(c.dir))
	}
	c.unlock = unlock
	return nil
}

// facts asks the host, compiles the filter, and fills in what will be recorded.
func (c *creation) facts(context.Context) error {
	c.host = hostFacts(c.Spec)
	if l := c.Spec.Linux; l != nil {
		if err := c.compileSeccomp(l.Seccomp); err != nil {
			return err
		}
	}
	c.state = record{
		OCIVersion: specs.Version, ID: c.CreateOptions.ID, Created: time.Now().UTC(), Bundle: c.CreateOptions.Bundle,
		UID: os.Geteuid(), Annotations: c.Spec.Annotations, Hooks: c.Spec.Hooks, SharedPid: !ownNamespace(c.Spec, specs.PIDNamespace),
	}
	c.state.Rootfs = plan.RootPath(c.Spec, c.CreateOptions.Bundle)
	return nil
}

// compileSeccomp compiles a profile, if there is one.
func (c *creation) compileSeccomp(s *specs.LinuxSeccomp) error {
	if s == nil {
		return nil
	}
	prog, err := seccomp.Compile(s, seccomp.Native())
	if err != nil {
		return err
	}
	if prog.NeedsListener {
		return fmt.Errorf("%w: seccomp notify is not supported", ErrConfig)
	}
	for _, n := range prog.Unknown {
		c.rt.log.Debug("seccomp names a call that is not known", "name", n)
	}
	if len(prog.Instructions) > 0 {
		c.filter, c.filterFlags = prog.Bytes(), uint64(prog.Flags)
	}
	return nil
}

func ownNamespace(s *specs.Spec, t specs.LinuxNamespaceType) bool {
	if s.Linux == nil {
		return false
	}
	for _, n := range s.Linux.Namespaces {
		if n.Type == t && n.Path == "" {
			return true
		}
	}
	return false
}

// descriptors makes the pipes, or the FIFOs for a container that another process will start.
func (c *creation) descriptors(context.Context) error {
	for i := range c.Stdio {
		f := c.Stdio[i]
		if f == nil {
			f = [3]*os.File{os.Stdin, os.Stdout, os.Stderr}[i]
		}
		c.files = append(c.files, f.Fd())
	}
	c.fds = plan.FDs{Preserve: c.PreserveFDs, Console: -1, Root: -1}
	for i := range c.PreserveFDs {
		// One that is closed, or was opened here (all of those are close-on-exec), is not the caller's to hand on.
		if flags, err := unix.FcntlInt(uintptr(3+i), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 {
			return fmt.Errorf("%w: descriptor %d is to be preserved, and is not open", ErrConfig, 3+i)
		}
		c.files = append(c.files, uintptr(3+i))
	}
	var sync [2]int
	if err := unix.Pipe2(sync[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	c.live.sync = sync[1]
	c.fds.Sync = c.give(sync[0])
	if c.Attached {
		var report [2]int
		if err := unix.Pipe2(report[:], unix.O_CLOEXEC); err != nil {
			return err
		}
		c.live.report = report[0]
		c.fds.Start, c.fds.Report = c.fds.Sync, c.give(report[1])
	} else if err := c.fifos(); err != nil {
		return err
	}
	if c.Spec.Process.Terminal {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		c.console[0] = pair[0]
		c.fds.Console = c.give(pair[1])
	}
	if c.Rootfs != nil {
		c.fds.Root = len(c.files)
		c.files = append(c.files, c.Rootfs.Fd())
	}
	return nil
}

// give passes fd to the container's process, and closes it here afterwards.
func (c *creation) give(fd int) int {
	c.live.given = append(c.live.given, fd)
	c.files = append(c.files, uintptr(fd))
	return len(c.files) - 1
}

func (c *creation) closeGiven() {
	for _, fd := range c.live.given {
		unix.Close(fd) // pipes and sockets
	}
	c.live.given = nil
}

// fifos makes the two FIFOs. The container's process has both open for reading and writing, so that it never sees their end.
func (c *creation) fifos() error {
	for _, n := range []string{reportFIFO, startFIFO} {
		if err := unix.Mkfifo(filepath.Join(c.dir, n), 0o600); err != nil {
			return &os.PathError{Op: "mkfifo", Path: filepath.Join(c.dir, n), Err: err}
		}
	}
	var err error
	if c.live.report, err = openReport(c.dir); err != nil {
		return err
	}
	report, err := unix.Open(filepath.Join(c.dir, reportFIFO), unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	c.fds.Report = c.give(report)
	start, err := unix.Open(filepath.Join(c.dir, startFIFO), unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	c.fds.Start = c.give(start)
	return nil
}

// openReport opens the read end of the report FIFO without waiting for a writer, for blocking reads.
func openReport(dir string) (int, error) {
	fd, err := unix.Open(filepath.Join(dir, reportFIFO), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// compile makes the plan.
func (c *creation) compile(context.Context) error {
	in := plan.Input{
		Spec: c.Spec, Bundle: c.CreateOptions.Bundle, Host: c.host, FDs: c.fds,
		Rootfs: c.Rootfs != nil, Mounts: c.mounts, NoPivot: c.NoPivot, NewKeyring: !c.NoNewKeyring,
		Seccomp: c.filter, SeccompFlags: c.filterFlags,
	}
	switch {
	case !c.OwnStdio || c.Spec.Process.Terminal:
	case ownNamespace(c.Spec, specs.UserNamespace):
		c.ownPipes()
	case c.Spec.Process.User.UID != uint32(os.Geteuid()):
		in.OwnStdio = c.pipes()
	}
	done, err := c.resolver(&in.Host)
	if err != nil {
		return err
	}
	defer done()
	if c.live.plan, err = plan.Compile(in); err != nil {
		return err
	}
	for _, w := range c.live.plan.Warnings {
		c.rt.log.Warn("left out of the container", "what", w)
	}
	return nil
}

// ownPipes gives the pipes to the container's user from here: in a user namespace the container's process has no right to
// what was made outside of it. A program that opens /dev/stdout opens the pipe anew. Where this process has no right either, or the id is not
// mapped, the pipe can still be written to as it is.
func (c *creation) ownPipes() {
	u := c.Spec.Process.User
	uid, okU := hostID(c.Spec.Linux.UIDMappings, u.UID)
	gid, okG := hostID(c.Spec.Linux.GIDMappings, u.GID)
	if !okU || !okG {
		return
	}
	for _, i := range c.pipes() {
		_ = unix.Fchown(int(c.files[i]), uid, gid)
	}
}

// hostID gives the id outside of a user namespace for one inside.
func hostID(maps []specs.LinuxIDMapping, id uint32) (int, bool) {
	for _, m := range maps {
		if id >= m.ContainerID && id-m.ContainerID < m.Size {
			return int(m.HostID + (id - m.ContainerID)), true
		}
	}
	return 0, false
}

// pipes are the standard descriptors that are pipes or sockets.
func (c *creation) pipes() []int {
	var out []int
	for i := range 3 {
		var st unix.Stat_t
		if err := unix.Fstat(int(c.files[i]), &st); err == nil && (st.Mode&unix.S_IFMT == unix.S_IFIFO || st.Mode&unix.S_IFMT == unix.S_IFSOCK) {
			out = append(out, i)
		}
	}
	return out
}

// launch starts the process.
func (c *creation) launch(context.Context) error {
	req := launch.Request{Plan: c.live.plan, Files: c.files, Report: c.live.report, CgroupFD: -1, Scratch: c.dir}
	if err := c.enter(req); err != nil {
		return err
	}
	// The ends that the process has now must not stay open here: their end of file means something.
	c.closeGiven()
	return nil
}

// signalSync lets the process go on from a point.
func (l *live) signalSync() error {
	_, err := unix.Write(l.sync, []byte{1})
	return err
}

// idMaps writes the maps of a new user namespace, and follows the process to its child if it makes one.
func (c *creation) idMaps(ctx context.Context) error {
	if c.live.plan.MapIDs {
		if err := c.live.proc.Await(ctx, plan.PointMapped); err != nil {
			return err
		}
		if err := writeIDMaps(c.live.proc.Pid, c.Spec.Linux); err != nil {
			return err
		}
		if err := c.live.signalSync(); err != nil {
			return err
		}
	}
	if c.live.plan.LateFork {
		return c.live.proc.AwaitChild(ctx)
	}
	return nil
}

// settle waits until everything is done but the start.
func (c *creation) settle(ctx context.Context) error {
	if err := c.live.proc.Await(ctx, plan.PointReady); err != nil {
		return c.died(err)
	}
	if !c.rulesDone {
		if err := c.deviceRules(); err != nil {
			return err
		}
	}
	if c.Spec.Process.Terminal {
		return c.takeConsole()
	}
	return nil
}

// died makes of ErrGone what ended the process.
func (c *creation) died(err error) error {
	if !errors.Is(err, launch.ErrGone) {
		return err
	}
	ws, werr := c.live.proc.Wait()
	if werr != nil {
		return err
	}
	c.live.proc.Pid = 0
	return fmt.Errorf("%w before it was ready: %s", err, describe(ws))
}

func describe(ws unix.WaitStatus) string {
	if ws.Signaled() {
		if ws.Signal() == unix.SIGKILL {
			return "killed (SIGKILL; a memory limit that is too small does that)"
		}
		return "signal " + unix.SignalName(ws.Signal())
	}
	return "exit status " + strconv.Itoa(ws.ExitStatus())
}

// record publishes the container and lets its process wait for the start alone.
func (c *creation) record(context.Context) error {
	pid := c.live.proc.Pid
	info, err := readProcess(pid)
	if err != nil {
		return err
	}
	c.state.Pid, c.state.PidStart = pid, info.start
	if !c.Attached {
		for i := c.live.plan.Late; i < len(c.live.plan.Steps); i++ {
			s := &c.live.plan.Steps[i]
			c.state.Steps = append(c.state.Steps, lateStep{Step: i, Name: s.Name, Call: s.Call, Pointer: s.Pointer})
		}
	}
	if err := c.writePidFile(); err != nil {
		return err
	}
	if err := writeRecord(c.dir, &c.state); err != nil {
		return err
	}
	if err := c.live.signalSync(); err != nil {
		return err
	}
	if !c.Attached {
		c.live.close()
	}
	return nil
}

// writePidFile writes the process id where the caller asked for it.
func (c *creation) writePidFile() error {
	if c.PidFile == "" {
		return nil
	}
	if err := writeFile(c.PidFile, []byte(strconv.Itoa(c.live.proc.Pid)), 0o644); err != nil {
		return err
	}
	c.pidFileDone = true
	return nil
}

// close closes this process's ends of pipes.
func (l *live) close() {
	for _, fd := range []*int{&l.sync, &l.report} {
		if *fd >= 0 {
			unix.Close(*fd) // pipes
			*fd = -1
		}
	}
}

// abandon ends the process after a failure, and closes what was opened for it.
func (c *creation) abandon() {
	if p := c.live.proc; p != nil {
		if p.Pid > 0 {
			p.Kill()
		}
		p.Close()
	}
	c.live.close()
	if c.console[0] >= 0 {
		unix.Close(c.console[0]) // a socket
	}
	if c.live.console != nil {
		c.live.console.Close() // a terminal
	}
	if c.pidFileDone {
		os.Remove(c.PidFile) // what was written before the failure
	}
}

// undo removes everything after a failure.
func (c *creation) undo(ctx context.Context) {
	c.abandon()
	if m := c.live.manager; m != nil {
		if err := m.Delete(ctx); err != nil {
			c.rt.log.Warn("the cgroup of a container that could not be created remains", "id", c.CreateOptions.ID, "error", err)
		}
	}
	if err := os.RemoveAll(c.dir); err != nil {
		c.rt.log.Warn("the state of a container that could not be created remains", "id", c.CreateOptions.ID, "error", err)
	}
	c.unlock()
}
