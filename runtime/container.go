package runtime

import (
	"context"
	"log/slog"
	"os"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Options say where a Runtime keeps its state. The zero value uses the defaults.
type Options struct {
	// Root is the state directory; "" is /run/oci for root, else $XDG_RUNTIME_DIR/oci.
	Root string
	// Logger gets what is worth a warning and no failure; nil discards it.
	Logger *slog.Logger
	// CopyTree copies the files of one open directory into another that is empty, with all their attributes and
	// those of the directory itself: for the option tmpcopyup, which is an error without.
	CopyTree func(ctx context.Context, from, to *os.File) error
	// NoCgroups makes containers without cgroups of their own.
	NoCgroups bool
}

// CreateOptions describe a container to create.
type CreateOptions struct {
	// ID is unique in the state directory: letters, digits and "_+-.", 1 to 1024 bytes.
	ID string
	// Bundle is the directory that relative paths of the configuration are below.
	Bundle string
	// Spec is the configuration: what config.json of the bundle says.
	Spec *specs.Spec
	// Rootfs, if set, is a detached mount (open_tree(2), fsmount(2)) to use instead of root.path,
	// which must still name a directory to attach it to.
	Rootfs *os.File
	// Mounts are detached mounts to use for those of these indices in Spec.Mounts, in place of what type and source say; options that
	// are attributes of a mount are set on them. The caller closes them.
	Mounts map[int]*os.File
	// Stdio are the container's standard input, output and error when it has no terminal; nil
	// entries are this process's own.
	Stdio [3]*os.File
	// OwnStdio gives pipes among Stdio to the container's user, so that it can open /dev/stdout.
	OwnStdio bool
	// Attached means that this process also starts the container and waits for it.
	Attached bool
	// ConsoleSocket is the path of a unix socket that gets the terminal's master. "" with a
	// terminal keeps the master for Container.Console.
	ConsoleSocket string
	// PidFile gets the process id, in decimal.
	PidFile string
	// PreserveFDs is the number of descriptors from 3 on that the container gets too.
	PreserveFDs int
	// NoPivot uses chroot instead of pivot_root.
	NoPivot bool
	// NoNewKeyring leaves the container in the caller's session keyring.
	NoNewKeyring bool
}

// ExecOptions describe a further process of a running container.
type ExecOptions struct {
	// Process is what config.json's process is for the first one.
	Process *specs.Process
	// Seccomp is the filter to run it under; nil for none.
	Seccomp *specs.LinuxSeccomp
	// Stdio, OwnStdio, ConsoleSocket, PidFile and PreserveFDs are as in CreateOptions.
	Stdio         [3]*os.File
	OwnStdio      bool
	ConsoleSocket string
	PidFile       string
	PreserveFDs   int
	// Detach means that nobody will wait for it.
	Detach bool
}

// Status is a container's (runtime.md, State).
type Status = specs.ContainerState

// State is what is known of a container.
type State struct {
	specs.State
	Rootfs  string    `json:"rootfs"`
	Created time.Time `json:"created"`
	Owner   string    `json:"owner"`
}

// ExitStatus is how a container's first process ended.
type ExitStatus struct {
	Exited int // its exit status, -1 if a signal ended it
	Signal int // the signal, or 0
}

// Code is the exit status that a shell would show: 128 and the number of the signal.
func (s ExitStatus) Code() int {
	if s.Signal != 0 {
		return 128 + s.Signal
	}
	return s.Exited
}

// ValidID tells whether id can name a container: it becomes a file name.
func ValidID(id string) bool {
	if id == "" || len(id) > 1024 || id == "." || id == ".." {
		return false
	}
	for _, r := range id {
		ok := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '+' || r == '-' || r == '.'
		if !ok {
			return false
		}
	}
	return true
}
