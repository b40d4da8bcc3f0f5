package main

import (
	"fmt"
	"os"
	"path"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/unpack/repack"
)

// repackFlags say what `oci repack` makes.
type repackFlags struct {
	t           transferFlags
	out         outputFlags
	maps        idMapFlags
	base        string
	policy      string
	container   string
	masks       []string
	noVolumes   bool
	compression string
	level       int
	squash      bool

	author, comment, createdBy, created string
	changes                             []string
}

func (f *repackFlags) register(fs *pflag.FlagSet) {
	f.t.register(fs)
	f.t.registerQuiet(fs)
	f.out.register(fs)
	f.maps.register(fs)
	f.policy = pullMissing
	fs.StringVar(&f.policy, "pull", f.policy, "when to pull the base: `policy` missing, always or never")
	fs.StringVar(&f.base, "base", "", "the image that DIR was unpacked from (default: the one that DIR was unpacked from by this program)")
	fs.StringVar(&f.container, "container", "", "take the changes of the container `ID` instead of a directory's")
	fs.StringArrayVar(&f.masks, "mask-path", nil, "leave out what changed at and below this `path`; may be repeated")
	fs.BoolVar(&f.noVolumes, "no-mask-volumes", false, "do not leave out what changed in the image's volumes")
	fs.StringVar(&f.compression, "compression", "gzip", "`how` the layer is compressed: gzip, zstd or none")
	fs.IntVar(&f.level, "compression-level", 0, "gzip's 1 to 9 (default 6) or zstd's 1 to 22 (default 3)")
	fs.BoolVar(&f.squash, "squash", false, "make one layer of all files instead of one more layer")
	fs.StringVarP(&f.author, "author", "a", "", "`author` of the image and of the step in its history")
	fs.StringVarP(&f.comment, "message", "m", "", "`text` for the step in the history")
	fs.StringVar(&f.comment, "comment", "", "the same as --message")
	_ = fs.MarkHidden("comment")
	fs.StringVar(&f.createdBy, "created-by", "", "`command` that the history names (default: oci repack)")
	fs.StringVar(&f.created, "created", "", "`time` of the image, RFC 3339 (default: $SOURCE_DATE_EPOCH, else now)")
	fs.StringArrayVarP(&f.changes, "change", "c", nil, "change the config by an `instruction` of Dockerfiles, as 'CMD [\"sh\"]'; may be repeated")
}

func repackCommand(a *app) *cobra.Command {
	var f repackFlags
	cmd := &cobra.Command{
		Use:   "repack [flags] {DIR | --container ID} NAME",
		Short: "Make an image of what was changed in an unpacked one",
		Long: "Compare DIR, a root file system or a bundle, with the image that it was unpacked from, and write an image with\n" +
			"one more layer that holds the difference into the store as NAME: deletions are whiteouts, files that are\n" +
			"hardlinks stay that. Every file is compared by content. Changes in the image's volumes are left out; with --squash what\n" +
			"was added in them.\n\n" +
			"Of a DIR in which nothing changed, NAME becomes the image itself, with the same digest, unless flags change\n" +
			"its config. An image for several platforms is taken for one. Docker's images stay Docker's.\n\n" +
			"$SOURCE_DATE_EPOCH is the time of the image and of all files that are newer: the same DIR then gives the same\n" +
			"image, byte for byte. What changes while it is read is an error, and nothing is written.\n\n" +
			"Sockets are left out, as are character devices 0:0, which would delete what they hide, and, with a warning, what\n" +
			"files that are mounted over others hold.\n\n" +
			"--container takes what a container that was made by `oci run` wrote, without what is mounted in it, and with the\n" +
			"ids that the container saw.",
		Args: between(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd, args); err != nil {
				return err
			}
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			done, err := a.repack(ctx, cmd, args, &f)
			if err != nil {
				return err
			}
			return a.printRepacked(done, f)
		},
	}
	f.register(cmd.Flags())
	a.registerLimits(cmd.Flags())
	return cmd
}

