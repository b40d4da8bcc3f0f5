package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/unpack/volume"
)

// volumeRow is a volume in the JSON of `oci volume ls` and `inspect`.
type volumeRow struct {
	Name       string            `json:"name"`
	Created    time.Time         `json:"created"`
	Anonymous  bool              `json:"anonymous"`        // made without a name, for one container
	Used       bool              `json:"used"`             // a container has had it: it is not filled from an image any more
	Mountpoint string            `json:"mountpoint"`       // the directory of its files
	Containers []string          `json:"containers"`       // that have it
	Labels     map[string]string `json:"labels,omitempty"` // of --label
}

func newVolumeRow(v volume.Info) volumeRow {
	return volumeRow{v.Name, v.Created, v.Anonymous, v.Used, v.Path, append([]string{}, v.Users...), v.Labels}
}

func volumeCommand(a *app) *cobra.Command {
	cmd := group("volume", "Make, list and remove volumes",
		volumeCreateCommand(a), volumeListCommand(a), volumeInspectCommand(a), volumeRemoveCommand(a), volumePruneCommand(a))
	cmd.Long = "A volume is a directory of the store that outlives containers: `oci run -v NAME:/dir` mounts it, and makes it if it\n" +
		"is not there. The first container that has a volume fills it, if it is empty, with what its image has at the\n" +
		"directory; not with the option nocopy. `oci run -v /dir`, and the volumes that an image names, are volumes\n" +
		"without a name: `oci run --rm` and `oci rm -v` remove them with their container."
	return cmd
}

// volumeStore runs f as who may change the volumes, and gives it the store of them.
func (a *app) volumeStore(f func(*volume.Store) error) error {
	if done, err := a.asRoot(); done {
		return err
	}
	s, err := a.openVolumes()
	if err != nil {
		return err
	}
	return f(s)
}

func volumeCreateCommand(a *app) *cobra.Command {
	var labels []string
	cmd := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Make an empty volume, which its first container fills, and print its name",
		Args:  between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, set := "", map[string]string{}
			if len(args) == 1 {
				name = args[0]
				if name == "" {
					return usageErrorf(cmd, "the name is empty")
				}
			}
			for _, l := range labels {
				key, value, _ := strings.Cut(l, "=")
				if key == "" {
					return usageErrorf(cmd, "--label %q: want NAME[=value]", l)
				}
				set[key] = value
			}
			return a.volumeStore(func(s *volume.Store) error {
				whole, err := a.openStore(cmd.Context()) // or there would be volumes in a directory that is no store
				if err != nil {
					return err
				}
				defer whole.Close()
				v, err := s.Create(name, set)
				if err == nil {
					_, err = fmt.Fprintln(a.out, v.Name)
				}
				return err
			})
		},
	}
	cmd.Flags().StringArrayVarP(&labels, "label", "l", nil, "keep a label with it: `NAME[=value]`")
	return cmd
}

func volumeListCommand(a *app) *cobra.Command {
	var format formatFlag
	var quiet bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List volumes",
		Args:  exact(0),
		RunE: func(*cobra.Command, []string) error {
			return a.volumeStore(func(s *volume.Store) error {
				list, err := s.List() // with an error too: of those that are damaged
				rows := []volumeRow{}
				for _, v := range list {
					rows = append(rows, newVolumeRow(v))
				}
				return errors.Join(a.writeVolumes(rows, format, quiet), err)
			})
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print the names only")
	format.registerOutput(cmd.Flags())
	return cmd
}

func (a *app) writeVolumes(rows []volumeRow, format formatFlag, quiet bool) error {
	switch {
	case format.json():
		return format.write(a.out, rows)
	case quiet:
		for _, r := range rows {
			fmt.Fprintln(a.out, r.Name)
		}
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tCREATED\tCONTAINERS")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\n", r.Name, r.Created.Local().Format(time.DateTime), strings.Join(r.Containers, ","))
	}
	return w.Flush()
}

func volumeInspectCommand(a *app) *cobra.Command {
	var format formatFlag
	cmd := &cobra.Command{
		Use:   "inspect NAME...",
		Short: "Show what volumes are, and where",
		Args:  atLeast(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.volumeStore(func(s *volume.Store) error {
				rows := []volumeRow{}
				var errs []error
				for _, name := range args {
					v, err := s.Inspect(name)
					if err != nil {
						errs = append(errs, err)
						continue
					}
					rows = append(rows, newVolumeRow(v))
				}
				return errors.Join(append(errs, format.write(a.out, rows))...)
			})
		},
	}
	format.registerOutput(cmd.Flags())
	format = "json" // there is no other way to show all
	cmd.Flags().Lookup("format").DefValue = "json"
	return cmd
}

func volumeRemoveCommand(a *app) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "rm NAME...",
		Short: "Remove volumes that no container has, with all that is in them",
		Args:  atLeast(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.volumeStore(func(s *volume.Store) error {
				var errs []error
				for _, name := range args {
					err := s.Remove(name)
					if force && errors.Is(err, volume.ErrNotFound) {
						continue
					}
					if err == nil {
						_, err = fmt.Fprintln(a.out, name)
					}
					errs = append(errs, err)
				}
				return errors.Join(errs...)
			})
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "that a volume does not exist is no error")
	return cmd
}

func volumePruneCommand(a *app) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove the volumes without a name that no container has",
		Long:  "Remove the volumes without a name that no container has, and what killed processes left of others. The names are\nprinted.",
		Args:  exact(0),
		RunE: func(*cobra.Command, []string) error {
			return a.volumeStore(func(s *volume.Store) error {
				gone, err := s.Prune(all)
				for _, name := range gone {
					fmt.Fprintln(a.out, name)
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "those with a name too")
	return cmd
}
