package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/unpack"
)

func unpackCommand(a *app) *cobra.Command {
	var t transferFlags
	var format formatFlag
	var owner ownerFlags
	policy := pullMissing
	cmd := &cobra.Command{
		Use:   "unpack REF DIR",
		Short: "Unpack the root file system of an image into a directory",
		Long: "Unpack the layers of an image, in order, into DIR, which must be absent or empty. Digest, size and\n" +
			"DiffID of each layer are proved; on failure DIR is as it was. The image is pulled when it is missing,\n" +
			"or when a layout on disk has another by now.\n" +
			"All is written beside DIR and renamed at the end; if DIR is a mount point, it is written there, and SIGKILL leaves it.\n\n" +
			"The store keeps a record of it, from which `oci verify --rootfs DIR` proves later what of DIR is still the\n" +
			"image; `oci prune` takes away the records of directories that are gone.\n\n" +
			ownerHelp,
		Example: "  oci unpack debian rootfs\n" +
			"  oci unpack --uid-map 0:100000:65536 debian rootfs     # as root: for a container with a user namespace\n" +
			"  oci unpack --single-id --devices bind debian rootfs   # what umoci unpack --rootless makes",
		Args: exact(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			o, _, _, err := owner.options(a)
			if err != nil {
				return err
			}
			s, err := a.openStore(ctx)
			if err != nil {
				return err
			}
			defer s.Close()
			done, err := a.ensurePulled(ctx, s, args[0], policy, t)
			if err != nil {
				return err
			}
			var rootfs unpack.Rootfs
			err = a.recorded(s, done.image, done.Name, args[1], &o, func() error {
				return publish(args[1], func(partial string) (err error) {
					rootfs, err = a.unpack(ctx, s, done.image, partial, t, o)
					return err
				})
			})
			switch {
			case err != nil:
				return err
			case format.json():
				return format.write(a.out, a.unpackedResult(done, args[1], rootfs.Devices()))
			case !t.quiet:
				fmt.Fprintf(a.err, "unpacked %d layers into %s\n", len(done.image.Layers()), args[1])
				a.tellPlaceholders(rootfs.Devices())
			}
			return nil
		},
	}
	t.register(cmd.Flags())
	t.registerQuiet(cmd.Flags())
	registerPull(cmd, &policy)
	owner.register(cmd.Flags())
	a.registerLimits(cmd.Flags())
	format.registerOutput(cmd.Flags())
	return cmd
}

// unpacked is the JSON of `oci unpack`.
type unpacked struct {
	pulled
	Dir     string        `json:"dir"`               // absolute
	Devices []placeholder `json:"devices,omitempty"` // of --devices bind
}

// placeholder is an empty file that stands for a device of the image.
type placeholder struct {
	Path  string `json:"path"` // in the image, absolute
	Type  string `json:"type"` // "c" or "b"
	Major uint32 `json:"major"`
	Minor uint32 `json:"minor"`
	Mode  string `json:"mode"` // octal
	UID   uint32 `json:"uid"`  // in the image
	GID   uint32 `json:"gid"`
}

func placeholders(devices []unpack.Device) []placeholder {
	var list []placeholder
	for _, d := range devices {
		if !d.Placeholder {
			continue
		}
		kind := "c"
		if d.Kind == unpack.BlockDevice {
			kind = "b"
		}
		list = append(list, placeholder{"/" + d.Path, kind, d.Major, d.Minor, fmt.Sprintf("%04o", d.Mode), d.UID, d.GID})
	}
	return list
}

// tellPlaceholders names the empty files that stand for devices.
func (a *app) tellPlaceholders(devices []unpack.Device) {
	const most = 20
	list := placeholders(devices)
	for i, d := range list {
		if i == most {
			fmt.Fprintf(a.err, "and %d more\n", len(list)-most)
			break
		}
		fmt.Fprintf(a.err, "an empty file stands for the device %q, %s %d:%d\n", d.Path, d.Type, d.Major, d.Minor)
	}
}

func (a *app) unpackedResult(done pulled, dir string, devices []unpack.Device) unpacked {
	if done.Fetched == 0 {
		done.Reused = imageSize(done.image)
	}
	u := unpacked{pulled: done, Dir: dir, Devices: placeholders(devices)}
	if abs, err := filepath.Abs(dir); err == nil {
		u.Dir = abs
	}
	u.describe(done.image)
	a.finish(&u.pulled)
	return u
}

func registerPull(cmd *cobra.Command, policy *string) {
	cmd.Flags().StringVar(policy, "pull", *policy, "when to pull: `policy` missing, always or never")
}

// unpack writes the merged root file system of img to dir.
func (a *app) unpack(ctx context.Context, s *store.Store, img image.Image, dir string, t transferFlags, o unpack.Options) (unpack.Rootfs, error) {
	p := a.showProgress(t)
	defer p.close()
	o.Events = p.event
	defer summarise(o.Logger)
	return unpack.Unpack(ctx, img.Layers(), s, dir, o)
}

// unpackOptions are those of this process: a user namespace cannot make devices, and one with a
// single id cannot give files to others.
func (a *app) unpackOptions() unpack.Options {
	o := unpack.Options{Logger: a.log, Limits: a.limits}
	if rootless() || inUserNamespace() {
		o.Devices = unpack.DeviceSkip
		o.Logger = slog.New(&deviceLog{Handler: a.log.Handler(), cannot: true})
		o.SingleID = singleID()
	}
	return o
}

// ownerHelp is the part of the help of unpack and bundle on owners and devices.
const ownerHelp = "As root, files get the owners that the image says, or those that --uid-map and --gid-map make of them: with\n" +
	"0:100000:65536 user 0 of the image becomes 100000. A user who is not root has the ids of /etc/subuid and\n" +
	"/etc/subgid, where newuidmap is installed, and may name them in a map as they are on the host; without, or with\n" +
	"--single-id, all files belong to the user, and the owner that the image says is kept in the xattr\n" +
	"user.rootlesscontainers, as umoci --rootless keeps it: of files and directories that are not 0:0's, since other\n" +
	"types cannot have it. An id that there is not is an error, which names the line to add to /etc/subuid.\n\n" +
	"Only root may make devices. --devices skip leaves those of the image out, bind makes empty files in their places."
