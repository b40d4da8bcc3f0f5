package cgroup

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// version is the where of settings for this group. A controller that no v1 hierarchy has is looked for in
// cgroup2, also on a hybrid machine.
func (m *manager) version(controller string) int {
	switch {
	case controller == "unified": // the whole map: only on a machine without v1
		if m.unified.dir != "" && len(m.v1) == 0 {
			return 2
		}
		return 0
	case m.find(controller) != "":
		return 1
	case m.unified.dir != "":
		return 2
	}
	return 0
}

func (m *manager) Apply(r *specs.LinuxResources) error {
	if r == nil {
		return nil
	}
	list, err := settings(r, m.version)
	if err != nil {
		if m.denied != nil && errors.Is(err, ErrController) {
			var e *Error
			errors.As(err, &e)
			return &Error{Op: "set limit", Subject: e.Subject, Err: fmt.Errorf("%w: %w", ErrPermission, m.denied)}
		}
		return err
	}
	if len(r.Devices) > 0 {
		if err := m.devices(r.Devices); err != nil {
			return err
		}
	}
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[0].settle && list[n].settle && list[n].controller == list[0].controller {
			n++
		}
		if err := m.settle(list[:n]); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// settle writes settings that depend on each other: as long as a round sets something, those that
// were refused are tried again.
func (m *manager) settle(list []setting) error {
	for {
		var refused []setting
		var first error
		for _, s := range list {
			if err := m.set(s); err != nil {
				if len(list) == 1 || !errors.Is(err, unix.EINVAL) {
					return err
				}
				if first == nil {
					first = err
				}
				refused = append(refused, s)
			}
		}
		if first == nil || len(refused) == len(list) {
			return first
		}
		list = refused
	}
}

// set makes one write.
func (m *manager) set(s setting) error {
	dir := m.find(s.controller)
	if s.v2 {
		dir = m.unified.dir
	}
	fail := func(err error) error {
		return &Error{Op: "set limit", Subject: s.pointer, Err: fmt.Errorf("%s/%s: %w", dir, s.file, err)}
	}
	if s.guard != "" {
		if err := m.within(dir, s); err != nil {
			return err
		}
	}
	if s.keepQuota {
		now, err := readValue(dir + "/" + s.file)
		if err != nil && err != unix.ENOENT {
			return fail(err)
		}
		quota, _, _ := strings.Cut(now, " ")
		if quota == "" {
			quota = "max"
		}
		s.value = quota + " " + s.value
	}
	err := writeFile(dir+"/"+s.file, s.value)
	if err == unix.ENOENT && s.other != nil {
		s.file, s.value = s.other.file, s.other.value
		err = writeFile(dir+"/"+s.file, s.value)
	}
	if missing(err) && s.v2 && s.controller != "cgroup" {
		m.enable(s.controller)
		err = writeFile(dir+"/"+s.file, s.value)
	}
	switch {
	case err == nil:
		if s.file == "pids.max" {
			m.pids = s.value
		}
		return nil
	case missing(err) && s.optional:
		return nil
	case missing(err):
		// The controller is not in the kernel, or a group above does not pass it on.
		failed := &Error{Op: "set limit", Subject: s.pointer, Err: fmt.Errorf("%s/%s: %w: %w", dir, s.file, ErrController, err)}
		if s.v2 {
			failed.Clause = spec.RuntimeUnified
		}
		return failed
	}
	return fail(err)
}

func missing(err error) bool { return err == unix.ENOENT }

// within refuses a limit below what is used already: [spec.RuntimeMemoryCheck].
func (m *manager) within(dir string, s setting) error {
	text, err := readValue(dir + "/" + s.guard)
	if err == unix.ENOENT {
		return nil
	}
	usage, e := strconv.ParseInt(text, 10, 64)
	if err = errors.Join(err, e); err != nil {
		return &Error{Op: "set limit", Subject: s.pointer, Err: err}
	}
	if usage > s.limit {
		return &Error{
			Op: "set limit", Subject: s.pointer, Clause: spec.RuntimeMemoryCheck,
			Err: fmt.Errorf("%w: %d, usage %d", ErrUsage, s.limit, usage),
		}
	}
	return nil
}

// devices sets the device rules.
func (m *manager) devices(list []specs.LinuxDeviceCgroup) error {
	d, err := deviceRules(list)
	if err != nil {
		return err
	}
	const op, subject = "set device rules", pointerRoot + "/devices"
	if dir := m.find("devices"); dir != "" {
		writes, err := d.v1()
		if err != nil {
			return err
		}
		for _, w := range writes {
			if err := writeFile(dir+"/"+w.file, w.value); err != nil && !m.ignorable(err) {
				return &Error{Op: op, Subject: subject, Err: fmt.Errorf("%s/%s: %q: %w", dir, w.file, w.value, err)}
			}
		}
		return nil
	}
	if m.unified.dir == "" {
		if m.denied != nil {
			return nil // a user who may make no group can make no devices either
		}
		return &Error{Op: op, Subject: subject, Err: fmt.Errorf("devices: %w", ErrController)}
	}
	if err := m.devices2(d); err != nil && !m.ignorable(err) {
		return &Error{Op: op, Subject: subject, Err: err}
	}
	return nil
}

// ignorable: device rules are a part of every engine's configuration, and without privileges
// there is no device that they could keep from the container.
func (m *manager) ignorable(err error) bool {
	return m.options.IgnorePermission && unpermitted(err)
}

// devices2 attaches the rules as a program. Programs of an earlier Apply are replaced.
func (m *manager) devices2(d devices) error {
	group, err := open(m.unified.dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(group)
	var old []int
	if !m.fresh {
		if old, err = bpfAttached(group); err != nil {
			return fmt.Errorf("list device programs: %w", err)
		}
		defer closeAll(old)
	}
	if m.fresh && d.allow && len(d.rules) == 0 {
		return nil
	}
	program, err := bpfLoadDevice(encode(d.program()))
	if err != nil {
		return fmt.Errorf("load device program: %w", err)
	}
	defer unix.Close(program)
	replace := -1
	if len(old) == 1 {
		replace = old[0]
	}
	err = bpfAttach(group, program, replace)
	if replace >= 0 && err == unix.EINVAL { // BPF_F_REPLACE came with Linux 5.6
		replace = -1
		err = bpfAttach(group, program, replace)
	}
	if err != nil {
		return fmt.Errorf("attach device program: %w", err)
	}
	m.fresh = false
	if replace < 0 {
		// The old ones go after the new one is there: at no time is more permitted than by one of them.
		for _, fd := range old {
			if err := bpfDetach(group, fd); err != nil && err != unix.ENOENT {
				return fmt.Errorf("detach device program: %w", err)
			}
		}
	}
	return nil
}
