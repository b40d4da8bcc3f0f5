package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/convert"
	"github.com/oci-pipeline/oci/bundle/origin"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// specFlags are those of `oci spec`.
type specFlags struct {
	dir, from string
	edit      bool
	rootless  bool
	remove    []string
	c         convertFlags
	ids       idMapFlags
	t         transferFlags
	policy    string
}

// stream stands for standard input and output in place of a directory.
const stream = "-"

func specCommand(a *app) *cobra.Command {
	f := &specFlags{policy: pullMissing, c: convertFlags{export: true}}
	cmd := &cobra.Command{
		Use:   "spec [flags] [CMD...]",
		Short: "Write a config.json, or edit one",
		Long: "Write a config.json that gives a shell in `rootfs` what Docker gives a container; with --from REF, what the image\n" +
			"asks for, without its files: names of users are looked up in DIR/rootfs, else in the layers. The flags are those of\n" +
			"`oci run`. A file that is there already is not replaced.\n\n" +
			"--edit changes the config.json that is there, whoever wrote it, by the same flags: what they do not speak of stays as\n" +
			"it is, also properties that oci does not know. CMD replaces process.args, --cap-drop takes from the capabilities that are\n" +
			"there. --remove takes the value at a JSON pointer away first; an element of a list may be named by what it is about:\n" +
			"/mounts/~1dev~1shm, /process/env/TERM, /linux/namespaces/network (~1 stands for a slash).\n\n" +
			"With --bundle - the config goes to standard output, and --edit reads it from standard input. --rootless writes one\n" +
			"for a user who is not root, as is the default for such a user: a user namespace in which they are 0, and nothing that only\n" +
			"root may do. Where each value comes from is kept beside config.json, for `oci explain`.",
		Example: "  oci spec -b b -e A=1 sleep 10\n" +
			"  oci spec -b b --from debian --rootless\n" +
			"  oci spec -b b --edit -m 512m --cap-drop ALL --remove /linux/seccomp\n" +
			"  oci spec -b - | oci spec -b - --edit --read-only > config.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			o, err := f.c.options(args)
			if err != nil {
				return err
			}
			if f.dir != stream {
				o.InitFile = initIn(f.dir)
			}
			if err := f.ids.userns(&o); err != nil {
				return err
			}
			o.NamespaceOf = a.namespaceOf
			if f.edit {
				return a.editSpec(f, o)
			}
			return a.writeSpec(cmd.Context(), f, o)
		},
	}
	f.register(a, cmd)
	return cmd
}

func (f *specFlags) register(a *app, cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.SetInterspersed(false)
	fs.StringVarP(&f.dir, "bundle", "b", ".", "`dir` of the bundle; - for standard output")
	fs.StringVar(&f.from, "from", "", "write what the image `REF` asks for")
	fs.BoolVar(&f.edit, "edit", false, "change the config.json that is there")
	fs.StringArrayVar(&f.remove, "remove", nil, "with --edit, take away what is at a JSON `pointer`; may be repeated")
	fs.BoolVar(&f.rootless, "rootless", os.Geteuid() > 0, "write a config for a user who is not root")
	fs.BoolVarP(&f.c.o.Terminal, "tty", "t", false, "the process has a terminal (default: without --from and CMD)")
	f.t.register(fs)
	f.t.registerQuiet(fs)
	registerPull(cmd, &f.policy)
	a.registerLimits(fs)
	f.ids.register(fs)
	f.c.register(fs)
}

// check refuses flags that would do nothing.
func (f *specFlags) check(cmd *cobra.Command) error {
	for _, g := range []struct {
		name string
		with bool
		why  string
	}{
		{"remove", f.edit, "--remove takes away from a config that is there: it goes with --edit"},
		{"from", !f.edit, "--from writes a new config: it does not go with --edit"},
		{"rootless", !f.edit, "--rootless writes a new config; --edit takes --uid-map and --gid-map"},
		{"pull", f.from != "", "--pull is about an image: it goes with --from"},
		{"platform", f.from != "", "--platform is about an image: it goes with --from"},
	} {
		if cmd.Flags().Changed(g.name) && !g.with {
			return usageErrorf(cmd, "%s", g.why)
		}
	}
	return nil
}

