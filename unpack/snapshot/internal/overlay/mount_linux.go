package overlay

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/snapshot/internal/merge"
)

// Options describe an overlay mount; the fields are those of snapshot.MountOptions.
type Options struct {
	Layers         []string
	Upper, Work    string
	Top            string
	ReadOnly       bool
	UserXattr      bool
	Scratch        string
	Options        []string
	UIDMap, GIDMap []unpack.IDMap
}

// MaxLayers is how many layers overlayfs stacks: OVL_MAX_STACK in fs/overlayfs/params.h.
const MaxLayers = 500

// way is a way to tell the kernel the layers.
type way struct {
	name    string
	compact bool // the thread's working directory has to be /proc/self/fd
	mount   func(o *Options, layers []string) (int, error)
}

// ways are the ways to mount, best first.
func ways() []way {
	return []way{
		{"lowerdir+", false, mountAppend},
		{"lowerdir", true, mountString},
		{"mount(2)", true, mountAtScratch},
	}
}

// Mount makes an overlay mount that is attached nowhere, and gives a descriptor of it.
func Mount(o Options) (*os.File, error) { return mount(o, ways()) }

func mount(o Options, ways []way) (*os.File, error) {
	layers, err := o.prepare()
	if err != nil {
		return nil, err
	}
	maps, err := o.userNamespace()
	if err != nil {
		return nil, err
	}
	defer maps.Close() // nil is closed already
	var tried []error
	for _, w := range ways {
		fd, err := o.try(w, layers, maps)
		if err == nil {
			return os.NewFile(uintptr(fd), "overlay"), nil
		}
		tried = append(tried, fmt.Errorf("%s: %w", w.name, err))
		if !errors.Is(err, errNoWay) && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, errTooLong) {
			break // another way would say the same
		}
	}
	return nil, errors.Join(tried...)
}

// prepare gives the layers to mount, the topmost first, by absolute names, and readies the upper directory.
func (o *Options) prepare() ([]string, error) {
	for _, dir := range []*string{&o.Upper, &o.Work, &o.Top, &o.Scratch} {
		if *dir == "" {
			continue
		}
		var err error
		if *dir, err = filepath.Abs(*dir); err != nil {
			return nil, err
		}
	}
	layers := make([]string, len(o.Layers))
	for i, l := range o.Layers {
		var err error
		if layers[len(layers)-1-i], err = filepath.Abs(l); err != nil {
			return nil, err
		}
	}
	if o.Upper != "" {
		return layers, copyRoot(o.Upper, layers[0], merge.IDs{UIDs: o.UIDMap, GIDs: o.GIDMap})
	}
	if len(layers) == 1 && o.Top == "" {
		// overlayfs wants two layers then. A plain bind mount would show whiteouts as devices.
		empty := filepath.Join(filepath.Dir(layers[0]), "empty")
		if err := os.Mkdir(empty, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, err
		}
		layers = append(layers, empty)
	}
	return layers, nil
}

// try mounts in one way, in a thread of its own if it has to change what belongs to a thread.
func (o *Options) try(w way, layers []string, maps *os.File) (fd int, err error) {
	stack := layers
	if o.Top != "" {
		stack = append([]string{o.Top}, layers...)
	}
	if !w.compact && maps == nil {
		return w.mount(o, stack)
	}
	flags := unix.CLONE_FS
	if maps != nil {
		flags |= unix.CLONE_NEWNS
	}
	err = onThread(flags, func() (err error) {
		if maps != nil {
			if err := mapLayers(layers, int(maps.Fd())); err != nil {
				return err
			}
		}
		if w.compact {
			if err := unix.Chdir("/proc/self/fd"); err != nil {
				return fmt.Errorf("chdir /proc/self/fd: %w", err)
			}
		}
		fd, err = w.mount(o, stack)
		return err
	})
	return fd, err
}

// copyRoot gives an upper directory without content the attributes of a layer's root.
func copyRoot(upper, layer string, ids merge.IDs) error {
	dst, err := os.Open(upper)
	if err != nil {
		return err
	}
	defer dst.Close()
	if _, err := dst.Readdirnames(1); err == nil {
		return nil // it is in use: its attributes are the container's
	} else if err != io.EOF {
		return err
	}
	v, err := merge.Open([]string{layer})
	if err != nil {
		return err
	}
	defer v.Close()
	root, err := v.Find("")
	if err != nil {
		return err
	}
	defer root.Close()
	return root.AttributesTo(int(dst.Fd()), ids)
}

var errTooLong = errors.New("the list of layers is too long")

// errNoWay: the kernel does not know this way to name layers.
var errNoWay = errors.New("not known")

// fsconfigMax is what fsconfig(2) takes as a string, its NUL included.
const fsconfigMax = 256

