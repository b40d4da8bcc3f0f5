package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// A user who is not root becomes root of a user namespace of their own before anything else
// happens: the program starts itself again there, with a mount namespace. A process with several
// threads cannot enter a user namespace (user_namespaces(7), unshare(2) EINVAL), and a Go program
// has several threads before main.
const (
	envUserNamespace = "_OCI_USERNS"     // in the namespace: "UID:GID" of the user outside
	envAwaitMaps     = "_OCI_AWAIT_MAPS" // before the maps are written: the fd that is closed after
)

// subordinateFiles grant ranges of ids to users (subuid(5), subgid(5)).
const subuidFile, subgidFile = "/etc/subuid", "/etc/subgid"

// maxSubordinateLine bounds a line of those files: name:first:count.
const maxSubordinateLine = 4096

// rootless tells whether this process is root only in a user namespace of its own making.
func rootless() bool { return os.Getenv(envUserNamespace) != "" }

// resumeUserNamespace ends the second of three starts: new ids, whose maps the first process is
// writing. It waits for that and starts the program again, which as root of the namespace then has
// its capabilities (an exec with an unmapped id has lost them).
func resumeUserNamespace() error {
	fd := os.Getenv(envAwaitMaps)
	if fd == "" {
		return nil
	}
	n, err := strconv.Atoi(fd)
	if err != nil || n < 3 {
		return fmt.Errorf("enter user namespace: %s=%q is no fd", envAwaitMaps, fd)
	}
	f := os.NewFile(uintptr(n), "maps")
	_, err = io.Copy(io.Discard, f)
	f.Close()
	os.Unsetenv(envAwaitMaps)
	if err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("enter user namespace: the id maps were not written")
	}
	if err := syscall.Exec("/proc/self/exe", os.Args, os.Environ()); err != nil {
		return fmt.Errorf("enter user namespace: exec: %w", err)
	}
	return nil
}

// becomeRoot runs this command line again as root of a new user namespace and reports its exit
// status; done is false where the caller is root already and shall go on by itself.
func (a *app) becomeRoot() (status int, done bool, err error) {
	if os.Geteuid() == 0 || rootless() {
		return 0, false, nil
	}
	env, err := a.namespaceEnv()
	if err != nil {
		return 0, true, err
	}
	cmd := exec.Command("/proc/self/exe", a.args...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = env
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS}
	uids, gids := subordinate(subuidFile, os.Geteuid()), subordinate(subgidFile, os.Geteuid())
	if len(uids) > 0 && len(gids) > 0 && haveMappers() {
		err = startMapped(cmd, uids, gids)
	} else {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
		err = cmd.Start()
	}
	if err != nil {
		return 0, true, fmt.Errorf("enter user namespace: %w (not root: this needs user namespaces; see user.max_user_namespaces and kernel.apparmor_restrict_unprivileged_userns)", err)
	}
	return waitForwarding(cmd), true, nil
}

// namespaceEnv is the environment in the namespace: where the user's own store and state are has to
// be settled outside, as inside the user is root.
func (a *app) namespaceEnv() ([]string, error) {
	root, err := a.storeRoot()
	if err != nil {
		return nil, err
	}
	state, err := a.stateRoot()
	if err != nil {
		return nil, err
	}
	return append(os.Environ(), envRoot+"="+root, envState+"="+state,
		fmt.Sprintf("%s=%d:%d", envUserNamespace, os.Geteuid(), os.Getegid())), nil
}

// startMapped starts cmd without maps, has the set-uid helpers of shadow write them, and lets
// cmd go on.
func startMapped(cmd *exec.Cmd, uids, gids []idRange) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close()
	cmd.ExtraFiles = []*os.File{r}
	cmd.Env = append(cmd.Env, envAwaitMaps+"=3")
	err = cmd.Start()
	r.Close()
	if err != nil {
		return err
	}
	err = errors.Join(
		writeMap("newuidmap", cmd.Process.Pid, os.Geteuid(), uids),
		writeMap("newgidmap", cmd.Process.Pid, os.Getegid(), gids))
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
	}
	return err
}

// writeMap runs a helper: id 0 is the caller, ids from 1 are the granted ranges in their order.
func writeMap(helper string, pid, self int, ranges []idRange) error {
	args := []string{strconv.Itoa(pid), "0", strconv.Itoa(self), "1"}
	next := 1
	for _, r := range ranges {
		args = append(args, strconv.Itoa(next), strconv.Itoa(r.first), strconv.Itoa(r.count))
		next += r.count
	}
	out, err := exec.Command(helper, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", helper, err, strings.TrimSpace(string(out)))
	}
	return nil
}

func haveMappers() bool {
	_, errU := exec.LookPath("newuidmap")
	_, errG := exec.LookPath("newgidmap")
	return errU == nil && errG == nil
}

// idRange is one line of /etc/subuid: count ids from first on.
type idRange struct{ first, count int }

// subordinate reads the ranges that file grants to the user uid, by name or by number. A file
// that cannot be read grants nothing.
func subordinate(file string, uid int) []idRange {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	name := ""
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		name = u.Username
	}
	return parseSubordinate(f, name, uid)
}

func parseSubordinate(r io.Reader, name string, uid int) []idRange {
	var ranges []idRange
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, maxSubordinateLine), maxSubordinateLine)
	for s.Scan() {
		f := strings.Split(s.Text(), ":")
		if len(f) != 3 || (f[0] != strconv.Itoa(uid) && (name == "" || f[0] != name)) {
			continue
		}
		first, err1 := strconv.ParseUint(f[1], 10, 32)
		count, err2 := strconv.ParseUint(f[2], 10, 32)
		if err1 == nil && err2 == nil && first > 0 && count > 0 {
			ranges = append(ranges, idRange{int(first), int(count)})
		}
	}
	return ranges
}

// waitForwarding waits for cmd, passing on the signals that only this process was sent. What the
// terminal sends goes to both, as they are one process group.
func waitForwarding(cmd *exec.Cmd) int {
	forwarded := []os.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		signal.Ignore(unix.SIGINT, unix.SIGQUIT)
	} else {
		forwarded = append(forwarded, unix.SIGINT, unix.SIGQUIT)
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwarded...)
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				_ = cmd.Process.Signal(s)
			case <-ended:
				return
			}
		}
	}()
	_ = cmd.Wait()
	close(ended)
	if s := cmd.ProcessState.Sys().(syscall.WaitStatus); s.Signaled() {
		return statusSignal + int(s.Signal())
	}
	return cmd.ProcessState.ExitCode()
}

// idMap is a line of /proc/self/uid_map: count ids from inside on are those from outside on.
type idMap struct{ inside, outside, count uint32 }

// currentMap reads the map of this process's user namespace from /proc/self/uid_map or gid_map.
func currentMap(file string) []idMap {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var maps []idMap
	for line := range strings.Lines(string(b)) {
		var m idMap
		if _, err := fmt.Sscan(line, &m.inside, &m.outside, &m.count); err == nil {
			maps = append(maps, m)
		}
	}
	return maps
}

// inUserNamespace tells whether this process is in a user namespace that is not the host's.
func inUserNamespace() bool {
	maps := currentMap("/proc/self/uid_map")
	return len(maps) != 1 || maps[0] != idMap{0, 0, 1<<32 - 1}
}

// singleID tells whether the user namespace has one user only.
func singleID() bool {
	maps := currentMap("/proc/self/uid_map")
	return len(maps) == 1 && maps[0].count == 1
}
