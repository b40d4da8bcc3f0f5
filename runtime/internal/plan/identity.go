//go:build linux

package plan

import (
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// identity gives the process its limits, its user and its place.
func (c *compiler) identity() error {
	p := c.Spec.Process
	if !p.Terminal {
		c.pointer = "/process"
		done := c.label("session")
		c.add("begin a session", "setsid", unix.SYS_SETSID).on(done, uint32(unix.EPERM)).why("signals for the creator's terminal are not for the container")
		c.land(done)
	}
	for _, fd := range c.OwnStdio {
		c.pointer = "/process/user"
		done := c.label("owned")
		c.add("give descriptor "+strconv.Itoa(fd)+" to the user", "fchown", unix.SYS_FCHOWN, num(fd), num(int(p.User.UID)), num(int(p.User.GID))).
			on(done, uint32(unix.EPERM), uint32(unix.EINVAL)).why("a program that opens /dev/stdout opens the pipe anew")
		c.land(done)
	}
	if c.NewKeyring {
		c.pointer = ""
		done := c.label("keyring")
		c.add("begin a session keyring", "keyctl", unix.SYS_KEYCTL, imm(unix.KEYCTL_JOIN_SESSION_KEYRING, "JOIN_SESSION_KEYRING"), null).
			on(done, uint32(unix.ENOSYS), uint32(unix.EPERM), uint32(unix.EDQUOT))
		c.land(done)
	}
	if err := c.scheduling(); err != nil {
		return err
	}
	if err := c.rlimits(); err != nil {
		return err
	}
	return c.user()
}

// rlimits is config.md, POSIX process, rlimits.
func (c *compiler) rlimits() error {
	for i, l := range c.Spec.Process.Rlimits {
		c.pointer = "/process/rlimits/" + strconv.Itoa(i)
		n, ok := rlimitNumber(l.Type)
		if !ok {
			return invalid(c.pointer+"/type", "%q is not a limit of Linux", l.Type)
		}
		if slices.ContainsFunc(c.Spec.Process.Rlimits[:i], func(o specs.POSIXRlimit) bool { return o.Type == l.Type }) {
			return &Error{Pointer: c.pointer + "/type", Clause: spec.RlimitOnce, Err: fmt.Errorf("%w: %s a second time", ErrInvalid, l.Type)}
		}
		if l.Soft > l.Hard {
			return invalid(c.pointer, "soft limit %d above hard limit %d", l.Soft, l.Hard)
		}
		c.add("set "+l.Type, "prlimit64", unix.SYS_PRLIMIT64, num(0), imm(uint64(n), l.Type), mem(words(l.Soft, l.Hard), fmt.Sprintf("{%d %d}", l.Soft, l.Hard)), null)
	}
	return nil
}

func rlimitNumber(name string) (int, bool) {
	names := [...]string{
		unix.RLIMIT_CPU: "RLIMIT_CPU", unix.RLIMIT_FSIZE: "RLIMIT_FSIZE", unix.RLIMIT_DATA: "RLIMIT_DATA", unix.RLIMIT_STACK: "RLIMIT_STACK",
		unix.RLIMIT_CORE: "RLIMIT_CORE", unix.RLIMIT_RSS: "RLIMIT_RSS", unix.RLIMIT_NPROC: "RLIMIT_NPROC", unix.RLIMIT_NOFILE: "RLIMIT_NOFILE",
		unix.RLIMIT_MEMLOCK: "RLIMIT_MEMLOCK", unix.RLIMIT_AS: "RLIMIT_AS", unix.RLIMIT_LOCKS: "RLIMIT_LOCKS", unix.RLIMIT_SIGPENDING: "RLIMIT_SIGPENDING",
		unix.RLIMIT_MSGQUEUE: "RLIMIT_MSGQUEUE", unix.RLIMIT_NICE: "RLIMIT_NICE", unix.RLIMIT_RTPRIO: "RLIMIT_RTPRIO", unix.RLIMIT_RTTIME: "RLIMIT_RTTIME",
	}
	i := slices.Index(names[:], name)
	return i, i >= 0 && name != ""
}

// user drops the bounding set, then becomes the user with what capabilities he shall have, plus
// CAP_SYS_ADMIN for as long as the seccomp filter needs it.
func (c *compiler) user() error {
	p := c.Spec.Process
	caps := c.capabilities()
	if err := c.checkIDs(); err != nil {
		return err
	}
	entered := c.enterEarly()
	c.pointer = "/process/capabilities/bounding"
	for n := 0; n <= c.Host.LastCap; n++ {
		if caps.bounding&(1<<n) == 0 {
			c.add("drop "+capName(n)+" from the bounding set", "prctl", unix.SYS_PRCTL, imm(unix.PR_CAPBSET_DROP, "PR_CAPBSET_DROP"), imm(uint64(n), capName(n)), num(0), num(0), num(0))
		}
	}
	c.pointer = "/process/user"
	c.add("keep capabilities over the change of user", "prctl", unix.SYS_PRCTL, imm(unix.PR_SET_KEEPCAPS, "PR_SET_KEEPCAPS"), num(1), num(0), num(0), num(0))
	if !c.Host.SetgroupsDenied {
		c.groups(p.User.AdditionalGids)
	} else if len(p.User.AdditionalGids) > 0 {
		return unsupported("/process/user/additionalGids", "groups cannot be set in a user namespace whose setgroups is denied")
	}
	c.pointer = "/process/user/gid"
	c.add("become group "+strconv.Itoa(int(p.User.GID)), "setresgid", unix.SYS_SETRESGID, num(int(p.User.GID)), num(int(p.User.GID)), num(int(p.User.GID)))
	c.pointer = "/process/user/uid"
	c.add("become user "+strconv.Itoa(int(p.User.UID)), "setresuid", unix.SYS_SETRESUID, num(int(p.User.UID)), num(int(p.User.UID)), num(int(p.User.UID)))
	if p.NoNewPrivileges {
		c.pointer = "/process/noNewPrivileges"
		c.add("allow no new privileges", "prctl", unix.SYS_PRCTL, imm(unix.PR_SET_NO_NEW_PRIVS, "PR_SET_NO_NEW_PRIVS"), num(1), num(0), num(0), num(0))
	}
	c.pointer = "/process/capabilities"
	interim := caps
	if c.Seccomp != nil && !p.NoNewPrivileges {
		interim.permitted |= 1 << unix.CAP_SYS_ADMIN
		interim.effective |= 1 << unix.CAP_SYS_ADMIN
	}
	c.capset("set the capabilities", interim)
	c.enterLate(entered)
	return nil
}

func (c *compiler) groups(gids []uint32) {
	c.pointer = "/process/user/additionalGids"
	list := make([]byte, 0, 4*len(gids)+4)
	for _, g := range gids {
		list = binary.LittleEndian.AppendUint32(list, g)
	}
	step := c.add("set the supplementary groups", "setgroups", unix.SYS_SETGROUPS, num(len(gids)), mem(append(list, 0, 0, 0, 0), fmt.Sprint(gids)))
	if len(gids) == 0 && c.haveNS&unix.CLONE_NEWUSER != 0 {
		done := c.label("groups") // setgroups is denied where the maps were written without privilege
		step.on(done, uint32(unix.EPERM))
		c.land(done)
	}
}

// checkIDs refuses the id that means "leave as it is" to setresuid(2): the process would stay root.
func (c *compiler) checkIDs() error {
	u := c.Spec.Process.User
	const none = ^uint32(0)
	for _, id := range []struct {
		name string
		id   uint32
	}{{"uid", u.UID}, {"gid", u.GID}} {
		if id.id == none {
			return invalid("/process/user/"+id.name, "%d is no id", id.id)
		}
	}
	if i := slices.Index(u.AdditionalGids, none); i >= 0 {
		return invalid("/process/user/additionalGids/"+strconv.Itoa(i), "%d is no id", none)
	}
	return nil
}

// enterEarly tries to enter process.cwd with the creator's rights, as other runtimes do: WORKDIR /root is common, with a user that may
// not enter it. It returns the slot that says whether that went well.
func (c *compiler) enterEarly() Slot {
	c.pointer = "/process/cwd"
	cwd := path.Clean(c.Spec.Process.Cwd)
	entered, later := c.newSlot("entered"), c.label("later")
	c.add("enter the working directory "+cwd, "chdir", unix.SYS_CHDIR, text(cwd)).on(later, uint32(unix.EACCES), uint32(unix.EPERM))
	c.set("remember that", entered, num(1))
	c.land(later)
	return entered
}

// enterLate enters process.cwd as the user if that did not go before, and makes sure that it lies in the root (CVE-2024-21626).
func (c *compiler) enterLate(entered Slot) {
	c.pointer = "/process/cwd"
	cwd := path.Clean(c.Spec.Process.Cwd)
	there := c.label("entered")
	c.jumpEqual("is it entered?", slot(entered), ^uint64(0), 1, there)
	c.add("enter the working directory "+cwd+" as the user", "chdir", unix.SYS_CHDIR, text(cwd)).why("a network file system may let the user in, and root not")
	c.land(there)
	buf := c.newBuffer("cwd", 4096)
	c.add("ask where that is", "getcwd", unix.SYS_GETCWD, addr(buf), num(4096))
	inside := c.label("inside")
	c.jumpEqual("is it inside the root?", slot(buf), 0xff, '/', inside)
	c.fail("enter the working directory "+cwd+": it lies outside the root file system", num(int(unix.EXDEV)))
	c.land(inside)
}

// lookup finds the program as the user would (execvp(3)), at creation, so that a missing one fails the creation.
func (c *compiler) lookup() error {
	c.pointer = "/process/args/0"
	args := c.Spec.Process.Args
	if len(args) == 0 || args[0] == "" {
		return &Error{Pointer: "/process/args", Clause: spec.ProcessArgs, Err: fmt.Errorf("%w: no program is named", ErrInvalid)}
	}
	c.program = c.newSlot("program")
	last := c.newSlot("errno")
	c.set("if nothing is found", last, imm(uint64(unix.ENOENT), "ENOENT"))
	found := c.label("found")
	candidates := []string{args[0]}
	if !strings.Contains(args[0], "/") {
		candidates = searchPath(c.Spec.Process.Env, args[0])
	}
	for _, f := range candidates {
		c.candidate(f, last, found, len(candidates) == 1)
	}
	c.fail("find the program "+strconv.Quote(args[0]), slot(last))
	c.land(found)
	return nil
}

// candidate tries one path: it must be executable, and no directory.
func (c *compiler) candidate(f string, last Slot, found string, only bool) {
	denied, next := c.label("denied"), c.label("next")
	st := c.newBuffer("statx", statxSize)
	c.add("is "+f+" executable?", "faccessat", unix.SYS_FACCESSAT, cwdFD(), text(f), imm(unix.X_OK, "X_OK")).
		on(denied, uint32(unix.EACCES)).on(next, uint32(unix.ENOENT), uint32(unix.ENOTDIR))
	c.add("is it a file?", "statx", unix.SYS_STATX, cwdFD(), text(f), num(0), imm(unix.STATX_TYPE, "TYPE"), addr(st)).on(next, AnyErrno)
	c.jumpEqual("or a directory?", slot(st+statxMode/8), unix.S_IFMT<<statxModeShift, unix.S_IFDIR<<statxModeShift, denied)
	c.set("take it", c.program, text(f)).then(found)
	why := unix.EACCES
	if only {
		c.jumpEqual("say that it is a directory", slot(st+statxMode/8), unix.S_IFMT<<statxModeShift, unix.S_IFDIR<<statxModeShift, next+".dir").at(denied)
		c.set("remember that it may not be executed", last, imm(uint64(why), why.Error())).then(next)
		c.set("remember that it is a directory", last, imm(uint64(unix.EISDIR), unix.EISDIR.Error())).at(next + ".dir")
	} else {
		c.set("remember that it may not be executed", last, imm(uint64(why), why.Error())).at(denied)
	}
	c.land(next)
}

// searchPath lists where PATH of the container's environment looks for name.
func searchPath(env []string, name string) []string {
	var out []string
	for i := len(env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(env[i], "PATH="); ok {
			for _, d := range strings.Split(v, ":") {
				if d == "" {
					d = "."
				}
				out = append(out, path.Join(d, name))
			}
			break
		}
	}
	return out
}
