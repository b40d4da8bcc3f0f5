package convert

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle/internal/program"
	"github.com/oci-pipeline/oci/bundle/pid1"
)

// InitDestination is where --init shows the init in the container. podman and Docker have /run/podman-init and /sbin/docker-init.
const InitDestination = "/run/oci-init"

// addInit puts an init before the program: a mount of a file that Options.InitFile supplies, or the user has, and two arguments. It comes after
// the mounts, so that a tmpfs at /run does not hide it, and after the hooks, which ask about the program.
func (c *conversion) addInit() error {
	flag, value := "--init", "true"
	if c.o.InitPath != "" {
		flag, value = "--init-path", c.o.InitPath
	} else if !c.o.Init {
		return nil
	}
	p := c.spec.Process
	if p == nil || len(p.Args) == 0 {
		return usage(flag, value, "there is no program to start: give its arguments")
	}
	flags, err := parseMounts(c.o)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(flags, func(f mountFlag) bool { return path.Clean(f.target) == InitDestination }); i >= 0 {
		return flags[i].usage("%s is where %s shows the init", InitDestination, flag)
	}
	source, err := c.initSource()
	if err != nil {
		return &UsageError{Flag: flag, Value: value, Err: err}
	}
	if p.Args[0] != InitDestination {
		p.Args = append([]string{InitDestination, "--"}, p.Args...)
	}
	c.before = 2
	c.mark("/process/args/0", flag)
	c.mark("/process/args/1", flag)
	c.spec.Mounts = append(slices.DeleteFunc(c.spec.Mounts, func(m specs.Mount) bool { return path.Clean(m.Destination) == InitDestination }),
		specs.Mount{Destination: InitDestination, Type: "bind", Source: source, Options: []string{"bind", "rprivate", "ro", "nosuid", "nodev"}})
	c.mark(fmt.Sprintf("/mounts/%d", len(c.spec.Mounts)-1), flag)
	return nil
}

// Program gives the arguments of the container's program: those of the process without an init that addInit put before them.
func Program(s *specs.Spec) []string {
	if s.Process == nil {
		return nil
	}
	if args := s.Process.Args; len(args) > 2 && args[0] == InitDestination && args[1] == "--" {
		return args[2:]
	}
	return s.Process.Args
}

// initSource is the path of the file on the host.
func (c *conversion) initSource() (string, error) {
	if c.o.InitPath != "" {
		file, err := filepath.Abs(c.o.InitPath)
		if err != nil {
			return "", err
		}
		return file, checkStatic(file)
	}
	if c.o.InitFile == nil {
		return "", errors.New("there is no bundle to write it to; --init-path takes one of the host")
	}
	arch := cmp.Or(c.img.Architecture, c.spec.Annotations["org.opencontainers.image.architecture"], runtime.GOARCH)
	if arch == "386" {
		arch = "amd64" // whose kernels run both
	}
	program, err := pid1.ELF(arch)
	if err != nil {
		return "", fmt.Errorf("%w; --init-path takes one of yours", err)
	}
	return c.o.InitFile(program)
}

// checkStatic asks for an executable that needs nothing of the container's files: no interpreter and no dynamic linker.
func checkStatic(file string) error {
	f, err := os.OpenFile(file, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || runtime.GOOS != "windows" && info.Mode()&0o111 == 0 {
		return errors.New("not an executable file")
	}
	head := make([]byte, 256)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	p := program.Parse(head[:n], func(b []byte, at int64) bool {
		_, err := f.ReadAt(b, at)
		return err == nil
	})
	switch {
	case !p.ELF || p.Torn:
		return errors.New("not an ELF program")
	case p.Loader != "":
		return errors.New("it needs a dynamic linker, which the container may not have: an init is a static program")
	}
	return nil
}
