package cgroup

import (
	"errors"
	goruntime "runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

func (m *manager) Join(pid int) error {
	value := strconv.Itoa(pid)
	for _, g := range m.groups() {
		if err := writeFile(g.dir+"/cgroup.procs", value); err != nil {
			return &Error{Op: "join cgroup", Subject: g.dir, Err: err}
		}
	}
	return nil
}

func (m *manager) Enter(f func() error) error {
	restore, err := m.roomFor()
	if err != nil {
		return err
	}
	if len(m.v1) > 0 {
		err = m.enterV1(f)
	} else {
		err = f()
	}
	if restore {
		if e := m.limitPids(m.pids); e != nil {
			return errors.Join(err, e)
		}
	}
	return err
}

// roomFor lifts a limit of processes for the time of a clone: a process that is cloned into a group counts
// before it can be refused more, and on v1 the thread that clones counts too. One that joins is never
// refused, so pids.limit 0 and 1 are limits that a container starts with.
func (m *manager) roomFor() (lifted bool, err error) {
	limit, err := strconv.Atoi(m.pids)
	if err != nil || limit > 1 {
		return false, nil // none, "max", or enough
	}
	if limit == 1 && len(m.v1) == 0 {
		return false, nil
	}
	return true, m.limitPids("max")
}

func (m *manager) limitPids(value string) error {
	dir := m.find("pids")
	if dir == "" {
		dir = m.unified.dir
	}
	if err := writeFile(dir+"/pids.max", value); err != nil {
		return &Error{Op: "set limit", Subject: pointerRoot + "/pids/limit", Err: err}
	}
	return nil
}

// enterV1 moves the calling thread into the groups of v1 and back. "0" in "tasks" is the one form of
// joining that does without cgroup_threadgroup_rwsem (kernel/cgroup/cgroup.c, cgroup_procs_write_start).
func (m *manager) enterV1(f func() error) error {
	if err := m.located(); err != nil {
		return err
	}
	goruntime.LockOSThread()
	var entered []group
	back := func() error {
		var failed error
		for _, g := range entered {
			if err := writeFile(g.own+"/tasks", "0"); err != nil {
				failed = &Error{Op: "leave cgroup", Subject: g.own, Err: err}
			}
		}
		if failed == nil {
			goruntime.UnlockOSThread()
		} // else the thread is never used for anything else, and ends with its goroutine
		return failed
	}
	for _, g := range m.v1 {
		err := error(unix.ENOENT)
		if g.own != "" {
			err = writeFile(g.dir+"/tasks", "0")
		}
		if err != nil {
			return errors.Join(&Error{Op: "enter cgroup", Subject: g.dir, Err: err}, back())
		}
		entered = append(entered, g)
	}
	err := f()
	if e := back(); e != nil {
		return errors.Join(err, e)
	}
	return err
}
