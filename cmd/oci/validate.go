package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/conformance/spec"
)

func validateCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check bundles, images and layouts against the specifications of the OCI",
		Args:  exact(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(validateBundleCommand(a), validateImageCommand(a), validateLayoutCommand(a))
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

// validateOptions are the flags of validate bundle.
type validateOptions struct {
	format   formatFlag
	platform string
	strict   bool
}

func validateBundleCommand(a *app) *cobra.Command {
	var o validateOptions
	cmd := &cobra.Command{
		Use:   "bundle [DIR | FILE | -]",
		Short: "Check a bundle: config.json and its root directory",
		Long: "Report every problem of the bundle in DIR (default .), of a config.json, or of one on standard input (-):\n" +
			"what breaks runtime-spec 1.0 to 1.3, each with its place in config.json, the clause, and what to write\n" +
			"instead. A value of the wrong type or a key that occurs twice is one problem; the rest is still judged.\n\n" +
			"MUST is what a runtime refuses: the status is 10. SHOULD and MAY are shown, and SHOULD fails with --strict.\n" +
			"The last line counts them. Of a file or standard input no root directory is looked at.",
		Args: between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := "."
			if len(args) == 1 {
				name = args[0]
			}
			if p := bundle.Platform(o.platform); p != "" && !slices.Contains(bundle.Platforms(), p) {
				return usageErrorf(cmd, "--platform %q is none of %v", o.platform, bundle.Platforms())
			}
			return a.validateBundle(name, o)
		},
	}
	o.format.registerOutput(cmd.Flags())
	var names []string
	for _, p := range bundle.Platforms() {
		names = append(names, string(p))
	}
	cmd.Flags().StringVar(&o.platform, "platform", "", "judge by the rules of this `platform`: "+strings.Join(names, ", ")+" (default: that of its sections, else linux)")
	cmd.Flags().BoolVar(&o.strict, "strict", false, "fail for problems of level SHOULD too")
	return cmd
}

func (a *app) validateBundle(name string, o validateOptions) error {
	v, err := a.judge(name, bundle.Platform(o.platform))
	if err != nil {
		return err
	}
	if err := a.writeProblems(v.Problems, o.format); err != nil {
		return err
	}
	must, should := len(v.Problems.Must()), 0
	for _, q := range v.Problems {
		if q.Clause.Level == spec.Should {
			should++
		}
	}
	if !o.format.json() {
		fmt.Fprintf(a.out, "%s: %s, %d MUST, %d SHOULD, %d MAY\n", safeText(name), v.Platform, must, should, len(v.Problems)-must-should)
	}
	if o.strict {
		must += should
	}
	if must > 0 {
		return &exitError{statusMalformed, fmt.Errorf("validate bundle %s: %d problems", name, must)}
	}
	return nil
}

// judge looks at a bundle, a config.json, or standard input.
func (a *app) judge(name string, p bundle.Platform) (bundle.Verdict, error) {
	if name == "-" {
		raw, err := io.ReadAll(io.LimitReader(a.in, bundle.MaxConfigSize+1))
		if err != nil {
			return bundle.Verdict{}, fmt.Errorf("validate bundle: read standard input: %w", err)
		}
		return bundle.Judge(raw, p), nil
	}
	if fi, err := os.Stat(name); err == nil && !fi.IsDir() {
		raw, err := bundle.ReadFile(name)
		if err != nil {
			return bundle.Verdict{}, fmt.Errorf("validate bundle %s: %w", name, err)
		}
		return bundle.Judge(raw, p), nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return bundle.Verdict{}, fmt.Errorf("validate bundle: %w", err)
	}
	return bundle.JudgeDir(name, p)
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
		fmt.Fprintf(a.out, "%s\n", safeText(p.Error()))
		if list[i].Hint != "" {
			fmt.Fprintf(a.out, "    write: %s\n", safeText(list[i].Hint))
		}
	}
	return nil
}