// check looks for what cannot be meant.
func (f *repackFlags) check(cmd *cobra.Command, args []string) error {
	if (f.container == "") != (len(args) == 2) {
		return usageErrorf(cmd, "want DIR and NAME, or --container ID and NAME")
	}
	if f.compression == "none" && cmd.Flags().Changed("compression-level") {
		return usageErrorf(cmd, "--compression-level: --compression none has no levels")
	}
	for i, m := range f.masks {
		if f.masks[i] = path.Clean("/" + m); f.masks[i] == "/" {
			return usageErrorf(cmd, "--mask-path: %q is all of it", m)
		}
	}
	return nil
}

// repacked is the JSON of `oci repack`.
type repacked struct {
	pulled
	Base    string      `json:"base"`               // digest of the manifest
	Changes int         `json:"changes"`            // paths that were added, changed or removed
	Layer   *movedLayer `json:"newLayer,omitempty"` // none if nothing changed
}

func (a *app) printRepacked(done repacked, f repackFlags) error {
	a.finish(&done.pulled)
	if f.out.digestFile != "" {
		if err := writeDigestFile(f.out.digestFile, done.Digest); err != nil {
			return err
		}
	}
	if f.out.format.json() {
		return f.out.format.write(a.out, done)
	}
	switch {
	case f.t.quiet:
	case done.Layer == nil:
		fmt.Fprintln(a.err, "no file has changed: no layer was added")
	default:
		fmt.Fprintf(a.err, "%s in a layer of %s\n", count(done.Changes, "change"), size(done.Layer.Size))
	}
	_, err := fmt.Fprintf(a.out, "%s %s\n", oneLine(done.Name), done.Digest)
	return err
}

// destination is the name in the store that the result gets.
func (f *repackFlags) destination(cmd *cobra.Command, arg string) (string, error) {
	ref, err := referTo(arg, networkFlags{})
	if err == nil && (ref.Digest != "" || ref.Transport != reference.Registry) {
		err = usageErrorf(cmd, "%s: a name for the store is a registry name without a digest", arg)
	}
	return ref.String(), err
}

// options checks the flags about the layer.
func (f *repackFlags) options(base image.Image, epoch *time.Time) (repack.Options, error) {
	o := repack.Options{Level: f.level, Docker: repack.Docker(base), Epoch: epoch}
	switch f.compression {
	case "gzip":
		o.Compression = image.Gzip
	case "zstd":
		o.Compression = image.Zstd
	case "none":
		o.Compression = image.Uncompressed
	default:
		return o, usageErrorf(nil, "--compression: %q is none of gzip, zstd, none", f.compression)
	}
	return o, nil
}

// times gives the time of the image, and SOURCE_DATE_EPOCH if it is set.
func (f *repackFlags) times() (created time.Time, epoch *time.Time, err error) {
	if text := os.Getenv("SOURCE_DATE_EPOCH"); text != "" {
		sec, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return created, nil, usageErrorf(nil, "SOURCE_DATE_EPOCH: %q is no number of seconds", text)
		}
		t := time.Unix(sec, 0).UTC()
		epoch = &t
	}
	switch {
	case f.created != "":
		if created, err = time.Parse(time.RFC3339Nano, f.created); err != nil {
			return created, nil, usageErrorf(nil, "--created: %q is no time as 2026-01-02T15:04:05Z", f.created)
		}
	case epoch != nil:
		created = *epoch
	default:
		created = time.Now()
	}
	return created, epoch, nil
}

// newImage describes the image to be made.
func (f *repackFlags) newImage(base image.Image, baseName string, created time.Time) repack.Image {
	img := repack.Image{
		Base: base, Created: created, Squash: f.squash,
		Author: f.author, Comment: f.comment, CreatedBy: f.createdBy, Changes: f.changes,
	}
	if ref, err := reference.Parse(baseName); err == nil && ref.Transport == reference.Registry {
		img.BaseName = ref.String()
	}
	return img
}
