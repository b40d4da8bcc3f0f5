//go:build linux

package plan

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// namespaceFlag is the CLONE_NEW* flag of a namespace, 0 for an unknown type.
func namespaceFlag(t specs.LinuxNamespaceType) uint64 {
	switch t {
	case specs.UserNamespace:
		return unix.CLONE_NEWUSER
	case specs.PIDNamespace:
		return unix.CLONE_NEWPID
	case specs.NetworkNamespace:
		return unix.CLONE_NEWNET
	case specs.IPCNamespace:
		return unix.CLONE_NEWIPC
	case specs.UTSNamespace:
		return unix.CLONE_NEWUTS
	case specs.CgroupNamespace:
		return unix.CLONE_NEWCGROUP
	case specs.TimeNamespace:
		return unix.CLONE_NEWTIME
	case specs.MountNamespace:
		return unix.CLONE_NEWNS
	}
	return 0
}

// namespaces joins and makes namespaces, and gets the process to where it is the container's first.
func (c *compiler) namespaces() error {
	joins, err := c.readNamespaces()
	if err != nil {
		return err
	}
	joinsUser := c.haveNS&unix.CLONE_NEWUSER != 0 && !c.private(unix.CLONE_NEWUSER)
	if joinsUser && c.private(unix.CLONE_NEWNS) {
		if err := c.beforeUserNamespace(); err != nil {
			return err
		}
	}
	c.joinNamespaces(joins)
	late := c.newNS & (unix.CLONE_NEWUSER | unix.CLONE_NEWTIME)
	joinsPid := c.haveNS&unix.CLONE_NEWPID != 0 && !c.private(unix.CLONE_NEWPID)
	if late == 0 && !joinsPid && !joinsUser {
		c.plan.Cloneflags = uintptr(c.newNS &^ unix.CLONE_NEWCGROUP)
		return nil
	}
	if c.private(unix.CLONE_NEWUSER) {
		if err := c.beforeUserNamespace(); err != nil {
			return err
		}
		c.pointer = "/linux/namespaces"
		c.plan.MapIDs = true
		c.add("make the user namespace", "unshare", unix.SYS_UNSHARE, imm(unix.CLONE_NEWUSER, "CLONE_NEWUSER")).
			why("it owns the namespaces made after it")
		c.pointer = "/linux/uidMappings"
		c.point(PointMapped, "wait for the id maps")
	}
	if c.private(unix.CLONE_NEWUSER) || joinsUser {
		c.becomeRoot()
	}
	c.pointer = "/linux/namespaces"
	if rest := c.newNS &^ (unix.CLONE_NEWUSER | unix.CLONE_NEWCGROUP); rest != 0 {
		c.add("make the other namespaces", "unshare", unix.SYS_UNSHARE, imm(rest, cloneNames(rest)))
	}
	if c.private(unix.CLONE_NEWTIME) {
		c.timeOffsets()
	}
	c.lateFork()
	return nil
}

// readNamespaces fills newNS and haveNS and returns the namespaces to join, the user namespace first.
func (c *compiler) readNamespaces() ([]int, error) {
	var joins []int
	for i, ns := range c.linux.Namespaces {
		at := "/linux/namespaces/" + strconv.Itoa(i)
		flag := namespaceFlag(ns.Type)
		if flag == 0 {
			return nil, invalid(at+"/type", "%q is not a namespace type", ns.Type)
		}
		if c.haveNS&flag != 0 {
			return nil, &Error{Pointer: at, Clause: spec.NamespaceOnce, Err: fmt.Errorf("%w: a second %s namespace", ErrInvalid, ns.Type)}
		}
		c.haveNS |= flag
		if ns.Path == "" {
			c.newNS |= flag
			continue
		}
		if !path.IsAbs(ns.Path) {
			return nil, &Error{Pointer: at + "/path", Clause: spec.NamespacePathAbsolute, Err: fmt.Errorf("%w: %q is not absolute", ErrInvalid, ns.Path)}
		}
		if flag == unix.CLONE_NEWUSER {
			joins = append([]int{i}, joins...)
		} else {
			joins = append(joins, i)
		}
	}
	if c.private(unix.CLONE_NEWUSER) && len(c.linux.UIDMappings) == 0 {
		return nil, invalid("/linux/uidMappings", "a new user namespace needs mappings")
	}
	if !c.private(unix.CLONE_NEWTIME) && len(c.linux.TimeOffsets) > 0 {
		return nil, invalid("/linux/timeOffsets", "offsets need a new time namespace")
	}
	return joins, nil
}