// mountAppend gives the layers one by one.
func mountAppend(o *Options, layers []string) (int, error) {
	return mountNew(o, func(c *config) error {
		for i, l := range layers {
			err := c.path("lowerdir+", l)
			if i == 0 && errors.Is(err, unix.EINVAL) {
				return fmt.Errorf("%w: %w", errNoWay, err)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// mountString gives them in one string, as descriptors to be short.
func mountString(o *Options, layers []string) (int, error) {
	return mountNew(o, func(c *config) error {
		list, err := c.list(layers)
		if err != nil {
			return err
		}
		if len(list) >= fsconfigMax {
			return errTooLong
		}
		return unix.FsconfigSetString(c.fs, "lowerdir", list)
	})
}

// config is a filesystem context being set up, with the descriptors that it names.
type config struct {
	fs   int
	open []int
}

func (c *config) close() {
	for _, fd := range c.open {
		unix.Close(fd)
	}
}

// short names a directory by a descriptor, relative to /proc/self/fd.
func (c *config) short(dir string) (string, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("%s: %w", dir, err)
	}
	c.open = append(c.open, fd)
	return strconv.Itoa(fd), nil
}

// path sets a directory; by its own name if that fits, since /proc/mounts will show it. A backslash
// is an escape in upperdir and workdir, and none in lowerdir+ (ovl_mount_dir in fs/overlayfs/params.c).
func (c *config) path(key, dir string) error {
	if len(dir) >= fsconfigMax || strings.Contains(dir, `\`) {
		var err error
		if dir, err = c.short(dir); err != nil {
			return err
		}
		dir = "/proc/self/fd/" + dir
	}
	if err := unix.FsconfigSetString(c.fs, key, dir); err != nil {
		return fmt.Errorf("%s=%s: %w", key, dir, err)
	}
	return nil
}

// list joins directories as lowerdir wants them, relative to /proc/self/fd.
func (c *config) list(dirs []string) (string, error) {
	short := make([]string, len(dirs))
	for i, d := range dirs {
		var err error
		if short[i], err = c.short(d); err != nil {
			return "", err
		}
	}
	return strings.Join(short, ":"), nil
}

// mountNew mounts with the mount API of Linux 5.2.
func mountNew(o *Options, lower func(*config) error) (int, error) {
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("fsopen: %w", err)
	}
	defer unix.Close(fs)
	c := &config{fs: fs}
	defer c.close()
	if err := lower(c); err != nil {
		return -1, explain(fs, err)
	}
	if o.Upper != "" {
		if err := c.path("upperdir", o.Upper); err != nil {
			return -1, explain(fs, err)
		}
		if err := c.path("workdir", o.Work); err != nil {
			return -1, explain(fs, err)
		}
	}
	for _, opt := range options(o) {
		key, value, ok := strings.Cut(opt, "=")
		if ok {
			err = unix.FsconfigSetString(fs, key, value)
		} else {
			err = unix.FsconfigSetFlag(fs, key)
		}
		if err != nil {
			return -1, explain(fs, fmt.Errorf("%s: %w", opt, err))
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, explain(fs, fmt.Errorf("create: %w", err))
	}
	attrs := 0
	if o.ReadOnly {
		attrs = unix.MOUNT_ATTR_RDONLY
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attrs)
	if err != nil {
		return -1, explain(fs, fmt.Errorf("fsmount: %w", err))
	}
	return fd, nil
}

// options gives the options besides the directories. An index would tie an upper directory to one
// set of layers for ever; metacopy would leave files in it without their content.
func options(o *Options) []string {
	var list []string
	if o.Upper != "" {
		list = append(list, "index=off")
	}
	if o.UserXattr {
		list = append(list, "userxattr") // implies metacopy=off
	} else {
		list = append(list, "metacopy=off")
	}
	return append(list, o.Options...)
}

// explain adds what the kernel says about a filesystem context: an errno alone names no option.
func explain(fs int, err error) error {
	buf := make([]byte, 1024)
	var lines []string
	for range 8 {
		n, rerr := unix.Read(fs, buf)
		if rerr != nil || n <= 0 {
			break
		}
		lines = append(lines, strings.TrimSpace(string(buf[:n])))
	}
	if len(lines) == 0 {
		return err
	}
	return fmt.Errorf("%w (%s)", err, strings.Join(lines, "; "))
}

// mountAtScratch mounts with mount(2), takes a detached copy and unmounts. Until then the mount is
// in the mount namespace; a process that dies in between leaves it there.
func mountAtScratch(o *Options, layers []string) (int, error) {
	if o.Scratch == "" {
		return -1, fmt.Errorf("no scratch directory: %w", unix.ENOSYS)
	}
	if err := mountAt(o, layers, o.Scratch); err != nil {
		return -1, err
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, o.Scratch, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if uerr := unix.Unmount(o.Scratch, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err == nil && uerr != nil {
		unix.Close(fd)
		return -1, uerr
	}
	if err != nil {
		return -1, fmt.Errorf("open_tree: %w", err)
	}
	return fd, nil
}

// mountAt mounts at an existing directory with mount(2), for kernels whose overlayfs takes no descriptors.
func mountAt(o *Options, layers []string, dir string) error {
	c := &config{fs: -1}
	defer c.close()
	list, err := c.list(layers)
	if err != nil {
		return err
	}
	data := "lowerdir=" + list
	if o.Upper != "" {
		upper, err := c.list([]string{o.Upper, o.Work})
		if err != nil {
			return err
		}
		up, work, _ := strings.Cut(upper, ":")
		data += ",upperdir=" + up + ",workdir=" + work
	}
	data += "," + strings.Join(options(o), ",")
	if len(data) >= os.Getpagesize() {
		return errTooLong
	}
	flags := uintptr(0)
	if o.ReadOnly {
		flags = unix.MS_RDONLY
	}
	return unix.Mount("overlay", dir, "overlay", flags, data)
}
