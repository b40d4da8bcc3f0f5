package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

// checkReport is what `oci check --format json` prints.
type checkReport struct {
	Store    string   `json:"store"`
	Blobs    int      `json:"blobs"`
	Bytes    int64    `json:"bytes"`
	Names    int      `json:"names"`
	Problems []string `json:"problems"`
	Notes    []string `json:"notes"`
	Clean    bool     `json:"clean"`
}

func checkCommand(a *app) *cobra.Command {
	var format formatFlag
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Prove the store: every blob by its digest, every name by what it leads to",
		Long: "Prove the whole store. The status is 6 when something in it is not what it should be; unfinished\n" +
			"downloads are only noted.",
		Args: exact(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			r, err := a.check(ctx)
			if err != nil {
				return err
			}
			if format.json() {
				err = format.write(a.out, r)
			} else {
				a.writeCheck(r)
			}
			if err == nil && !r.Clean {
				err = &exitError{statusUnverified, fmt.Errorf("check %s: %d problems", r.Store, len(r.Problems))}
			}
			return err
		},
	}
	format.registerOutput(cmd.Flags())
	return cmd
}

func (a *app) check(ctx context.Context) (checkReport, error) {
	s, err := a.openStore(ctx)
	if err != nil {
		return checkReport{}, err
	}
	defer s.Close()
	found, err := s.Check(ctx)
	if err != nil {
		return checkReport{}, err
	}
	r := checkReport{
		Store: s.Root(), Blobs: found.Blobs, Bytes: found.Bytes, Names: found.Names,
		Problems: []string{}, Notes: append([]string{}, found.Notes...), Clean: found.OK(),
	}
	for _, p := range found.Problems {
		r.Problems = append(r.Problems, p.Err.Error())
	}
	return r, nil
}

func (a *app) writeCheck(r checkReport) {
	for _, p := range r.Problems {
		fmt.Fprintln(a.out, p)
	}
	for _, n := range r.Notes {
		fmt.Fprintln(a.out, "note:", n)
	}
	verdict := "clean"
	if !r.Clean {
		verdict = fmt.Sprintf("%d problems", len(r.Problems))
	}
	fmt.Fprintf(a.out, "%s: %d blobs, %s, %d names: %s\n", r.Store, r.Blobs, size(r.Bytes), r.Names, verdict)
}
