package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/image/transport"
)

type importFlags struct {
	noTags, merge bool
	tags          []string
	name          string // of the one image; "" if it was not given
}

func importCommand(a *app) *cobra.Command {
	t := transferFlags{artifacts: true}
	var f importFlags
	var format formatFlag
	cmd := &cobra.Command{
		Use:   "import SOURCE... [NAME]",
		Short: "Bring images of layouts and archives into the store",
		Long: "Bring all images of layouts and archives into the store, under the names that they have there, or one image\n" +
			"under NAME. SOURCE is oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME], dir:DIR,\n" +
			"oci+https://HOST/DIR[:TAG], the path of a directory or of a file of one of these kinds (files may be\n" +
			"compressed with gzip or zstd), or - for an archive from standard input.\n\n" +
			"An image without a name, and with --no-tags every image, is kept by its digest: `oci images` shows it,\n" +
			"`oci rmi DIGEST` takes it away, and until then `oci prune` leaves it. A name that the store has already means\n" +
			"the new image afterwards. If two sources have different images of one name nothing is imported, unless\n" +
			"--merge makes one index of them. Names are given when all content is there.",
		Args: atLeast(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			if err := t.settle(cmd); err != nil {
				return err
			}
			args, err := f.takeName(cmd, args)
			if err != nil {
				return err
			}
			s, err := a.openStore(ctx)
			if err != nil {
				return err
			}
			defer s.Close()
			list, err := a.importAll(ctx, s, args, f, t)
			if err != nil {
				return err
			}
			return a.printImported(list, format)
		},
	}
	t.registerMoves(cmd.Flags())
	cmd.Flags().StringArrayVar(&f.tags, "tag", nil, "only the images of this `name`, or tag of a name; may be given several times")
	cmd.Flags().BoolVar(&f.noTags, "no-tags", false, "give the images no names: they are known by their digests")
	cmd.Flags().BoolVar(&f.merge, "merge", false, "make one index of images of one name that are for different platforms")
	format.registerOutput(cmd.Flags())
	return cmd
}

func (a *app) printImported(list []pulled, format formatFlag) error {
	for i := range list {
		a.finish(&list[i])
	}
	if format.json() {
		return format.write(a.out, list)
	}
	for _, p := range list {
		if _, err := fmt.Fprintf(a.out, "%s %s\n", oneLine(orDash(p.Name)), p.Digest); err != nil {
			return err
		}
	}
	return nil
}

// takeName takes NAME off the arguments: the second of two, if it is no place that images come from.
func (f *importFlags) takeName(cmd *cobra.Command, args []string) ([]string, error) {
	if len(args) == 2 && args[1] != "-" {
		ref, err := referTo(args[1], networkFlags{})
		if _, errStat := os.Stat(args[1]); errStat != nil && (err != nil || ref.Transport == reference.Registry) {
			if err != nil {
				return nil, err
			}
			f.name, args = ref.String(), args[:1]
		}
	}
	if f.name != "" && f.noTags {
		return nil, usageErrorf(cmd, "--no-tags and a name exclude each other")
	}
	return args, nil
}

// openSource opens what an argument of import names.
func (a *app) openSource(ctx context.Context, arg string, t transferFlags) (transport.Source, reference.Ref, error) {
	if arg == "-" {
		return transport.OpenStream(ctx, a.in)
	}
	if _, err := os.Stat(arg); err == nil {
		return transport.Find(ctx, arg)
	}
	ref, err := reference.Parse(arg)
	if err == nil && ref.Transport == reference.Registry {
		err = usageErrorf(nil, "%s: no such file or directory, and no oci:, oci-archive:, docker-archive:, dir: or oci+https: reference", arg)
	}
	if err != nil {
		return nil, ref, err
	}
	src, err := a.openPlace(ctx, place{ref: ref}, t)
	return src, ref, err
}

// incoming is one image on its way into the store.
type incoming struct {
	src  transport.Source
	ref  reference.Ref // its place
	d    ispec.Descriptor
	name string // that it gets; "" is none
	done pulled
}

// importAll brings the images of all sources into the store, and then names them.
func (a *app) importAll(ctx context.Context, s *store.Store, args []string, f importFlags, t transferFlags) ([]pulled, error) {
	var list []*incoming
	for _, arg := range args {
		src, ref, err := a.openSource(ctx, arg, t)
		if err != nil {
			return nil, err
		}
		defer src.Close() // of few: they are all needed until the end
		found, err := f.find(ctx, src, ref)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: no image to import in %s", transport.ErrNotFound, strings.Join(args, ", "))
	}
	groups, err := f.group(list)
	if err != nil {
		return nil, err
	}
	hold, err := s.Hold(ctx)
	if err != nil {
		return nil, err
	}
	defer hold.Release()
	p := a.showProgress(t)
	defer p.close()
	for _, in := range list {
		if err := a.bringIn(ctx, s, in, t, p); err != nil {
			return nil, err
		}
	}
	return a.nameAll(ctx, s, groups)
}

