package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/image/transport"
)

func importCommand(a *app) *cobra.Command {
	var t transferFlags
	var format formatFlag
	cmd := &cobra.Command{
		Use:   "import SOURCE [NAME]",
		Short: "Bring images of a layout or an archive into the store",
		Long: "Bring an image of a layout or an archive into the store under NAME or, without NAME, all that SOURCE has\n" +
			"under the names that it gives them. SOURCE is oci:DIR[:TAG], oci-archive:FILE[:TAG],\n" +
			"docker-archive:FILE[:NAME], dir:DIR, or the path of a directory or file of one of these kinds.",
		Args: between(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			if err := t.settle(cmd); err != nil {
				return err
			}
			src, err := parseSource(ctx, args[0])
			if err != nil {
				return err
			}
			name := ""
			if len(args) == 2 {
				ref, err := referTo(args[1], networkFlags{})
				if err != nil {
					return err
				}
				name = ref.String()
			}
			s, err := a.openStore(ctx)
			if err != nil {
				return err
			}
			defer s.Close()
			list, err := a.importAll(ctx, s, src, name, t, format)
			if format.json() && err == nil {
				err = format.write(a.out, list)
			}
			return err
		},
	}
	t.registerPlatforms(cmd.Flags())
	t.registerJobs(cmd.Flags())
	t.registerQuiet(cmd.Flags())
	format.registerOutput(cmd.Flags())
	return cmd
}

// parseSource reads a reference to a local place, or finds out what kind of place a path is.
func parseSource(ctx context.Context, arg string) (reference.Ref, error) {
	info, err := os.Stat(arg)
	if err != nil {
		ref, err := reference.Parse(arg)
		if err == nil && ref.Transport == reference.Registry {
			err = usageErrorf(nil, "%s: no such file or directory, and no oci:, oci-archive:, docker-archive: or dir: reference", arg)
		}
		return ref, err
	}
	kinds := []reference.Transport{reference.OCIArchive, reference.DockerArchive}
	if info.IsDir() {
		kinds = []reference.Transport{reference.OCI, reference.Dir}
	}
	var errs []error
	for _, k := range kinds {
		ref := reference.Ref{Transport: k, Path: arg}
		src, err := transport.Open(ctx, ref)
		if err == nil {
			_, err = src.List(ctx)
			src.Close()
		}
		if err == nil {
			return ref, nil
		}
		errs = append(errs, err)
	}
	return reference.Ref{}, errors.Join(errs...)
}

// importAll imports what ref names, or all that its place has when it names none, and tells of each.
func (a *app) importAll(ctx context.Context, s *store.Store, ref reference.Ref, name string, t transferFlags, format formatFlag) ([]pulled, error) {
	refs := []reference.Ref{ref}
	if name == "" && ref.Tag == "" && ref.Digest == "" {
		src, err := transport.Open(ctx, ref)
		if err != nil {
			return nil, err
		}
		list, err := src.List(ctx)
		src.Close()
		if err != nil {
			return nil, err
		}
		refs = nil
		for _, n := range list {
			one := ref
			one.Tag = n.Name
			if n.Name == "" {
				one.Digest = n.Descriptor.Digest
			}
			refs = append(refs, one)
		}
	}
	results := []pulled{}
	for _, r := range refs {
		as := name
		if as == "" {
			as = importName(r)
		}
		done, err := a.importOne(ctx, s, r, as, t)
		if err != nil {
			return nil, err
		}
		a.finish(&done)
		results = append(results, done)
		if !format.json() {
			fmt.Fprintf(a.out, "%s %s\n", oneLine(done.Name), done.Digest)
		}
	}
	return results, nil
}

func (a *app) importOne(ctx context.Context, s *store.Store, ref reference.Ref, name string, t transferFlags) (pulled, error) {
	hold, err := s.Hold(ctx)
	if err != nil {
		return pulled{}, err
	}
	defer hold.Release()
	root, done, err := a.fetch(ctx, s, ref, t)
	if err == nil {
		err = s.Tag(ctx, name, root)
	}
	done.named(name, root)
	return done, err
}

// importName is the name that the store gives to an image of a local place: the place's own if it
// is one of a registry; with a tag alone, that tag of the file's or directory's name.
func importName(ref reference.Ref) string {
	if strings.ContainsAny(ref.Tag, "/:") {
		if r, err := referTo(ref.Tag, networkFlags{}); err == nil && r.Transport == reference.Registry {
			return r.String()
		}
	}
	base := strings.ToLower(filepath.Base(ref.Path))
	for _, ext := range []string{".tar", ".oci", ".docker"} {
		base = strings.TrimSuffix(base, ext)
	}
	text := base
	if ref.Tag != "" {
		text += ":" + ref.Tag
	}
	if r, err := referTo(text, networkFlags{}); err == nil && ref.Digest == "" {
		return r.String()
	}
	return ref.String()
}
