package main

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/image/transport"
)

// tagList is the JSON of `oci tags`.
type tagList struct {
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}

func tagsCommand(a *app) *cobra.Command {
	var t transferFlags
	var format formatFlag
	var match string
	cmd := &cobra.Command{
		Use:   "tags REPOSITORY",
		Short: "List the tags of a repository, or the names in a layout or an archive",
		Args:  exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			keep, err := regexp.Compile(match)
			if err != nil {
				return usageErrorf(cmd, "--match: %w", err)
			}
			ref, err := reference.Parse(args[0])
			if err != nil {
				return err
			}
			list := tagList{Name: ref.Name()}
			if ref.Transport == reference.Registry {
				c, err := a.client(t)
				if err != nil {
					return err
				}
				if list.Tags, err = c.Tags(ctx, ref); err != nil {
					return err
				}
			} else {
				src, err := a.openPlace(ctx, place{ref: ref}, t)
				if err != nil {
					return err
				}
				defer src.Close()
				named, err := src.List(ctx)
				if err != nil {
					return err
				}
				list.Name, list.Tags = ref.Path, namesOf(named)
				if ref.Static() {
					list.Name = ref.Place()
				}
			}
			list.Tags = slices.DeleteFunc(list.Tags, func(s string) bool { return !keep.MatchString(s) })
			slices.Sort(list.Tags) // not every registry does
			return a.printNames(format, list, list.Tags)
		},
	}
	t.registerAccess(cmd.Flags())
	cmd.Flags().StringVar(&match, "match", "", "only what this regular `expression` is found in")
	format.registerOutput(cmd.Flags())
	return cmd
}

// namesOf gives the names of a local place; what has none is not listed.
func namesOf(list []transport.Named) []string {
	names := []string{}
	for _, n := range list {
		if n.Name != "" {
			names = append(names, n.Name)
		}
	}
	return names
}

// printNames prints v as JSON, or the names one a line.
func (a *app) printNames(format formatFlag, v any, names []string) error {
	if format.json() {
		return format.write(a.out, v)
	}
	for _, n := range names {
		if _, err := fmt.Fprintln(a.out, oneLine(n)); err != nil {
			return err
		}
	}
	return nil
}

// catalog is the JSON of `oci catalog`.
type catalog struct {
	Registry     string   `json:"registry"`
	Repositories []string `json:"repositories"`
}

func catalogCommand(a *app) *cobra.Command {
	var t transferFlags
	var format formatFlag
	cmd := &cobra.Command{
		Use:   "catalog REGISTRY",
		Short: "List the repositories of a registry, where it allows that",
		Args:  exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			c, err := a.client(t)
			if err != nil {
				return err
			}
			list, err := c.Catalog(ctx, args[0])
			if err != nil {
				return err
			}
			slices.Sort(list)
			return a.printNames(format, catalog{args[0], list}, list)
		},
	}
	t.registerAccess(cmd.Flags())
	format.registerOutput(cmd.Flags())
	return cmd
}
