package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Runtime is a state directory and what is needed to work on the containers in it.
type Runtime struct {
	root      string
	log       *slog.Logger
	noCgroups bool
	copyTree  func(ctx context.Context, from, to *os.File) error
}

// Open returns a Runtime. The state directory is made when the first container is.
func Open(o Options) (*Runtime, error) {
	root := o.Root
	if root == "" {
		root = defaultRoot()
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, &Error{Op: "open state directory", Subject: o.Root, Err: err}
	}
	if root == "/" {
		return nil, &Error{Op: "open state directory", Subject: root, Err: errors.New("the root of the file system cannot be one")}
	}
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Runtime{root: root, log: log, noCgroups: o.NoCgroups, copyTree: o.CopyTree}, nil
}

// defaultRoot is /run/oci, or what the user has instead (XDG base directory specification).
func defaultRoot() string {
	if os.Geteuid() == 0 {
		return "/run/oci"
	}
	if d := os.Getenv("XDG_RUNTIME_DIR"); d != "" {
		return filepath.Join(d, "oci")
	}
	return filepath.Join(os.TempDir(), "oci-"+strconv.Itoa(os.Geteuid()))
}

// Root is the state directory.
func (r *Runtime) Root() string { return r.root }

// Container is a container of a state directory. It is not for concurrent use.
type Container struct {
	rt    *Runtime
	dir   string
	state record
	live  *live // set in the process that created it
}

// ID is the container's name.
func (c *Container) ID() string { return c.state.ID }

// Pid is the process id of the container's first process, as this process sees it.
func (c *Container) Pid() int { return c.state.Pid }

// Bundle is the directory that the container was created from.
func (c *Container) Bundle() string { return c.state.Bundle }

// Load returns an existing container; ErrNotExist if there is none.
func (r *Runtime) Load(id string) (*Container, error) {
	if !ValidID(id) {
		return nil, &Error{Op: "load", Subject: strconv.Quote(id), Err: ErrInvalidID}
	}
	c := &Container{rt: r, dir: filepath.Join(r.root, id)}
	rec, err := readRecord(c.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &Error{Op: "load", Subject: id, Err: ErrNotExist}
	case err != nil:
		return nil, &Error{Op: "load", Subject: id, Err: err}
	case rec.ID != id:
		return nil, &Error{Op: "load", Subject: id, Err: fmt.Errorf("its state is that of %q", rec.ID)}
	}
	c.state = rec
	return c, nil
}

// List returns all containers, sorted by id. One that cannot be read is left out, with a warning.
func (r *Runtime) List(context.Context) ([]*Container, error) {
	entries, err := os.ReadDir(r.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &Error{Op: "list", Subject: r.root, Err: err}
	}
	var out []*Container
	for _, e := range entries {
		if !e.IsDir() || !ValidID(e.Name()) {
			continue
		}
		c, err := r.Load(e.Name())
		if err != nil {
			if !errors.Is(err, ErrNotExist) {
				r.log.Warn("a container cannot be read", "id", e.Name(), "error", err)
			}
			continue
		}
		out = append(out, c)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].state.ID < out[j].state.ID })
	return out, nil
}

// lock keeps other processes away from the container until the returned function is called. It waits for another operation to
// end as long as ctx allows. ErrNotExist if there is no such container any more, also if another has its name by then.
func (c *Container) lock(ctx context.Context) (func(), error) {
	fd, err := unix.Open(c.dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		if errors.Is(err, unix.ENOENT) {
			return nil, ErrNotExist
		}
		return nil, err
	}
	if err := flock(ctx, fd); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	var held, now unix.Stat_t
	if err := unix.Fstat(fd, &held); err == nil {
		err = unix.Lstat(c.dir, &now)
		if err != nil || held.Ino != now.Ino || held.Dev != now.Dev {
			unix.Close(fd)
			return nil, ErrNotExist
		}
	}
	return func() { unix.Close(fd) }, nil
}

// lockInterval is how often a lock that another process has is tried again: flock(2) has no time-out.
const lockInterval = 5 * time.Millisecond

func flock(ctx context.Context, fd int) error {
	for {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for another operation on it: %w", context.Cause(ctx))
		case <-time.After(lockInterval):
		}
	}
}

// locked tells whether another process is at work on the container.
func (c *Container) locked() bool {
	fd, err := unix.Open(c.dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return errors.Is(unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}
