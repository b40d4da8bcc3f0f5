package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/convert"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
)

// rootfsDir is the root file system of a bundle, relative to it.
const rootfsDir = "rootfs"

func bundleCommand(a *app) *cobra.Command {
	var t transferFlags
	var c convertFlags
	policy, labels := pullMissing, "refuse"
	cmd := &cobra.Command{
		Use:   "bundle [flags] REF DIR [CMD...]",
		Short: "Write a bundle of an image that any runtime can run",
		Long: "Unpack an image into DIR/rootfs and write DIR/config.json from its config, the defaults that Docker\n" +
			"gives a container, and the flags. DIR must be absent or empty. `runc run --bundle DIR ID`, `crun run` and\n" +
			"`oci run --bundle DIR ID` run it.",
		Args: atLeast(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			o, err := c.options(args[2:])
			if err == nil {
				o.ImageLabels, err = labelPolicy(labels)
			}
			if err != nil {
				return err
			}
			s, err := a.openStore(ctx)
			if err != nil {
				return err
			}
			defer s.Close()
			_, img, err := a.ensure(ctx, s, args[0], policy, t)
			if err != nil {
				return err
			}
			return a.bundle(ctx, s, img, args[1], t, o)
		},
	}
	cmd.Flags().SetInterspersed(false)
	t.register(cmd.Flags())
	t.registerQuiet(cmd.Flags())
	registerPull(cmd, &policy)
	a.registerLimits(cmd.Flags())
	cmd.Flags().StringVar(&labels, "labels", labels, "labels of the image that steer some runtime: `policy` refuse, drop or allow")
	c.register(cmd.Flags())
	cmd.Flags().BoolVarP(&c.o.Terminal, "tty", "t", false, "the process has a terminal")
	return cmd
}

func labelPolicy(s string) (convert.LabelPolicy, error) {
	switch s {
	case "refuse":
		return convert.RefuseUnsafe, nil
	case "drop":
		return convert.DropUnsafe, nil
	case "allow":
		return convert.AllowUnsafe, nil
	}
	return 0, usageErrorf(nil, "--labels: %q is none of refuse, drop, allow", s)
}

// bundle writes a whole bundle to dir, or nothing. The directory is for its owner only, as the files
// of a stranger come into it.
func (a *app) bundle(ctx context.Context, s *store.Store, img image.Image, dir string, t transferFlags, o convert.Options) error {
	return publish(dir, func(partial string) error {
		if err := os.MkdirAll(partial, 0o700); err != nil {
			return fmt.Errorf("bundle: %w", err)
		}
		rootfs, err := a.unpack(ctx, s, img, filepath.Join(partial, rootfsDir), t)
		if err != nil {
			return err
		}
		root, err := convert.OpenRoot(rootfs.Dir())
		if err != nil {
			return err
		}
		defer root.Close()
		foreignRootless(&o)
		spec, err := convert.Spec(img.Config(), root, o)
		if err != nil {
			return err
		}
		return bundle.Write(partial, spec)
	})
}

// foreignRootless makes the config of a user who is not root one that this user can run from
// outside: with a user namespace that has the maps of the one in which the files were written.
func foreignRootless(o *convert.Options) {
	if !rootless() {
		return
	}
	o.Userns = "private"
	useOwnMaps(o)
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
