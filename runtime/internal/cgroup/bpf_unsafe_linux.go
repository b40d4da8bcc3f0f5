package cgroup

import (
	goruntime "runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bpfAttr is union bpf_attr, larger than that of any kernel and zeroed: the kernel accepts zeros
// beyond what it knows, and kernels 6.17 to 7.1 write into a query's attributes beyond the size
// that they are given.
type bpfAttr [32]uint64

func (a *bpfAttr) put32(offset int, v uint32) {
	*(*uint32)(unsafe.Add(unsafe.Pointer(a), offset)) = v
}

func (a *bpfAttr) get32(offset int) uint32 {
	return *(*uint32)(unsafe.Add(unsafe.Pointer(a), offset))
}

func (a *bpfAttr) call(command int) (int, error) {
	for {
		n, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(command), uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a))
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR, unix.EAGAIN: // the verifier gives up when a signal is pending
			continue
		}
		return -1, errno
	}
}

const attachType = unix.BPF_CGROUP_DEVICE

// bpfLoadDevice loads a device program and gives its descriptor.
func bpfLoadDevice(code []byte) (int, error) {
	license := []byte("Apache-2.0\x00")
	var pin goruntime.Pinner
	pin.Pin(&code[0])
	pin.Pin(&license[0])
	defer pin.Unpin()
	var a bpfAttr
	a.put32(0, unix.BPF_PROG_TYPE_CGROUP_DEVICE)
	a.put32(4, uint32(len(code)/8))
	a[1] = uint64(uintptr(unsafe.Pointer(&code[0])))
	a[2] = uint64(uintptr(unsafe.Pointer(&license[0])))
	return a.call(unix.BPF_PROG_LOAD)
}

// bpfAttach attaches a program to a group, beside the others or in the place of replace, if not -1.
func bpfAttach(group, program, replace int) error {
	var a bpfAttr
	a.put32(0, uint32(group))
	a.put32(4, uint32(program))
	a.put32(8, attachType)
	a.put32(12, unix.BPF_F_ALLOW_MULTI)
	if replace >= 0 {
		a.put32(12, unix.BPF_F_ALLOW_MULTI|unix.BPF_F_REPLACE)
		a.put32(16, uint32(replace))
	}
	_, err := a.call(unix.BPF_PROG_ATTACH)
	return err
}

func bpfDetach(group, program int) error {
	var a bpfAttr
	a.put32(0, uint32(group))
	a.put32(4, uint32(program))
	a.put32(8, attachType)
	_, err := a.call(unix.BPF_PROG_DETACH)
	return err
}

// bpfMaxPrograms is BPF_CGROUP_MAX_PROGS: more cannot be attached to a group.
const bpfMaxPrograms = 64

// bpfAttached gives descriptors of the device programs that are attached to a group itself.
func bpfAttached(group int) ([]int, error) {
	ids := new([bpfMaxPrograms]uint32)
	var pin goruntime.Pinner
	pin.Pin(ids)
	defer pin.Unpin()
	var a bpfAttr
	a.put32(0, uint32(group))
	a.put32(4, attachType)
	a[2] = uint64(uintptr(unsafe.Pointer(ids)))
	a.put32(24, bpfMaxPrograms)
	if _, err := a.call(unix.BPF_PROG_QUERY); err != nil {
		return nil, err
	}
	n := min(int(a.get32(24)), bpfMaxPrograms)
	var fds []int
	for _, id := range ids[:n] {
		var get bpfAttr
		get.put32(0, id)
		fd, err := get.call(unix.BPF_PROG_GET_FD_BY_ID)
		if err == unix.ENOENT { // detached meanwhile
			continue
		}
		if err != nil {
			closeAll(fds)
			return nil, err
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
