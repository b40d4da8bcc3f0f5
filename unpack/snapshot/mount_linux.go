package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// MountOptions describe an overlay mount.
type MountOptions struct {
	Layers []string // directories as Ensure gives them, base first; at least one
	// Upper and Work take the changes. They must be on one file system, Work empty. Both are ""
	// for a mount that only shows the layers. An empty Upper is given the attributes of the
	// topmost layer's root, since the root of the mount is shown with its attributes.
	Upper, Work string
	ReadOnly    bool
	UserXattr   bool // the layers were unpacked with UserXattr; needed in a user namespace
	// Scratch is an existing empty directory for kernels before 6.5, which take a long list of layers only
	// through mount(2), and so at a place in the mount namespace; it is detached again at once.
	Scratch string
	// Options are further options of overlayfs, "name" or "name=value", such as "volatile".
	Options []string
}

// ways are the ways to mount, best first. Tests shorten the list.
type way struct {
	name  string
	mount func(*MountOptions, []string) (int, error)
}

func ways() []way {
	return []way{
		{"lowerdir+", mountAppend},   // Linux 6.5: any number of layers
		{"lowerdir", mountString},    // Linux 5.2: 255 bytes for all layers
		{"mount(2)", mountAtScratch}, // a page for all options
	}
}

// Mount makes an overlay mount that is attached nowhere: as long as the file, or what it was attached
// to with move_mount(2), is open, the mount exists, and then it is gone. Every file operation of
// the *at kind works on it unattached. Errors are *Error, with ErrOverlay if no way is left.
func Mount(_ context.Context, o MountOptions) (*os.File, error) { return mount(o, ways()) }

func mount(o MountOptions, ways []way) (*os.File, error) {
	if len(o.Layers) == 0 || (o.Upper == "") != (o.Work == "") {
		return nil, &Error{Op: "mount", Err: fmt.Errorf("%w: layers, and upper with work or neither, are needed", ErrOverlay)}
	}
	layers := slices.Clone(o.Layers)
	if len(layers) == 1 && o.Upper == "" {
		// overlayfs wants two layers then. A plain bind mount would show whiteouts as devices.
		empty := filepath.Join(filepath.Dir(layers[0]), "empty")
		if err := os.Mkdir(empty, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, &Error{Op: "mount", Subject: empty, Err: err}
		}
		layers = append([]string{empty}, layers...)
	}
	if o.Upper != "" {
		if err := copyRoot(o.Upper, layers[len(layers)-1]); err != nil {
			return nil, &Error{Op: "mount", Subject: o.Upper, Err: err}
		}
	}
	slices.Reverse(layers)
	var tried []error
	for _, w := range ways {
		fd, err := w.mount(&o, layers)
		if err == nil {
			return os.NewFile(uintptr(fd), "overlay"), nil
		}
		tried = append(tried, fmt.Errorf("%s: %w", w.name, err))
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, errTooLong) {
			break // another way would say the same
		}
	}
	return nil, &Error{Op: "mount", Subject: o.Layers[len(o.Layers)-1], Err: fmt.Errorf("%w: %w", ErrOverlay, errors.Join(tried...))}
}

// copyRoot gives an upper directory without content the attributes of a layer's root.
func copyRoot(upper, layer string) error {
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
	v, err := openView([]string{layer})
	if err != nil {
		return err
	}
	defer v.close()
	root, err := v.find("")
	if err != nil {
		return err
	}
	defer root.close()
	return root.attributesTo(int(dst.Fd()))
}

var errTooLong = errors.New("the list of layers is too long")

// fsconfigMax is what fsconfig(2) takes as a string, its NUL included.
const fsconfigMax = 256

// mountAppend gives the layers one by one.
func mountAppend(o *MountOptions, layers []string) (int, error) {
	return mountNew(o, func(c *config) error {
		for _, l := range layers {
			if err := c.path("lowerdir+", l); err != nil {
				return err
			}
		}
		return nil
	})
}

// mountString gives them in one string, as descriptors to be short.
func mountString(o *MountOptions, layers []string) (int, error) {
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

// short names a directory by a descriptor.
func (c *config) short(dir string) (string, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("%s: %w", dir, err)
	}
	c.open = append(c.open, fd)
	return "/proc/self/fd/" + strconv.Itoa(fd), nil
}

// path sets a directory; by its own name if that fits, since /proc/mounts will show it. A backslash
// is an escape in upperdir and workdir, and none in lowerdir+ (ovl_mount_dir in fs/overlayfs/params.c).
func (c *config) path(key, dir string) error {
	if len(dir) >= fsconfigMax || strings.Contains(dir, `\`) {
		var err error
		if dir, err = c.short(dir); err != nil {
			return err
		}
	}
	if err := unix.FsconfigSetString(c.fs, key, dir); err != nil {
		return fmt.Errorf("%s=%s: %w", key, dir, err)
	}
	return nil
}

// list joins directories as lowerdir wants them.
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
func mountNew(o *MountOptions, lower func(*config) error) (int, error) {
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
func options(o *MountOptions) []string {
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
func mountAtScratch(o *MountOptions, layers []string) (int, error) {
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
func mountAt(o *MountOptions, layers []string, dir string) error {
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

// Attach attaches a detached mount at a directory of the caller's mount namespace.
func Attach(f *os.File, dir string) error {
	if err := unix.MoveMount(int(f.Fd()), "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return &Error{Op: "attach", Subject: dir, Err: err}
	}
	return nil
}
