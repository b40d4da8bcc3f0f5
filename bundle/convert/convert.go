package convert

import (
	"fmt"
	"path"
	"slices"
	"strings"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/origin"
	"github.com/oci-pipeline/oci/conformance/spec"
)

// Spec converts img. The user and group files are read through rootfs; nil is one of which nothing
// is known: there are no names then, and HOME is left to the runtime. The error is an *Error (the image is at fault), a *UsageError (a flag is), or an
// error of rootfs or VolumeDir, wrapped in one of them.
func Spec(img ispec.Image, rootfs Rootfs, o Options) (*specs.Spec, error) {
	c, err := converted(img, rootfs, o)
	if err != nil {
		return nil, err
	}
	return c.spec, nil
}

func converted(img ispec.Image, rootfs Rootfs, o Options) (*conversion, error) {
	c := newConversion(img, rootfs, o)
	for _, s := range steps() {
		if err := s.run(c); err != nil {
			return nil, err
		}
	}
	if problems := bundle.Validate(c.spec).Must(); len(problems) > 0 {
		return nil, &Error{Op: "convert", Subject: "image", Err: fmt.Errorf("%w: %w", ErrInvalid, problems)}
	}
	return c, c.finish()
}

// conversion is one run of Spec.
type conversion struct {
	img        ispec.Image
	rootfs     Rootfs
	o          Options
	host       Host
	spec       *specs.Spec
	uids, gids []specs.LinuxIDMapping // of the user namespace that the container has; nil: those of the host

	users  users // the user database, read once
	named  int   // devices of the config that flags named; the others are the host's, for a privileged container
	chown  []func() error
	from   map[string]string       // which flag made the mount at a destination, where it is not the one that names it
	marked []origin.Mark           // of values that a step knows the flag of
	before int                     // arguments that are before those of the program
	found  map[string][]specs.Hook // what an edit found, by stage
}

// step sets some fields of the config.
type step struct {
	fields string // which, as JSON pointers
	run    func(*conversion) error
}

// steps in order: a later one may read what an earlier one set.
func steps() []step {
	return []step{
		{"none: refuses what is not for linux", (*conversion).platform},
		{"/root", (*conversion).root},
		{"/process/args", (*conversion).args},
		{"/process/cwd", (*conversion).cwd},
		{"/process/user", (*conversion).user},
		{"/process/terminal /process/env, after the user for HOME", (*conversion).env},
		{"/annotations", (*conversion).annotations},
		{"/linux/namespaces /linux/{uid,gid}Mappings /hostname /domainname", (*conversion).namespaces},
		{"/process/capabilities, after the user", (*conversion).capabilities},
		{"/mounts, after the namespaces", (*conversion).mounts},
		{"/linux/devices /linux/resources/devices", (*conversion).devices},
		{"/linux/resources /linux/cgroupsPath", (*conversion).resources},
		{"/process/rlimits /process/oomScoreAdj", (*conversion).limits},
		{"/linux/sysctl, after the namespaces", (*conversion).sysctls},
		{"/linux/seccomp /linux/{masked,readonly}Paths /process/{noNewPrivileges,apparmorProfile}, after the capabilities", (*conversion).security},
		{"what CDI devices ask for, after all that it can replace", (*conversion).cdi},
		{"/hooks, after what they ask about", (*conversion).hooksDirs},
		{"/process/args /mounts, for an init", (*conversion).addInit},
		{"/ociVersion, from all the others", (*conversion).version},
	}
}

func newConversion(img ispec.Image, rootfs Rootfs, o Options) *conversion {
	c := &conversion{img: img, rootfs: rootfs, o: o, spec: bundle.DefaultSpec(), uids: o.UIDMappings, gids: o.GIDMappings}
	if o.Host != nil {
		c.host = *o.Host
	} else {
		c.host = DetectHost()
	}
	return c
}

func (c *conversion) platform() error {
	if os := c.img.OS; os != "" && os != "linux" {
		return imageError("os", spec.ConversionAnnotations, fmt.Errorf("%w: %q", ErrPlatform, os))
	}
	return nil
}

func (c *conversion) root() error {
	c.spec.Root.Readonly = c.o.ReadOnly
	if c.o.Root != "" {
		c.spec.Root.Path = c.o.Root
	}
	return nil
}

// args joins entrypoint and command as Docker does: a new entrypoint makes the image's command
// meaningless, new arguments replace only the command.
func (c *conversion) args() error {
	entrypoint, cmd := c.img.Config.Entrypoint, c.img.Config.Cmd
	if c.o.Entrypoint != nil {
		entrypoint, cmd = c.o.Entrypoint, nil
	}
	if len(c.o.Args) > 0 {
		cmd = c.o.Args
	}
	args := slices.Concat(entrypoint, cmd)
	if len(args) == 0 && c.o.Entrypoint != nil {
		return usage("--entrypoint", strings.Join(entrypoint, " "), "cleared the image's Entrypoint and Cmd: give a command to run")
	}
	if len(args) == 0 {
		return imageError("config.Entrypoint", spec.BundleProcess, ErrNoCommand)
	}
	for _, a := range args {
		if strings.ContainsRune(a, 0) {
			return imageError("config.Entrypoint", spec.Clause{}, fmt.Errorf("%w: NUL in argument %q", ErrInvalid, a))
		}
	}
	c.spec.Process.Args = args
	return nil
}

// cwd resolves ".." lexically: a runtime makes the directory before it enters the root, and must
// not be led out of it (CVE-2024-21626 came this way).
func (c *conversion) cwd() error {
	dir := c.img.Config.WorkingDir
	if c.o.Workdir != "" {
		if !path.IsAbs(c.o.Workdir) {
			return usage("--workdir", c.o.Workdir, "not an absolute path")
		}
		dir = c.o.Workdir
	}
	if strings.ContainsRune(dir, 0) {
		return imageError("config.WorkingDir", spec.ConversionVerbatim, fmt.Errorf("%w: NUL in %q", ErrInvalid, dir))
	}
	if !path.IsAbs(dir) || slices.Contains(strings.Split(dir, "/"), "..") {
		dir = path.Join("/", dir)
	}
	c.spec.Process.Cwd = dir
	return nil
}

func (c *conversion) version() error {
	c.spec.Version = bundle.MinVersion(c.spec)
	return nil
}

// inUserns reports whether the container lives in a user namespace that is not the host's.
func (c *conversion) inUserns() bool { return c.o.Rootless || c.has(specs.UserNamespace) }

func (c *conversion) has(t specs.LinuxNamespaceType) bool {
	return slices.ContainsFunc(c.spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == t })
}
