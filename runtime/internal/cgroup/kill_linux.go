package cgroup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tree gives the directory in which the processes of the container are looked for.
func (m *manager) tree() string {
	if m.unified.dir != "" {
		return m.unified.dir
	}
	for _, c := range [...]string{"freezer", "pids", "devices", "memory"} {
		if dir := m.find(c); dir != "" {
			return dir
		}
	}
	if len(m.v1) > 0 {
		return m.v1[0].dir
	}
	return ""
}

func (m *manager) Pids() ([]int, error) {
	dir := m.tree()
	if dir == "" {
		return nil, nil
	}
	pids, err := pidsBelow(dir)
	if err != nil {
		return nil, &Error{Op: "list processes", Subject: dir, Err: err}
	}
	return pids, nil
}

func (m *manager) Kill() error {
	if m.unified.dir != "" {
		err := writeFile(m.unified.dir+"/cgroup.kill", "1") // since Linux 5.14
		if err == nil {
			if dir := m.find("freezer"); dir != "" {
				_ = writeFile(dir+"/freezer.state", "THAWED") // the killed die only then
			}
			return nil
		}
		if err != unix.ENOENT && err != unix.EOPNOTSUPP && err != unix.ENODEV {
			return &Error{Op: "kill cgroup", Subject: m.unified.dir, Err: err}
		}
	}
	return m.killEach()
}

// killRounds bounds how often the list of processes is read again where they cannot be frozen: a
// fork bomb must be met with a few more rounds than it takes to fill its limit.
const killRounds = 100

// killEach is Kill for kernels without cgroup.kill. Frozen processes cannot fork, so one round
// reaches all.
func (m *manager) killEach() error {
	if m.tree() == "" {
		return nil
	}
	if err := m.Freeze(); err != nil && !errors.Is(err, ErrController) {
		if _, statErr := children(m.tree()); statErr == unix.ENOENT {
			return nil // the group is gone
		}
	}
	defer func() { _ = m.Thaw() }()
	for range killRounds {
		pids, err := m.Pids()
		if err != nil {
			return err
		}
		killed := 0
		for _, pid := range pids {
			if unix.Kill(pid, unix.SIGKILL) == nil {
				killed++
			}
		}
		if frozen, _ := m.Frozen(); killed == 0 || frozen {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return &Error{Op: "kill cgroup", Subject: m.tree(), Err: ErrBusy}
}

// freezeWait is how long freezing may take: a process in an uninterruptible sleep cannot be frozen.
const freezeWait = 10 * time.Second

func (m *manager) Freeze() error { return m.freeze(true) }
func (m *manager) Thaw() error   { return m.freeze(false) }

func (m *manager) freeze(stop bool) error {
	op := "thaw cgroup"
	if stop {
		op = "freeze cgroup"
	}
	dir, set, settled := m.find("freezer"), set1, settled1
	if dir == "" {
		dir, set, settled = m.unified.dir, set2, settled2
	}
	if dir == "" {
		return &Error{Op: op, Err: fmt.Errorf("freezer: %w", ErrController)}
	}
	if err := set(dir, stop); err != nil {
		return &Error{Op: op, Subject: dir, Err: err}
	}
	if !stop {
		return nil
	}
	wait := backoff{limit: freezeWait}
	for {
		ok, err := settled(dir)
		if ok {
			return nil
		}
		if err == nil && !wait.next() {
			err = fmt.Errorf("%w after %s", unix.ETIMEDOUT, freezeWait)
		}
		if err == nil {
			err = set(dir, true) // v1 may miss a process that was just forking
		}
		if err != nil {
			return errors.Join(&Error{Op: op, Subject: dir, Err: err}, set(dir, false))
		}
	}
}

func set1(dir string, stop bool) error {
	if stop {
		return writeFile(dir+"/freezer.state", "FROZEN")
	}
	return writeFile(dir+"/freezer.state", "THAWED")
}

func settled1(dir string) (bool, error) {
	s, err := readShort(dir + "/freezer.state")
	return s == "FROZEN", err
}

func set2(dir string, stop bool) error {
	if stop {
		return writeFile(dir+"/cgroup.freeze", "1")
	}
	return writeFile(dir+"/cgroup.freeze", "0")
}

func settled2(dir string) (bool, error) {
	s, err := readValue(dir + "/cgroup.events")
	return strings.Contains(s+"\n", "frozen 1\n"), err
}

// frozen1 and frozen2 say whether a group itself was told to freeze.
func frozen1(dir string) (bool, error) {
	s, err := readShort(dir + "/freezer.state")
	return s == "FROZEN" || s == "FREEZING", err
}

func frozen2(dir string) (bool, error) {
	s, err := readShort(dir + "/cgroup.freeze")
	if err == unix.ENOENT { // before Linux 5.2
		err = nil
	}
	return s == "1", err
}

func (m *manager) Frozen() (bool, error) {
	dir, frozen := m.find("freezer"), frozen1
	if dir == "" {
		dir, frozen = m.unified.dir, frozen2
	}
	if dir == "" {
		return false, nil
	}
	is, err := frozen(dir)
	if err == unix.ENOENT || err == unix.ENODEV { // removed: nothing is frozen
		return false, nil
	}
	if err != nil {
		return false, &Error{Op: "read cgroup", Subject: dir, Err: err}
	}
	return is, nil
}

// deleteWait is how long Delete waits for processes that were killed: one that exits frees its
// memory first, and that of a large one takes seconds.
const deleteWait = 10 * time.Second

func (m *manager) Delete(ctx context.Context) error {
	wait := backoff{limit: deleteWait}
	var failed error
	for _, g := range m.groups() {
		if err := remove(ctx, g.dir, &wait); err != nil {
			failed = errors.Join(failed, &Error{Op: "delete cgroup", Subject: g.dir, Err: err})
		}
	}
	return failed
}

// remove removes a group. In almost every case that is one rmdir.
func remove(ctx context.Context, dir string, wait *backoff) error {
	for {
		err := rmdir(dir)
		switch err {
		case nil, unix.ENOENT:
			return nil
		case unix.EBUSY, unix.ENOTEMPTY:
		default:
			return err
		}
		err = walk(dir, true, maxDepth, func(d string) error {
			if err := rmdir(d); err != nil && err != unix.ENOENT && err != unix.EBUSY && err != unix.ENOTEMPTY {
				return err
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := rmdir(dir); err == nil || err == unix.ENOENT {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if !wait.next() {
			pids, _ := pidsBelow(dir)
			return fmt.Errorf("%w: %v", ErrBusy, pids)
		}
	}
}

// backoff waits a little longer each time, until limit is used up.
type backoff struct {
	limit, spent, pause time.Duration
}

// next waits, and says whether it is worth another try.
func (b *backoff) next() bool {
	const first, longest = 50 * time.Microsecond, 16 * time.Millisecond
	if b.spent >= b.limit {
		return false
	}
	b.pause = min(max(2*b.pause, first), longest)
	time.Sleep(b.pause)
	b.spent += b.pause
	return true
}
