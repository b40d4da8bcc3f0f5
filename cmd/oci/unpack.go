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
	policy := pullMissing
	cmd := &cobra.Command{
		Use:   "unpack REF DIR",
		Short: "Unpack the root file system of an image into a directory",
		Long: "Unpack the layers of an image, in order, into DIR, which must be absent or empty. Digest, size and\n" +
			"DiffID of each layer are proved; on failure DIR is as it was. The image is pulled when it is missing.",
		Args: exact(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			s, err := a.openStore(ctx)
			if err != nil {
				return err
			}
			defer s.Close()
			done, err := a.ensurePulled(ctx, s, args[0], policy, t)
			if err != nil {
				return err
			}
			img := done.image
			err = publish(args[1], func(partial string) error {
				_, err := a.unpack(ctx, s, img, partial, t)
				return err
			})
			switch {
			case err != nil:
				return err
			case format.json():
				return format.write(a.out, a.unpackedResult(done, args[1]))
			case !t.quiet:
				fmt.Fprintf(a.err, "unpacked %d layers into %s\n", len(img.Layers()), args[1])
			}
			return nil
		},
	}
	t.register(cmd.Flags())
	t.registerQuiet(cmd.Flags())
	registerPull(cmd, &policy)
	a.registerLimits(cmd.Flags())
	format.registerOutput(cmd.Flags())
	return cmd
}

// unpacked is the JSON of `oci unpack`.
type unpacked struct {
	pulled
	Dir string `json:"dir"` // absolute
}

func (a *app) unpackedResult(done pulled, dir string) unpacked {
	if done.Fetched == 0 {
		done.Reused = imageSize(done.image)
	}
	u := unpacked{pulled: done, Dir: dir}
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
func (a *app) unpack(ctx context.Context, s *store.Store, img image.Image, dir string, t transferFlags) (unpack.Rootfs, error) {
	p := a.showProgress(t)
	defer p.close()
	o := a.unpackOptions()
	o.Events = p.event
	defer summarise(o.Logger)
	return unpack.Unpack(ctx, img.Layers(), s, dir, o)
}

// unpackOptions are those of this process: a user namespace cannot make devices, and one with a
// single id cannot give files to others.
func (a *app) unpackOptions() unpack.Options {
	o := unpack.Options{Logger: a.log, Limits: a.limits}
	if rootless() {
		o.Devices = unpack.DeviceSkip
		o.Logger = slog.New(&deviceLog{Handler: a.log.Handler()})
		o.SingleID = singleID()
	}
	return o
}
