package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/bundle/convert"
	"github.com/oci-pipeline/oci/bundle/origin"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/unpack"
)

// rootfsDir is the root file system of a bundle, relative to it.
const rootfsDir = "rootfs"

func bundleCommand(a *app) *cobra.Command {
	var t transferFlags
	c := convertFlags{export: true}
	var owner ownerFlags
	policy := pullMissing
	cmd := &cobra.Command{
		Use:   "bundle [flags] REF DIR [CMD...]",
		Short: "Write a bundle of an image that any runtime can run",
		Long: "Unpack an image into DIR/rootfs and write DIR/config.json from its config, the defaults that Docker\n" +
			"gives a container, and the flags. DIR must be absent or empty. `runc run --bundle DIR ID`, `crun run` and\n" +
			"`oci run --bundle DIR ID` run it.\n\n" +
			ownerHelp + "\n\n" +
			"With maps config.json has a user namespace with these maps, and DIR may be entered by the group that is the\n" +
			"container's 0. With --devices bind it has a mount for each device of the image that the host has too, but\n" +
			"for those that every container has; the container may use them as far as its cgroup lets it (--device).\n\n" +
			"Volumes, those of the image too, are directories of the bundle: DIR/volumes/NAME, or _0, _1, ... without a\n" +
			"name, filled with what the image has there. Images of --mount type=image are unpacked to DIR/images.\n" +
			"config.json names them relative to DIR, as it does DIR/init, the init of --init. Directories of the host (-v /dir:...) are not looked for.",
		Example: "  oci bundle debian b && runc run --bundle b demo\n" +
			"  oci bundle --uid-map 0:100000:65536 debian b && runc run --bundle b demo",
		Args: atLeast(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			o, err := c.options(args[2:])
			if err != nil {
				return err
			}
			lay, err := owner.bundled(a, &o)
			if err != nil {
				return err
			}
			lay.policy = policy
			s, err := a.openStore(ctx)
			if err != nil {
				return err
			}
			defer s.Close()
			name, img, err := a.ensure(ctx, s, args[0], policy, t)
			if err != nil {
				return err
			}
			return a.recorded(s, img, name, filepath.Join(args[1], rootfsDir), &lay.unpack, func() error {
				return a.bundle(ctx, s, img, args[1], t, o, lay)
			})
		},
	}
	cmd.Flags().SetInterspersed(false)
	t.register(cmd.Flags())
	t.registerQuiet(cmd.Flags())
	registerPull(cmd, &policy)
	a.registerLimits(cmd.Flags())
	owner.register(cmd.Flags())
	c.register(cmd.Flags())
	cmd.Flags().BoolVarP(&c.o.Terminal, "tty", "t", false, "the process has a terminal")
	return cmd
}

// bundle writes a whole bundle to dir, or nothing. The directory is for its owner only, as the files
// of a stranger come into it.
func (a *app) bundle(ctx context.Context, s *store.Store, img image.Image, dir string, t transferFlags, o convert.Options, l bundleLayout) error {
	return publish(dir, func(partial string) error {
		if err := os.MkdirAll(partial, 0o700); err != nil {
			return fmt.Errorf("bundle: %w", err)
		}
		rootfs, err := a.unpack(ctx, s, img, filepath.Join(partial, rootfsDir), t, l.unpack)
		if err != nil {
			return err
		}
		if err := l.letIn(partial); err != nil {
			return err
		}
		root, err := convert.OpenRoot(rootfs.Dir())
		if err != nil {
			return err
		}
		defer root.Close()
		l.convert(&o)
		if l.bind {
			o.SpecMounts = append(o.SpecMounts, a.bindDevices(rootfs.Devices())...)
		}
		o.InitFile = initIn(partial)
		done, err := a.supplyBundle(ctx, s, partial, rootfs.Dir(), t, l, &o)
		if err != nil {
			return err
		}
		defer done()
		spec, marks, err := convert.SpecWithOrigins(img.Config(), root, o)
		if err != nil {
			return err
		}
		return writeConfig(partial, spec, origin.Record{Digest: img.Descriptor().Digest.String(), Marks: marks})
	})
}

// bundleLayout is how the files of a bundle are laid down, and the user namespace that fits them.
type bundleLayout struct {
	unpack     unpack.Options
	uids, gids []unpack.IDMap // as they are given on the command line; nil: those of this process
	single     bool
	bind       bool   // devices
	policy     string // --pull, for images to mount
}

// bundled gives the layout that the flags ask for.
func (f *ownerFlags) bundled(a *app, o *convert.Options) (l bundleLayout, err error) {
	if err := f.ids.userns(o); err != nil {
		return l, err
	}
	o.NamespaceOf = a.namespaceOf
	l.single, l.bind = f.single, f.devices == devicesBind
	l.unpack, l.uids, l.gids, err = f.options(a)
	return l, err
}

// convert gives the config a user namespace with the maps; without any, the config of a user who is not root one that
// this user can run from outside, with the maps of the namespace in which the files were written.
func (l *bundleLayout) convert(o *convert.Options) {
	switch {
	case l.uids != nil:
		o.Userns, o.UIDMappings, o.GIDMappings = "private", specMaps(l.uids), specMaps(l.gids)
		o.Rootless = rootless()
	case rootless():
		o.Userns = "private"
		useOwnMaps(o)
		if l.single {
			o.UIDMappings, o.GIDMappings = firstID(o.UIDMappings), firstID(o.GIDMappings)
		}
	}
}

// firstID is a map of id 0 alone.
func firstID(maps []specs.LinuxIDMapping) []specs.LinuxIDMapping {
	for _, m := range maps {
		if m.ContainerID == 0 {
			return []specs.LinuxIDMapping{{HostID: m.HostID, Size: 1}}
		}
	}
	return maps
}

// letIn lets the root of the container's user namespace through the bundle's directory to its files, as a
// group: the directory is closed to all others.
func (l *bundleLayout) letIn(dir string) error {
	for _, m := range l.unpack.GIDMap {
		if m.ContainerID != 0 {
			continue
		}
		if err := openTo(dir, int(m.HostID)); err != nil {
			return fmt.Errorf("bundle: %w", err)
		}
	}
	return nil
}

// useOwnMaps tells the conversion which ids the user namespace has in which this process stands.
func useOwnMaps(o *convert.Options) {
	o.Rootless = true
	for _, m := range currentMap("/proc/self/uid_map") {
		o.UIDMappings = append(o.UIDMappings, specs.LinuxIDMapping{ContainerID: m.inside, HostID: m.outside, Size: m.count})
	}
	for _, m := range currentMap("/proc/self/gid_map") {
		o.GIDMappings = append(o.GIDMappings, specs.LinuxIDMapping{ContainerID: m.inside, HostID: m.outside, Size: m.count})
	}
}
