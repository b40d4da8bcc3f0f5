package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/cobra"
)

// containerRow is one line of `oci ps`, and one element of its JSON.
type containerRow struct {
	ID       string    `json:"id"`
	Image    string    `json:"image,omitempty"`
	Command  []string  `json:"command,omitempty"`
	Status   string    `json:"status"`
	Pid      int       `json:"pid"`
	ExitCode *int      `json:"exitCode,omitempty"`
	Created  time.Time `json:"created"`
	Bundle   string    `json:"bundle"`
	Storage  string    `json:"storage,omitempty"` // overlay or copy
}

func psCommand(a *app) *cobra.Command {
	var format formatFlag
	var all, quiet bool
	cmd := &cobra.Command{
		Use:   "ps",
		Short: "List containers",
		Args:  exact(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows, err := a.containers(cmd.Context())
			if err != nil {
				return err
			}
			if !all {
				rows = slices.DeleteFunc(rows, func(r containerRow) bool { return r.Status == string(specs.StateStopped) })
			}
			switch {
			case format.json():
				return format.write(a.out, rows)
			case quiet:
				for _, r := range rows {
					fmt.Fprintln(a.out, r.ID)
				}
				return nil
			}
			return a.writeContainers(rows)
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "stopped ones too")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print the IDs only")
	format.registerOutput(cmd.Flags())
	return cmd
}

// maxCommand is how much of a command line a table shows.
const maxCommand = 30

func (a *app) writeContainers(rows []containerRow) error {
	w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tIMAGE\tCOMMAND\tCREATED\tSTATUS\tPID")
	for _, r := range rows {
		status := r.Status
		if r.ExitCode != nil {
			status = fmt.Sprintf("exited (%d)", *r.ExitCode)
		}
		command := []rune(strings.Join(r.Command, " "))
		if len(command) > maxCommand {
			command = append(command[:maxCommand-1], '…')
		}
		pid := ""
		if r.Pid != 0 {
			pid = strconv.Itoa(r.Pid)
		}
		fmt.Fprintf(w, "%s\t%s\t%q\t%s\t%s\t%s\n", r.ID, orDash(r.Image), string(command), r.Created.Local().Format(time.DateTime), status, pid)
	}
	return w.Flush()
}

// containers joins what the runtime knows with what was recorded of containers of images, which
// stay when they have ended.
func (a *app) containers(ctx context.Context) ([]containerRow, error) {
	rt, err := a.openRuntime()
	if err != nil {
		return nil, err
	}
	list, err := rt.List(ctx)
	if err != nil {
		return nil, err
	}
	rows := []containerRow{}
	for _, c := range list {
		s, err := c.State(ctx)
		if err != nil {
			continue // it went away meanwhile
		}
		rows = append(rows, containerRow{ID: s.ID, Status: string(s.Status), Pid: s.Pid, Created: s.Created, Bundle: s.Bundle})
	}
	root, err := a.containersRoot()
	if err != nil {
		return nil, err
	}
	dirs, err := containerDirs(root)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	for _, dir := range dirs {
		var r record
		if dir.load(recordFile, &r) != nil {
			continue // being made, or not one
		}
		i := slices.IndexFunc(rows, func(row containerRow) bool { return row.ID == r.ID })
		if i < 0 {
			rows = append(rows, containerRow{ID: r.ID, Status: string(specs.StateStopped), Created: r.Created, Bundle: dir.path})
			i = len(rows) - 1
		}
		rows[i].Image, rows[i].Command, rows[i].Storage = r.Image, r.Command, r.Storage
		var x exitRecord
		if rows[i].Status == string(specs.StateStopped) && dir.load(exitFile, &x) == nil {
			rows[i].ExitCode = &x.Status
		}
	}
	slices.SortFunc(rows, func(x, y containerRow) int { return x.Created.Compare(y.Created) })
	return rows, nil
}
