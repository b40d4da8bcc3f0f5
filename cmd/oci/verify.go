package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/unpack/verify"
)

// verifyFlags are the flags of `oci verify`.
type verifyFlags struct {
	t      transferFlags
	owner  ownerFlags
	rootfs string
	level  string
	policy string
	ignore []string
	format formatFlag
}

func verifyCommand(a *app) *cobra.Command {
	f := verifyFlags{level: verify.Content.String(), policy: pullNever}
	cmd := &cobra.Command{
		Use:   "verify {REF | --rootfs DIR [REF]}",
		Short: "Prove that an image, or a root file system that was unpacked, is what it says",
		Long: "Prove an image of the store: its blobs, and the layers that were unpacked of it for `oci run`; or with --rootfs,\n" +
			"that DIR is still the image that it was unpacked from. Each path that was changed is named with what is\n" +
			"different, and so are missing and extra ones. The status is 6 when something is not what it should be.\n\n" +
			"--level says how much is proved; each has what the former has:\n" +
			"  marker    that `oci unpack` or `oci bundle` made DIR of this image; of an image, that its blobs are there\n" +
			"  metadata  every path: type, mode, owner, time, link, device, xattrs, hardlinks, size; missing and extra paths;\n" +
			"            of an image, blobs by their digests and DiffIDs, and unpacked layers by their times of change\n" +
			"  content   the content of every file, with the layers' bytes; of an image, unpacked layers are rebuilt too\n" +
			"  exact     the tar of every layer, put together again from DIR and its log, has the DiffID\n\n" +
			"DIR is a root file system, or a bundle, whose rootfs it is then. What `oci unpack` and `oci bundle` made has a\n" +
			"record in the store, which holds with a directory that was moved: without REF it says which image is meant. REF is\n" +
			"needed for what other tools have unpacked, and for the mounted file system of a container; --uid-map, --gid-map, --single-id\n" +
			"and --devices say then how it was done. Names that a running container may well change are left out with --ignore.\n" +
			"What is mounted in DIR is not looked into.\n\n" +
			"Nothing is pulled unless --pull says so. With the record, blobs are needed only of layers of which other layers hide\n" +
			"files; a layer that cannot be proved without its blob is told, and the status is 6.",
		Example: "  oci verify python:3.13\n" +
			"  oci unpack python:3.13 rootfs && oci verify --rootfs rootfs\n" +
			"  oci verify --rootfs bundle --level exact\n" +
			"  oci verify --rootfs /mnt --ignore /etc/hosts --ignore /etc/resolv.conf python:3.13",
		Args: between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			return a.verify(ctx, cmd, args, &f)
		},
	}
	fs := cmd.Flags()
	f.t.register(fs)
	f.t.registerQuiet(fs)
	fs.StringVar(&f.rootfs, "rootfs", "", "prove the root file system in `DIR`")
	fs.StringVar(&f.level, "level", f.level, "how much is proved: "+strings.Join(verify.Levels(), ", "))
	fs.StringArrayVar(&f.ignore, "ignore", nil, "do not look at this `path` of the root file system, nor below; / stands for the root's own attributes; may be repeated")
	registerPull(cmd, &f.policy)
	f.owner.register(fs)
	a.registerLimits(fs)
	f.format.registerOutput(fs)
	return cmd
}

// verify proves an image or a root file system, and tells what it found.
func (a *app) verify(ctx context.Context, cmd *cobra.Command, args []string, f *verifyFlags) error {
	level, err := verify.ParseLevel(f.level)
	if err != nil {
		return usageErrorf(cmd, "--level: %q is none of %s", f.level, strings.Join(verify.Levels(), ", "))
	}
	switch {
	case f.rootfs == "" && len(args) == 0:
		return usageErrorf(cmd, "what is to be proved: REF, or --rootfs DIR")
	case f.rootfs == "" && len(f.ignore) > 0:
		return usageErrorf(cmd, "--ignore goes with --rootfs")
	}
	s, err := a.verifiedStore(ctx, f)
	if err != nil {
		return err
	}
	defer s.Close()
	var r verified
	if f.rootfs == "" {
		r, err = a.verifyImage(ctx, s, args[0], level, f)
	} else {
		r, err = a.verifyRootfs(ctx, cmd, s, args, level, f)
	}
	if err != nil {
		return err
	}
	r.Level, r.DurationMs = level.String(), time.Since(a.start).Milliseconds()
	r.Warnings = a.notes.list()
	if f.format.json() {
		err = f.format.write(a.out, r)
	} else if !f.t.quiet {
		err = r.write(a.out)
	}
	if err == nil && !r.Verified {
		err = &exitError{statusUnverified, errors.New(r.summary())}
	}
	return err
}

// verifiedStore opens the store: for writing only if something may be pulled.
func (a *app) verifiedStore(ctx context.Context, f *verifyFlags) (*store.Store, error) {
	if f.policy == pullNever {
		return a.existingStore(ctx, false)
	}
	return a.openStore(ctx)
}

