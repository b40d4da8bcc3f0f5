package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// A detached container has this program as its parent, started again in the background: somebody
// has to wait for it, keep its exit status and, with --rm, remove it. The caller learns through a
// pipe whether the container runs.
const (
	envDetached   = "_OCI_DETACHED" // the fd of the pipe
	envDetachedID = "_OCI_ID"       // the container that the caller has named
)

// verdict is what the background process says once, when the container runs or cannot.
type verdict struct {
	Status int    `json:"status"`
	Error  string `json:"error,omitempty"`
}

// maxVerdict bounds a verdict: an error's text.
const maxVerdict = 1 << 20

// startDetached runs this command line again in the background, with the container's log as its
// standard output and error, and waits for its verdict.
func (a *app) startDetached(id string, log *os.File) error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("detach %s: %w", id, err)
	}
	defer r.Close()
	cmd := exec.Command("/proc/self/exe", a.args...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), envDetached+"=3", envDetachedID+"="+id)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("detach %s: %w", id, err)
	}
	raw, err := io.ReadAll(io.LimitReader(r, maxVerdict))
	var v verdict
	if err == nil {
		err = json.Unmarshal(raw, &v)
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return fmt.Errorf("detach %s: the background process ended before the container ran", id)
	}
	if v.Error != "" {
		_ = cmd.Wait()
		return &exitError{v.Status, errors.New(v.Error)}
	}
	return cmd.Process.Release()
}

// detachedPipe is the pipe on which this process owes a verdict, and the container's ID; nil in
// a process that was started by a person.
func detachedPipe() (pipe *os.File, id string) {
	fd, err := strconv.Atoi(os.Getenv(envDetached))
	if err != nil || fd < 3 {
		return nil, ""
	}
	id = os.Getenv(envDetachedID)
	os.Unsetenv(envDetached)
	os.Unsetenv(envDetachedID)
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "verdict"), id
}

// judge gives the verdict: nil when the container runs.
func judge(pipe *os.File, err error) {
	if pipe == nil {
		return
	}
	var v verdict
	if err != nil {
		v = verdict{exitStatus(err), err.Error()}
	}
	_ = json.NewEncoder(pipe).Encode(v)
	pipe.Close()
}