// find lists what is wanted of a source.
func (f importFlags) find(ctx context.Context, src transport.Source, ref reference.Ref) ([]*incoming, error) {
	if ref.Tag != "" || ref.Digest != "" {
		d, err := src.Resolve(ctx)
		if err != nil {
			return nil, err
		}
		return []*incoming{{src: src, ref: ref, d: d, name: f.nameOf(ref)}}, nil
	}
	all, err := src.List(ctx)
	if err != nil {
		return nil, err
	}
	var list []*incoming
	for _, n := range all {
		if !f.wants(n.Name) || !image.IsIndex(n.Descriptor.MediaType) && !image.IsManifest(n.Descriptor.MediaType) {
			continue // a layout may list what only others understand
		}
		one := ref
		if one.Tag = n.Name; n.Name == "" {
			one.Digest = n.Descriptor.Digest
		}
		list = append(list, &incoming{src: src, ref: one, d: n.Descriptor, name: f.nameOf(one)})
	}
	return list, nil
}

// wants tells whether an image of a source is asked for, by its name or by the tag in it.
func (f importFlags) wants(name string) bool {
	for _, tag := range f.tags {
		if name == tag || strings.HasSuffix(name, ":"+tag) {
			return true
		}
		want, err1 := reference.Parse(tag)
		have, err2 := reference.Parse(name)
		if err1 == nil && err2 == nil && want == have {
			return true
		}
	}
	return len(f.tags) == 0
}

// nameOf gives the name that an image gets in the store.
func (f importFlags) nameOf(ref reference.Ref) string {
	switch {
	case f.name != "":
		return f.name
	case f.noTags:
		return ""
	}
	return importName(ref)
}

// bringIn copies one image into the store.
func (a *app) bringIn(ctx context.Context, s *store.Store, in *incoming, t transferFlags, p *progress) error {
	wanted := t.platforms
	if len(wanted) == 0 {
		wanted = []string{t.platform}
	}
	for _, text := range wanted {
		want, err := parsePlatform(text)
		if err != nil {
			return err
		}
		o := transport.CopyOptions{Ref: in.ref, Platform: want, All: t.all, Jobs: jobsFor(in.ref, t), Events: p.event}
		c, err := transport.Copy(ctx, fixedSource{in.src, in.d}, localSink{s}, o)
		if err != nil {
			return err
		}
		before := in.done
		in.done = copied(c)
		in.done.Fetched, in.done.Reused = in.done.Fetched+before.Fetched, in.done.Reused+before.Reused
	}
	if len(wanted) > 1 || t.all {
		in.done = pulled{Platforms: t.platforms, Fetched: in.done.Fetched, Reused: in.done.Reused}
	}
	var err error
	if t.all {
		in.done.Platforms, err = platformsOf(ctx, s, in.d)
	}
	in.done.named(in.name, in.d)
	return err
}

// importName is the name that the store gives to an image of a local place: the place's own if it
// is one of a registry; with a tag alone, that tag of the file's or directory's name; none if it has none.
func importName(ref reference.Ref) string {
	if strings.ContainsAny(ref.Tag, "/:") {
		if r, err := referTo(ref.Tag, networkFlags{}); err == nil && r.Transport == reference.Registry {
			return r.String()
		}
	}
	base := strings.ToLower(filepath.Base(ref.Path))
	for _, ext := range []string{".gz", ".tgz", ".zst", ".tar", ".oci", ".docker"} {
		base = strings.TrimSuffix(base, ext)
	}
	switch {
	case ref.Digest != "":
		return ""
	case ref.Tag == "" || strings.HasPrefix(ref.Tag, "@"):
		if ref.Path == "-" {
			return ""
		}
		return named(base, "")
	case ref.Path == "-":
		base = ""
	}
	return named(base, ref.Tag)
}

// named gives BASE:TAG as the name of an image, or without a base TAG; "" if that is none.
func named(base, tag string) string {
	text := base
	if base == "" {
		text = tag
	} else if tag != "" {
		text += ":" + tag
	}
	if r, err := referTo(text, networkFlags{}); err == nil {
		return r.String()
	}
	return ""
}