// verifiedRoot is a root file system to prove, and all that is known about it.
type verifiedRoot struct {
	dir    *os.File
	image  image.Image
	name   string
	record *verify.Record // nil if there is none
	o      verify.Options
}

// verifyRootfs proves a root file system.
func (a *app) verifyRootfs(ctx context.Context, cmd *cobra.Command, s *store.Store, args []string, level verify.Level, f *verifyFlags) (verified, error) {
	dir, err := rootfsOf(f.rootfs)
	if err != nil {
		return verified{}, err
	}
	root := verifiedRoot{}
	if root.dir, err = os.Open(dir); err != nil {
		return verified{}, err
	}
	defer root.dir.Close()
	if err := a.identify(ctx, cmd, s, args, f, &root); err != nil {
		return verified{}, err
	}
	r := newVerified(root.name, root.image)
	r.Rootfs, r.Recorded = dir, root.record != nil
	if abs, err := filepath.Abs(dir); err == nil {
		r.Rootfs = abs
	}
	if root.record != nil {
		for _, d := range root.record.Differences(root.image) {
			r.Problems = append(r.Problems, "it was unpacked from another image: "+d)
		}
	}
	if level == verify.Marker {
		if root.record == nil {
			err = &verify.Error{Op: "verify", Subject: dir, Err: fmt.Errorf("%w: the level marker has nothing to compare", verify.ErrNoRecord)}
		}
		r.Verified = len(r.Problems) == 0
		return r, err
	}
	root.o.Level, root.o.Ignore, root.o.Limits, root.o.Logger = level, f.ignore, a.limits, a.log
	report, err := verify.Rootfs(ctx, root.image, root.dir, root.o)
	if err != nil {
		return verified{}, err
	}
	r.add(report)
	r.Verified = report.OK() && len(r.Problems) == 0
	return r, nil
}

// identify finds out which image a root file system should be, and how it was unpacked.
func (a *app) identify(ctx context.Context, cmd *cobra.Command, s *store.Store, args []string, f *verifyFlags, root *verifiedRoot) error {
	rec, err := verify.OpenRecords(s.RecordsDir()).Find(root.dir)
	switch {
	case err == nil:
		root.record, root.image, root.name = rec, rec.Image(), rec.Name
		root.o.Logs, root.o.How = rec.Log, rec.How
	case !errors.Is(err, verify.ErrNoRecord) && !errors.Is(err, verify.ErrRecord):
		return err
	case errors.Is(err, verify.ErrRecord):
		fmt.Fprintf(a.err, "warning: %s\n", message(err.Error()))
		fallthrough
	default:
		if len(args) == 0 {
			return &missingRecordError{err}
		}
		root.o.Foreign = true
	}
	if root.record == nil || ownersGiven(cmd) {
		if root.o.How, err = f.how(a); err != nil {
			return err
		}
	}
	root.o.Blobs = s
	if len(args) > 0 {
		done, err := a.ensurePulled(ctx, s, args[0], f.policy, f.t)
		root.image, root.name = done.image, done.Name
		return err
	}
	if f.policy != pullNever && (f.policy == pullAlways || !hasLayers(ctx, s, root.image)) {
		_, err = a.ensurePulled(ctx, s, recordedRef(root.record), pullAlways, f.t)
	}
	return err
}

// missingRecordError is a directory of which the store knows nothing.
type missingRecordError struct{ err error }

// Error says what to do about it.
func (e *missingRecordError) Error() string {
	return e.err.Error() + ": name the image that it was unpacked from"
}

// Unwrap gives the kind.
func (e *missingRecordError) Unwrap() error { return e.err }

// recordedRef names the recorded image by its digest, whatever its name means by now.
func recordedRef(r *verify.Record) string {
	name, _, _ := strings.Cut(r.Name, "@")
	if strings.HasPrefix(r.Name, "oci:") || strings.Contains(name, "-archive:") || strings.HasPrefix(name, "dir:") {
		return r.Name // such a place has no other names for it
	}
	return name + "@" + r.Manifest.Digest.String()
}

// hasLayers tells whether the store has all layers of an image.
func hasLayers(ctx context.Context, s *store.Store, img image.Image) bool {
	for _, l := range img.Layers() {
		if ok, err := s.Has(ctx, l.Descriptor); !ok || err != nil {
			return false
		}
	}
	return true
}

// ownersGiven tells whether the command line says how files were given to owners.
func ownersGiven(cmd *cobra.Command) bool {
	for _, flag := range []string{"uid-map", "gid-map", "single-id", "devices"} {
		if cmd.Flags().Changed(flag) {
			return true
		}
	}
	return false
}

// how gives what the flags, and this process, say about an unpacking that there is no record of.
func (f *verifyFlags) how(a *app) (verify.How, error) {
	o, _, _, err := f.owner.options(a)
	how := verify.How{UIDMap: o.UIDMap, GIDMap: o.GIDMap, SingleID: o.SingleID}
	if f.owner.devices != devicesError && (f.owner.devices != "" || rootless()) {
		how.LeftOut = []string{"device"}
	}
	return how, err
}
