package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/host"
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
	Effect  string `json:"effect,omitempty"` // of level HOST: refused or changed
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
	host     bool
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
			"The last line counts them. Of a file or standard input no root directory is looked at.\n\n" +
			"--host adds what this kernel, this machine and its user cannot do with the config: namespaces, mappings, control\n" +
			"groups, seccomp, capabilities, security modules, mounts and their sources, devices, limits, parameters, hooks,\n" +
			"and whether the program is there and runs. Nothing is changed, and no privileges are needed: run it as who will\n" +
			"run the container. \"refused\" is what the container does not start with: the status is 7. With \"changed\" it starts,\n" +
			"and what the config says does not hold, or not with every runtime; --strict fails for that too.",
		Example: "  oci validate bundle --host bundle\n" +
			"  oci validate bundle --host --format '{{.summary.verdict}}' bundle\n" +
			"  oci spec --bundle - | oci validate bundle -",
		Args: between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := "."
			if len(args) == 1 {
				name = args[0]
			}
			if p := bundle.Platform(o.platform); p != "" && !slices.Contains(bundle.Platforms(), p) {
				return usageErrorf(cmd, "--platform %q is none of %v", o.platform, bundle.Platforms())
			}
			return a.validateBundle(cmd.Context(), name, o)
		},
	}
	o.format.registerOutput(cmd.Flags())
	var names []string
	for _, p := range bundle.Platforms() {
		names = append(names, string(p))
	}
	cmd.Flags().StringVar(&o.platform, "platform", "", "judge by the rules of this `platform`: "+strings.Join(names, ", ")+" (default: that of its sections, else linux)")
	cmd.Flags().BoolVar(&o.strict, "strict", false, "fail for problems of level SHOULD too, and for what the host changes")
	cmd.Flags().BoolVar(&o.host, "host", false, "tell what this kernel and this machine cannot do too")
	return cmd
}

func (a *app) validateBundle(ctx context.Context, name string, o validateOptions) error {
	v, err := a.judge(name, bundle.Platform(o.platform))
	if err != nil {
		return err
	}
	var found []host.Finding
	if o.host {
		if found, err = hostFindings(ctx, name, v); err != nil {
			return err
		}
	}
	s := summarize(v.Problems, found, o)
	if o.format.json() {
		err = o.format.write(a.out, judgedBundle{name, "bundle", string(v.Platform), problemsOf(v.Problems, found), s, time.Since(a.start).Milliseconds()})
	} else {
		_, err = fmt.Fprintf(a.out, "%s%s\n", linesOf(v.Problems, found), s.line(name, v.Platform))
	}
	if err != nil {
		return err
	}
	return s.failure(name, o.strict)
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
