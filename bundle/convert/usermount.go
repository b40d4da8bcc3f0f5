package convert

import (
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Volume is what Options.VolumeDir is asked for.
type Volume struct {
	Name        string // "" is one without a name
	Destination string // in the container: absolute, without ".."
	Subpath     string // of the volume, a relative path that is to be mounted in place of the whole; "" is the whole
	NoCopy      bool   // it is not to be filled from the image
	// UIDMappings and GIDMappings are those of its mount, if that has any: ids of the volume (ContainerID) to ids of the host.
	UIDMappings, GIDMappings []specs.LinuxIDMapping
}

// ImageMount is what Options.ImageDir is asked for.
type ImageMount struct {
	Image       string // as the user names it
	Destination string
	Subpath     string // of its files; "" is all
	Writable    bool   // what is written goes nowhere but to this container
}

// OverlayMount is what Options.OverlayDir is asked for.
type OverlayMount struct {
	Source      string // absolute
	Destination string
	// Upper and Work are the directories of what is changed, absolute; "" are ones that go with the container.
	Upper, Work string
}

// BindSource is a file or directory of the host that a flag names.
type BindSource struct {
	Flag, Value string // --volume and what was given to it
	Path        string // absolute
}

// BindSources lists what the flags of o bind from the host, so that a caller can look before it makes anything. All that is wrong
// with --mount, --volume and --tmpfs by themselves is a *UsageError here.
func BindSources(o Options) ([]BindSource, error) {
	flags, err := parseMounts(o)
	if err != nil {
		return nil, err
	}
	var list []BindSource
	for i := range flags {
		if f := &flags[i]; f.kind == kindBind {
			source, err := f.hostPath()
			if err != nil {
				return nil, err
			}
			list = append(list, BindSource{f.flag, f.value, source})
		}
	}
	return list, nil
}

// MountedImages lists the images that --mount type=image of o names, in their order.
func MountedImages(o Options) ([]string, error) {
	flags, err := parseMounts(o)
	var list []string
	for _, f := range flags {
		if f.kind == kindImage && !slices.Contains(list, f.source) {
			list = append(list, f.source)
		}
	}
	return list, err
}

func (f *mountFlag) hostPath() (string, error) {
	source, err := filepath.Abs(f.source)
	if err != nil {
		return "", &UsageError{Flag: f.flag, Value: f.value, Err: err}
	}
	return source, nil
}

// userMounts makes the mounts of --mount, --volume and --tmpfs. All are parsed before the first directory is asked for.
func (c *conversion) userMounts() ([]specs.Mount, error) {
	flags, err := parseMounts(c.o)
	if err != nil {
		return nil, err
	}
	var out []specs.Mount
	for i := range flags {
		m, err := c.userMount(&flags[i])
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return c.mountsFrom(out)
}

// mountsFrom adds to mounts those that other containers have, where nothing else is mounted.
func (c *conversion) mountsFrom(out []specs.Mount) ([]specs.Mount, error) {
	const flag = "--volumes-from"
	for _, value := range c.o.VolumesFrom {
		id, options, _ := strings.Cut(value, ":")
		switch {
		case c.o.MountsOf == nil:
			return nil, usage(flag, value, "there are no containers here")
		case !slices.Contains([]string{"", "ro", "rw", "z", "Z"}, options):
			return nil, usage(flag, value, "want CONTAINER[:ro], not %q", options)
		}
		mounts, err := c.o.MountsOf(id)
		if err != nil {
			return nil, &UsageError{Flag: flag, Value: value, Err: err}
		}
		for _, m := range mounts {
			if mountsAt(out, m.Destination) {
				continue
			}
			if options == "ro" {
				m.Options = append(slices.Clone(m.Options), "ro")
			}
			out = append(out, m)
			c.setFrom(m.Destination, flag)
		}
	}
	return c.writableDirs(out), nil
}

func (c *conversion) setFrom(destination, flag string) {
	if c.from == nil {
		c.from = map[string]string{}
	}
	c.from[path.Clean(destination)] = flag
}

// writableDirs adds what --read-only-tmpfs makes of directories that programs expect to write to.
func (c *conversion) writableDirs(out []specs.Mount) []specs.Mount {
	if !c.o.ReadOnly || !c.o.ReadOnlyTmpfs {
		return out
	}
	for _, dir := range []string{"/run", "/tmp", "/var/tmp"} {
		if !mountsAt(out, dir) {
			out = append(out, specs.Mount{Destination: dir, Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "tmpcopyup"}})
			c.setFrom(dir, "--read-only-tmpfs")
		}
	}
	return out
}

func (c *conversion) userMount(f *mountFlag) (specs.Mount, error) {
	m := specs.Mount{Destination: f.target}
	err := c.mapIDs(f, &m)
	if err != nil {
		return m, err
	}
	switch f.kind {
	case kindBind:
		if m.Source, err = f.hostPath(); err == nil && f.overlay {
			m.Source, err = c.userOverlay(f, m.Source)
		}
	case kindVolume:
		m.Source, err = c.userVolume(f, m)
	case kindImage:
		m.Source, err = c.userImage(f)
	default:
		return c.newFileSystem(f)
	}
	if err != nil {
		return m, err
	}
	m.Type, m.Options = "bind", []string{f.tree, "rprivate"}
	if f.propagation != "" {
		m.Options[1] = f.propagation
	}
	if f.recursive == "disabled" {
		m.Options[0] = "bind"
	}
	switch {
	case f.recursive == "readonly":
		m.Options = append(m.Options, "rro")
	case f.readonly, f.kind == kindImage && !f.writable:
		m.Options = append(m.Options, "ro")
	}
	m.Options = append(m.Options, f.attributes...)
	if f.idmap != nil {
		m.Options = append(m.Options, "idmap")
	}
	if f.chown {
		err = c.giveToUser(f, m.Source)
	}
	return m, err
}

func (c *conversion) userVolume(f *mountFlag, m specs.Mount) (string, error) {
	if c.o.VolumeDir == nil {
		return "", f.usage("there is no place for volumes here; give the path of a directory")
	}
	dir, err := c.o.VolumeDir(Volume{
		Name: f.source, Destination: f.target, Subpath: f.subpath, NoCopy: f.noCopy, UIDMappings: m.UIDMappings, GIDMappings: m.GIDMappings,
	})
	if err != nil {
		return "", &UsageError{Flag: f.flag, Value: f.value, Err: err}
	}
	return dir, nil
}

func (c *conversion) userOverlay(f *mountFlag, source string) (string, error) {
	if c.o.OverlayDir == nil {
		return "", f.usage("O: no overlay can be mounted here; copy the directory to a volume")
	}
	dir, err := c.o.OverlayDir(OverlayMount{Source: source, Destination: f.target, Upper: f.upper, Work: f.work})
	if err != nil {
		return "", &UsageError{Flag: f.flag, Value: f.value, Err: err}
	}
	return dir, nil
}

func (c *conversion) userImage(f *mountFlag) (string, error) {
	if c.o.ImageDir == nil {
		return "", f.usage("there is no store of images here")
	}
	dir, err := c.o.ImageDir(ImageMount{Image: f.source, Destination: f.target, Subpath: f.subpath, Writable: f.writable})
	if err != nil {
		return "", &UsageError{Flag: f.flag, Value: f.value, Err: err}
	}
	return dir, nil
}

// giveToUser gives the files of a source to the container's user, once the whole config is made.
func (c *conversion) giveToUser(f *mountFlag, source string) error {
	if c.o.Chown == nil {
		return f.usage("U: no files are changed here; give them to the user yourself")
	}
	uid, gid, err := c.hostUser(f)
	if err == nil {
		c.chown = append(c.chown, func() error {
			if err := c.o.Chown(source, uid, gid); err != nil {
				return &UsageError{Flag: f.flag, Value: f.value, Err: err}
			}
			return nil
		})
	}
	return err
}

// hostUser is the user of the process as the host knows it.
func (c *conversion) hostUser(f *mountFlag) (uid, gid uint32, err error) {
	u := c.spec.Process.User
	if !c.has(specs.UserNamespace) || len(c.spec.Linux.UIDMappings) == 0 {
		return u.UID, u.GID, nil
	}
	uid, okU := hostID(c.spec.Linux.UIDMappings, u.UID)
	gid, okG := hostID(c.spec.Linux.GIDMappings, u.GID)
	if !okU || !okG {
		return 0, 0, &UsageError{Flag: f.flag, Value: f.value, Err: ErrUnmapped}
	}
	return uid, gid, nil
}

// finish does to the files of the host what the flags ask for, now that nothing of the config can fail any more.
func (c *conversion) finish() error {
	for _, f := range c.chown {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// newFileSystem is a mount that shows nothing of the host.
func (c *conversion) newFileSystem(f *mountFlag) (specs.Mount, error) {
	m := specs.Mount{Destination: f.target, Type: f.kind, Source: f.kind, Options: []string{"noexec", "nosuid", "nodev"}}
	if f.kind == kindDevpts {
		m.Options = c.terminals(f.data)
	}
	for _, a := range f.attributes {
		m.Options = slices.DeleteFunc(m.Options, func(d string) bool { return sameAttribute(d, a) })
		m.Options = append(m.Options, a)
	}
	m.Options = append(m.Options, f.data...)
	if f.copyUp {
		m.Options = append(m.Options, "tmpcopyup")
	}
	if f.readonly {
		m.Options = append(m.Options, "ro")
	}
	if f.chown {
		u := c.spec.Process.User
		m.Options = append(m.Options, "uid="+strconv.Itoa(int(u.UID)), "gid="+strconv.Itoa(int(u.GID)))
	}
	return m, nil
}

// terminals are the options of a devpts as /dev/pts has them by default, as far as data does not say otherwise.
func (c *conversion) terminals(data []string) []string {
	defaults := []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}
	if !c.inUserns() || c.mapped(c.gids, ttyGroup) {
		defaults = append(defaults, "gid=5")
	}
	return slices.DeleteFunc(defaults, func(o string) bool {
		key, _, has := strings.Cut(o, "=")
		return has && slices.ContainsFunc(data, func(d string) bool { return strings.HasPrefix(d, key+"=") })
	})
}
