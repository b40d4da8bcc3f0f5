package runtime

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Files of a container's state directory.
const (
	stateFile  = "state.json"
	startFIFO  = "start.fifo"
	reportFIFO = "report.fifo"
)

// maxState bounds state.json: annotations and hooks come from a configuration that is bounded itself.
const maxState = 16 << 20

// record is state.json. It holds what later processes need and cannot ask the kernel for.
type record struct {
	OCIVersion  string            `json:"ociVersion"`
	ID          string            `json:"id"`
	Pid         int               `json:"init_process_pid"`
	PidStart    uint64            `json:"init_process_start"` // clock ticks since boot (proc_pid_stat(5), field 22)
	Created     time.Time         `json:"created"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	UID         int               `json:"uid"`
	Cgroups     map[string]string `json:"cgroup_paths,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Hooks       *specs.Hooks      `json:"hooks,omitempty"`
	SharedPid   bool              `json:"shared_pid_namespace,omitempty"`
	Steps       []lateStep        `json:"steps,omitempty"`
}

// lateStep is a step that can still fail at the start, so that the starting process can name it.
type lateStep struct {
	Step    int    `json:"step"`
	Name    string `json:"name"`
	Call    string `json:"call"`
	Pointer string `json:"pointer,omitempty"`
}

// readRecord reads state.json of dir, without following links (CVE-2026-53489) and within bounds.
func readRecord(dir string) (record, error) {
	var rec record
	f, err := os.OpenFile(filepath.Join(dir, stateFile), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return rec, err
	}
	defer f.Close() // only read
	st, err := f.Stat()
	if err != nil {
		return rec, err
	}
	if !st.Mode().IsRegular() {
		return rec, fmt.Errorf("%s is not a regular file", stateFile)
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err != nil {
		return rec, err
	}
	if len(raw) > maxState {
		return rec, fmt.Errorf("%s is larger than %d bytes", stateFile, maxState)
	}
	if err := json.Unmarshal(raw, &rec); err != nil {
		return rec, fmt.Errorf("decode %s: %w", stateFile, err)
	}
	if rec.Pid < 0 || rec.Bundle == "" {
		return rec, fmt.Errorf("decode %s: incomplete", stateFile)
	}
	return rec, nil
}

// writeRecord publishes state.json in one rename.
func writeRecord(dir string, rec *record) error {
	raw, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, stateFile), raw, 0o600)
}

// writeFile writes path by way of a new file beside it.
func writeFile(path string, content []byte, perm os.FileMode) error {
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp")
	fd, err := unix.Open(tmp, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_NOFOLLOW|unix.O_CLOEXEC, uint32(perm))
	if err != nil {
		return &os.PathError{Op: "create", Path: tmp, Err: err}
	}
	for err == nil && len(content) > 0 {
		var n int
		n, err = unix.Write(fd, content)
		content = content[max(n, 0):]
	}
	if cerr := unix.Close(fd); err == nil {
		err = cerr
	}
	if err == nil {
		err = unix.Rename(tmp, path)
	}
	if err != nil {
		return errors.Join(&os.PathError{Op: "write", Path: path, Err: err}, os.Remove(tmp))
	}
	return nil
}

// processInfo is what proc_pid_stat(5) tells about a process.
type processInfo struct {
	state byte
	start uint64
}

// readProcess reads /proc/PID/stat; fs.ErrNotExist or ESRCH if there is no such process.
func readProcess(pid int) (processInfo, error) {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return processInfo{}, err
	}
	defer unix.Close(fd) // only read
	var buf [1024]byte
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return processInfo{}, err
	}
	// The name is in parentheses and may hold anything, so the fields are counted from the last one.
	i := bytes.LastIndexByte(buf[:n], ')')
	if i < 0 {
		return processInfo{}, errors.New("no process name in /proc/PID/stat")
	}
	fields := bytes.Fields(buf[i+1 : n])
	if len(fields) < 20 {
		return processInfo{}, errors.New("too few fields in /proc/PID/stat")
	}
	start, err := strconv.ParseUint(string(fields[19]), 10, 64)
	return processInfo{fields[0][0], start}, err
}

// alive tells whether the recorded process still runs: the same id and the same start time, and no zombie.
func (rec *record) alive() bool {
	if rec.Pid <= 0 {
		return false
	}
	p, err := readProcess(rec.Pid)
	return err == nil && p.start == rec.PidStart && p.state != 'Z' && p.state != 'X'
}