// writeSpec writes a new config.
func (a *app) writeSpec(ctx context.Context, f *specFlags, o convert.Options) error {
	if err := f.absent(); err != nil {
		return err
	}
	if err := f.forUser(&o); err != nil {
		return err
	}
	img := ispec.Image{Config: ispec.ImageConfig{Cmd: []string{"sh"}}}
	var record origin.Record
	root, done, err := openBundleRoot(f.dir, rootfsDir)
	if err != nil {
		return err
	}
	defer done()
	if f.from != "" {
		if img, record, err = a.specOf(ctx, f, &root); err != nil {
			return err
		}
	} else {
		o.Terminal = o.Terminal || !f.c.flags.Changed("tty") && len(o.Args) == 0
	}
	spec, marks, err := convert.SpecWithOrigins(img, root, o)
	if err != nil {
		return err
	}
	if f.from == "" {
		marks = slices.DeleteFunc(marks, func(m origin.Mark) bool {
			return m.Kind == origin.Image || m.Name == "--tty" && !f.c.flags.Changed("tty")
		})
	}
	if f.dir == stream {
		return a.printSpec(spec)
	}
	record.Marks = marks
	return writeConfig(f.dir, spec, record)
}

// absent refuses to replace a file.
func (f *specFlags) absent() error {
	path := filepath.Join(f.dir, bundle.ConfigName)
	if _, err := os.Lstat(path); f.dir != stream && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write spec %s: %w: remove it first, or change it by --edit", path, fs.ErrExist)
	}
	return nil
}

// forUser gives the conversion the user namespace: that of the maps, or for a user who is not root one in which they are 0, as
// `runc spec --rootless` makes it. No program needs to help them to that (user_namespaces(7)).
func (f *specFlags) forUser(o *convert.Options) error {
	uids, gids, err := f.ids.maps()
	if err != nil {
		return err
	}
	o.Rootless = f.rootless
	switch {
	case uids != nil:
		o.Userns, o.UIDMappings, o.GIDMappings = "private", specMaps(uids), specMaps(gids)
	case f.rootless && (o.Userns == "" || o.Userns == "private"):
		o.Userns = "private"
		o.UIDMappings = []specs.LinuxIDMapping{{HostID: uint32(max(os.Geteuid(), 0)), Size: 1}}
		o.GIDMappings = []specs.LinuxIDMapping{{HostID: uint32(max(os.Getegid(), 0)), Size: 1}}
	}
	return nil
}

// specOf gives the config of the image, pulled if need be; root, if there is none yet, reads its files out of the layers.
func (a *app) specOf(ctx context.Context, f *specFlags, root *convert.Rootfs) (ispec.Image, origin.Record, error) {
	ctx, stop := interruptible(ctx)
	defer stop()
	s, err := a.openStore(ctx)
	if err != nil {
		return ispec.Image{}, origin.Record{}, err
	}
	defer s.Close()
	name, img, err := a.ensure(ctx, s, f.from, f.policy, f.t)
	if err != nil {
		return ispec.Image{}, origin.Record{}, err
	}
	if *root == nil {
		files, err := tree.ReadFiles(ctx, img.Layers(), s, tree.Options{Limits: a.limits, Logger: a.log}, isUserFile)
		if err != nil {
			return ispec.Image{}, origin.Record{}, err
		}
		*root = files
	}
	return img.Config(), origin.Record{Image: name, Digest: img.Descriptor().Digest.String()}, nil
}

// isUserFile chooses the files that names of users are looked up in. They may be links to others of these names.
func isUserFile(name string, size int64) bool {
	base := path.Base(name)
	return size <= convert.MaxUserFile && (base == "passwd" || base == "group")
}

// openBundleRoot opens the root file system of a bundle by its path in config.json, to read files in it; none if there is no such
// directory.
func openBundleRoot(dir, root string) (convert.Rootfs, func(), error) {
	none := func() {}
	if dir == stream && !filepath.IsAbs(root) || root == "" {
		return nil, none, nil
	}
	if !filepath.IsAbs(root) {
		root = filepath.Join(dir, root)
	}
	if info, err := os.Stat(root); err != nil || !info.IsDir() {
		return nil, none, nil
	}
	r, err := convert.OpenRoot(root)
	if err != nil {
		return nil, none, err
	}
	return r, func() { r.Close() }, nil
}

func (a *app) printSpec(s *specs.Spec) error {
	raw, err := bundle.Marshal(s)
	if err != nil {
		return err
	}
	_, err = a.out.Write(raw)
	return err
}
