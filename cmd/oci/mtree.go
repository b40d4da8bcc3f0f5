package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/mtree"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// mtreeFlags say what `oci mtree` prints.
type mtreeFlags struct {
	t           transferFlags
	maps        idMapFlags
	policy      string
	only, added string
	umoci       bool
	base        string
}

func mtreeCommand(a *app) *cobra.Command {
	f := mtreeFlags{policy: pullMissing}
	cmd := &cobra.Command{
		Use:   "mtree [flags] REF|DIR",
		Short: "Print the files of an image or a directory as an mtree manifest",
		Long: "Print a manifest of all files in the format mtree(5), which FreeBSD's mtree and go-mtree compare with a\n" +
			"directory: `oci mtree REF >M; gomtree validate -p DIR -f M`. An argument that begins with a full stop or a\n" +
			"slash is a directory, any other an image, of which nothing is unpacked.\n\n" +
			"The keywords are type, uid, gid, mode, link, tar_time (without fractions), sha256digest and xattr, and of a\n" +
			"directory also size and nlink, which for directories depend on the file system.\n\n" +
			"With --umoci DIR is a bundle that `oci bundle` made, and becomes one of umoci's: umoci.json and\n" +
			"sha256_HEX.mtree are written into it. `umoci repack --image STORE:TAG DIR` then adds a layer with what was\n" +
			"changed since; STORE is this store, or an image layout that the image was copied to.",
		Args: exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			switch {
			case f.umoci:
				return a.umociBundle(ctx, args[0], &f)
			case f.base != "":
				return usageErrorf(cmd, "--base is for --umoci")
			case isPath(args[0]):
				return a.mtreeDir(ctx, args[0], &f)
			}
			return a.mtreeImage(ctx, args[0], &f)
		},
	}
	f.t.register(cmd.Flags())
	f.t.registerQuiet(cmd.Flags())
	f.maps.register(cmd.Flags())
	registerPull(cmd, &f.policy)
	cmd.Flags().StringVarP(&f.only, "keywords", "k", "", "write these `keywords` alone; also time (with its fraction)")
	cmd.Flags().StringVarP(&f.added, "add-keywords", "K", "", "write these `keywords` too")
	cmd.Flags().BoolVar(&f.umoci, "umoci", false, "make the bundle DIR one that umoci repacks")
	cmd.Flags().StringVar(&f.base, "base", "", "the `image` that the bundle was made of, for --umoci (default: what its record says)")
	return cmd
}

// isPath tells a directory from an image: no reference begins so.
func isPath(arg string) bool { return strings.HasPrefix(arg, "/") || strings.HasPrefix(arg, ".") }

// orDirectory adds to the error about an image that a directory of that name could have been meant.
func orDirectory(arg string, err error) error {
	if info, serr := os.Stat(arg); serr != nil || !info.IsDir() {
		return err
	}
	return fmt.Errorf("%w (there is a directory of that name here: ./%s means it)", err, oneLine(arg))
}

// keywords are those to be written.
func (f *mtreeFlags) keywords(defaults []string) ([]string, error) {
	list := defaults
	for i, text := range []string{f.only, f.added} {
		words, err := mtree.ParseKeywords(text)
		if err != nil {
			return nil, &exitError{statusUsage, err}
		}
		if i == 0 && len(words) > 0 {
			list = words
		} else if i == 1 {
			list = append(list, words...)
		}
	}
	return list, nil
}

func (a *app) mtreeDir(ctx context.Context, dir string, f *mtreeFlags) error {
	words, err := f.keywords(mtree.DirKeywords())
	if err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	files, err := mtree.OfDir(ctx, d, true)
	if err != nil {
		return err
	}
	return files.Write(a.out, words)
}

func (a *app) mtreeImage(ctx context.Context, arg string, f *mtreeFlags) error {
	words, err := f.keywords(mtree.TreeKeywords())
	if err != nil {
		return err
	}
	s, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	done, err := a.ensurePulled(ctx, s, arg, f.policy, f.t)
	if err != nil {
		return orDirectory(arg, err)
	}
	t, err := tree.OfLayers(ctx, done.image.Layers(), s, tree.Options{Content: true, Devices: unpack.DeviceSkip, Logger: a.log})
	if err != nil {
		return err
	}
	return mtree.OfTree(t).Write(a.out, words, "image: "+done.Name, "manifest: "+done.image.Descriptor().Digest.String())
}

// umociBundle makes a bundle one of umoci's.
func (a *app) umociBundle(ctx context.Context, dir string, f *mtreeFlags) error {
	if f.only != "" || f.added != "" {
		return usageErrorf(nil, "umoci knows no other keywords than its own")
	}
	rootfs, err := rootfsOf(dir)
	if err == nil && rootfs != filepath.Join(dir, rootfsDir) {
		err = usageErrorf(nil, "%s: it is no bundle, with config.json and rootfs", dir)
	}
	if err != nil {
		return err
	}
	s, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	r := repackFlags{t: f.t, maps: f.maps, base: f.base, policy: f.policy}
	root, err := a.changedDir(ctx, s, dir, &r)
	if err != nil {
		return err
	}
	defer root.dir.Close()
	u := mtree.Umoci{UIDMap: root.how.UIDMap, GIDMap: root.how.GIDMap, SingleID: root.how.SingleID}
	if u.Walk, err = descriptorWalk(ctx, s, root.baseName, root.base); err != nil {
		return err
	}
	if err := mtree.WriteUmoci(ctx, dir, u); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s\n", root.base.Descriptor().Digest)
	return err
}

// descriptorWalk is the way from what a name means to the manifest: through an index, if it still means one that
// has the image. Otherwise umoci is told the manifest alone, and makes a name for that.
func descriptorWalk(ctx context.Context, s *store.Store, name string, img image.Image) ([]ispec.Descriptor, error) {
	want := img.Descriptor()
	top, err := s.Resolve(ctx, name)
	if errors.Is(err, store.ErrNotFound) || err == nil && !image.IsIndex(top.MediaType) {
		return []ispec.Descriptor{bare(want)}, nil
	}
	if err != nil {
		return nil, err
	}
	raw, err := s.ReadBlob(ctx, top, image.MaxManifestSize)
	if err != nil {
		return nil, err
	}
	index, err := image.DecodeIndex(raw, top.MediaType)
	if err != nil {
		return nil, err
	}
	for _, m := range index.Manifests {
		if m.Digest == want.Digest {
			return []ispec.Descriptor{bare(top), m}, nil
		}
	}
	return []ispec.Descriptor{bare(want)}, nil
}

// bare is a descriptor without what is said about it in one place only.
func bare(d ispec.Descriptor) ispec.Descriptor {
	return ispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}
