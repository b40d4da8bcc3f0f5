package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/image/store"
)

type exportFlags struct {
	moveFlags
	noTags bool
	output string
}

func exportCommand(a *app) *cobra.Command {
	var t transferFlags
	var f exportFlags
	var out outputFlags
	cmd := &cobra.Command{
		Use:   "export REF... DESTINATION",
		Short: "Write images of the store to a layout or an archive",
		Long: "Write images of the store to oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME] or, as skopeo\n" +
			"does, dir:DIR. All but a layout is there whole or not at all, in place of what it was before; a layout\n" +
			"keeps the images that it has. FILE may be -, standard output, and - alone is oci-archive:-.\n\n" +
			"Each image keeps its name, by which `oci import` finds it again; one image gets TAG or NAME instead, if that\n" +
			"is given, and with --no-tags none has a name. What refers to an image goes along into layouts and their\n" +
			"archives. Of an index, what is here whole goes whole; --platform chooses: several of them make a new\n" +
			"index that has those alone, or with --sparse the index itself with those alone.",
		Args: atLeast(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			if err := t.settle(cmd); err != nil {
				return err
			}
			to, refs, err := f.destination(cmd, args)
			if err != nil {
				return err
			}
			return a.export(ctx, refs, to, f, t, out)
		},
	}
	t.registerPlatforms(cmd.Flags())
	t.registerQuiet(cmd.Flags())
	f.register(cmd.Flags())
	cmd.Flags().BoolVar(&f.noTags, "no-tags", false, "give the images no names in the new place")
	cmd.Flags().StringVarP(&f.output, "output", "o", "", "the `destination`, in place of the last argument")
	out.register(cmd.Flags())
	return cmd
}

// destination tells where the images go.
func (f exportFlags) destination(cmd *cobra.Command, args []string) (to reference.Ref, refs []string, err error) {
	text := f.output
	if text == "" {
		text, args = args[len(args)-1], args[:len(args)-1]
	}
	if len(args) == 0 {
		return to, nil, usageErrorf(cmd, "nothing to export: want REF... DESTINATION")
	}
	if text == "-" {
		text = "oci-archive:-"
	}
	if to, err = reference.Parse(text); err != nil {
		return to, nil, err
	}
	switch {
	case to.Transport == reference.Registry:
		return to, nil, usageErrorf(cmd, "%s is in a registry; `oci push` sends images there", to)
	case to.Tag != "" && (len(args) > 1 || f.noTags):
		return to, nil, usageErrorf(cmd, "%s is a name for one image", to)
	case to.Path == "-" && term.IsTerminal(int(os.Stdout.Fd())):
		return to, nil, usageErrorf(cmd, "an archive is not for a terminal: redirect standard output")
	}
	return to, args, f.check(cmd, place{ref: to})
}

// export writes images of the store to a place. What goes to standard output has its report on standard
// error.
func (a *app) export(ctx context.Context, refs []string, to reference.Ref, f exportFlags, t transferFlags, out outputFlags) error {
	s, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	var list []sending
	for _, arg := range refs {
		entry, err := find(ctx, s, arg)
		if err != nil {
			return err
		}
		list = append(list, sending{entry.Descriptor, f.nameFor(entry, to)})
	}
	results, err := a.sendOut(ctx, s, list, to, f.moveFlags, t)
	if err != nil {
		return err
	}
	if to.Path == "-" {
		a.out = a.err
	}
	return a.printResults(results, out)
}

// nameFor gives the name of an image in a new place.
func (f exportFlags) nameFor(entry store.Tagged, to reference.Ref) string {
	if f.noTags {
		return ""
	}
	if to.Tag != "" {
		return to.Tag
	}
	ref, err := reference.Parse(entry.Name)
	switch {
	case err != nil || ref.Tag == "": // a digest is no name of a layout
		return ""
	case ref.Transport != reference.Registry:
		return ref.Tag
	}
	ref.Digest = ""
	return ref.String()
}