// joinNamespaces opens all first: a path may no longer lead there once a mount namespace is joined.
func (c *compiler) joinNamespaces(joins []int) {
	fds := make([]Slot, len(joins))
	for k, i := range joins {
		ns := c.linux.Namespaces[i]
		c.pointer = "/linux/namespaces/" + strconv.Itoa(i) + "/path"
		fds[k] = c.newSlot("ns." + string(ns.Type))
		c.add("open the "+string(ns.Type)+" namespace "+ns.Path, "openat", unix.SYS_OPENAT, cwdFD(), text(ns.Path),
			imm(unix.O_RDONLY|unix.O_CLOEXEC, "O_RDONLY|O_CLOEXEC"), num(0)).into(fds[k])
	}
	for k, i := range joins {
		ns := c.linux.Namespaces[i]
		c.pointer = "/linux/namespaces/" + strconv.Itoa(i) + "/path"
		flag := namespaceFlag(ns.Type)
		c.add("join the "+string(ns.Type)+" namespace "+ns.Path, "setns", unix.SYS_SETNS, slot(fds[k]), imm(flag, cloneNames(flag))).
			why("the type is given: a namespace of another kind must not be joined by mistake")
	}
}

// becomeRoot takes id 0 of the user namespace, or where that has none its first id: an unmapped one can do nothing in it. The capabilities
// stay, as setresuid(2) takes them only from who was its user 0.
func (c *compiler) becomeRoot() {
	c.pointer = "/linux/uidMappings"
	gid, uid := firstID(c.linux.GIDMappings), firstID(c.linux.UIDMappings)
	c.add(fmt.Sprintf("become group %d of the user namespace", gid), "setresgid", unix.SYS_SETRESGID, num(gid), num(gid), num(gid))
	c.add(fmt.Sprintf("become user %d of the user namespace", uid), "setresuid", unix.SYS_SETRESUID, num(uid), num(uid), num(uid))
	c.add("stay inspectable by the creator", "prctl", unix.SYS_PRCTL, imm(unix.PR_SET_DUMPABLE, "PR_SET_DUMPABLE"), num(1), num(0), num(0), num(0))
}

// firstID is 0, or the first id of maps that have no 0.
func firstID(maps []specs.LinuxIDMapping) int {
	for _, m := range maps {
		if m.ContainerID == 0 {
			return 0
		}
	}
	if len(maps) == 0 {
		return 0
	}
	return int(maps[0].ContainerID)
}

// timeOffsets is config-linux.md, Offset for Time Namespace.
func (c *compiler) timeOffsets() {
	c.pointer = "/linux/timeOffsets"
	var b strings.Builder
	for _, clock := range []string{"monotonic", "boottime"} {
		if o, ok := c.linux.TimeOffsets[clock]; ok {
			fmt.Fprintf(&b, "%s %d %d\n", clock, o.Secs, o.Nanosecs)
		}
	}
	if b.Len() > 0 {
		c.writeFile("set the clocks of the time namespace", cwdFD(), "/proc/self/timens_offsets", b.String(), 0)
	}
}

// lateFork goes on in a child, which is in the namespaces that only children enter (pid, time). It
// has the creator as its parent, and the process that made it ends.
func (c *compiler) lateFork() {
	c.plan.LateFork = true
	pid, child := c.newSlot("pid"), c.label("child")
	c.pointer = "/linux/namespaces"
	c.add("go on in a child", "clone", unix.SYS_CLONE, imm(unix.CLONE_PARENT|uint64(unix.SIGCHLD), "CLONE_PARENT|SIGCHLD"), num(0), num(0), num(0), num(0)).
		into(pid).why("a process cannot change its own pid or time namespace")
	c.jumpEqual("in the child?", slot(pid), ^uint64(0), 0, child)
	// The record is two cells: the kind, and the process id that clone returned.
	head := c.newSlot("record")
	tail := c.newSlot("record.pid")
	c.set("begin the record", head, imm(RecordPid, "pid"))
	c.set("put the child's id into it", tail, slot(pid))
	c.add("report the child", "write", unix.SYS_WRITE, fdArg(c.FDs.Report, "fd.report"), addr(head), num(RecordSize))
	c.add("leave", "exit_group", unix.SYS_EXIT_GROUP, num(0))
	c.land(child)
}

// cgroup makes the cgroup namespace. The process was cloned into its cgroups.
func (c *compiler) cgroup() error {
	if c.private(unix.CLONE_NEWCGROUP) {
		c.pointer = "/linux/namespaces"
		c.add("make the cgroup namespace", "unshare", unix.SYS_UNSHARE, imm(unix.CLONE_NEWCGROUP, "CLONE_NEWCGROUP")).
			why("its root is the cgroup of this moment: the container's own")
	}
	return nil
}

func cloneNames(flags uint64) string {
	return flagNames(flags, func() []flagName {
		return []flagName{
			{unix.CLONE_NEWUSER, "CLONE_NEWUSER"},
			{unix.CLONE_NEWNS, "CLONE_NEWNS"},
			{unix.CLONE_NEWPID, "CLONE_NEWPID"},
			{unix.CLONE_NEWNET, "CLONE_NEWNET"},
			{unix.CLONE_NEWIPC, "CLONE_NEWIPC"},
			{unix.CLONE_NEWUTS, "CLONE_NEWUTS"},
			{unix.CLONE_NEWCGROUP, "CLONE_NEWCGROUP"},
			{unix.CLONE_NEWTIME, "CLONE_NEWTIME"},
		}
	})
}
