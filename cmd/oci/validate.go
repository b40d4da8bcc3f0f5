package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/bundle"
)

func validateCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check a bundle against the runtime specification",
		Args:  exact(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(validateBundleCommand(a))
	return cmd
}

// problem is one line of the report, as JSON.
type problem struct {
	Pointer string `json:"pointer"`
	Level   string `json:"level"`
	Clause  string `json:"clause,omitempty"`
	URL     string `json:"url,omitempty"`
	Problem string `json:"problem"`
	Hint    string `json:"hint,omitempty"`
}

func validateBundleCommand(a *app) *cobra.Command {
	var format formatFlag
	cmd := &cobra.Command{
		Use:   "bundle [DIR]",
		Short: "Check a bundle: config.json and its root directory",
		Long: "Report every problem of the bundle in DIR (default .), each with its place in config.json and the\n" +
			"clause it breaks. The status is 10 if there is one of level MUST; those of level SHOULD are only shown.",
		Args: between(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			b, err := bundle.Load(dir)
			var found bundle.Problems
			if err == nil {
				found = bundle.Validate(b.Spec)
			} else if !errors.As(err, &found) {
				return err
			}
			if err := a.writeProblems(found, format); err != nil {
				return err
			}
			if must := found.Must(); len(must) > 0 {
				return &exitError{statusMalformed, fmt.Errorf("validate bundle %s: %d problems", dir, len(must))}
			}
			return nil
		},
	}
	format.registerOutput(cmd.Flags())
	return cmd
}

func (a *app) writeProblems(found bundle.Problems, format formatFlag) error {
	list := []problem{}
	for _, p := range found {
		level := string(p.Clause.Level)
		if level == "" {
			level = "MUST"
		}
		list = append(list, problem{p.Pointer, level, p.Clause.String(), p.Clause.URL(), p.Err.Error(), p.Hint})
	}
	if format.json() {
		return format.write(a.out, list)
	}
	for i, p := range found {
		fmt.Fprintf(a.out, "%s\n", p)
		if list[i].Hint != "" {
			fmt.Fprintf(a.out, "    %s\n", list[i].Hint)
		}
	}
	return nil
}
