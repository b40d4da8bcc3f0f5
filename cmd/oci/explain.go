package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/origin"
)

// explanation is the JSON of `oci explain`.
type explanation struct {
	Bundle string           `json:"bundle"`
	Image  string           `json:"image,omitempty"`
	Digest string           `json:"digest,omitempty"`
	Fields []origin.Finding `json:"fields"`
}

func explainBundleCommand(a *app) *cobra.Command {
	var format formatFlag
	var whole bool
	cmd := &cobra.Command{
		Use:   "explain DIR|ID [POINTER...]",
		Short: "Tell where each value of a bundle's config.json comes from",
		Long: "Tell of each part of config.json whether it comes from the image's config, a default, a flag, or the host, with the\n" +
			"name of the field, flag or fact; and what was edited, added or removed since oci wrote it. DIR is a bundle, ID a\n" +
			"container that was made of an image. With POINTER (/process/env) only that part of the document is told of.\n\n" +
			"`oci bundle`, `oci spec` and `oci run` keep this in " + origin.FileName + " beside config.json; runtimes do not read it. Of a\n" +
			"bundle that another tool wrote it is told what is as oci has it by default.",
		Example: "  oci bundle -e A=1 debian b && oci explain b /process/env",
		Args:    atLeast(1),
		RunE: func(_ *cobra.Command, args []string) error {
			x, err := a.explain(args[0])
			if err != nil {
				return err
			}
			if len(args) > 1 {
				if x.Fields, err = fieldsBelow(x.Fields, args[1:]); err != nil {
					return err
				}
			}
			if format.json() {
				return format.write(a.out, x)
			}
			return a.printExplanation(x, whole)
		},
	}
	cmd.Flags().BoolVar(&whole, "no-trunc", false, "print values whole")
	format.registerOutput(cmd.Flags())
	return cmd
}

func (a *app) explain(arg string) (explanation, error) {
	x := explanation{Bundle: arg}
	if root, err := a.storeRoot(); err == nil && checkContainerID(arg) == nil && !hasConfig(arg) {
		if dir := filepath.Join(root, "containers", arg); hasConfig(dir) {
			x.Bundle = dir
		}
	}
	raw, err := bundle.ReadFile(filepath.Join(x.Bundle, bundle.ConfigName))
	if err != nil {
		return x, &bundle.Error{Op: "explain", Subject: arg, Err: err}
	}
	r, err := origin.Read(x.Bundle)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		x.Fields, err = origin.ExplainForeign(raw)
	case err == nil:
		x.Image, x.Digest = r.Image, r.Digest
		x.Fields, err = origin.Explain(raw, r)
	}
	if err != nil {
		err = &bundle.Error{Op: "explain", Subject: arg, Err: err}
	}
	return x, err
}

func hasConfig(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, bundle.ConfigName))
	return err == nil
}

// fieldsBelow picks the fields at and below the pointers, and those that hold one of them.
func fieldsBelow(all []origin.Finding, pointers []string) ([]origin.Finding, error) {
	list := []origin.Finding{}
	for _, p := range pointers {
		p = strings.TrimSuffix(p, "/")
		if p != "" && p[0] != '/' {
			return nil, usageErrorf(nil, "%q is no JSON pointer, such as /process/env", p)
		}
		n := len(list)
		for _, f := range all {
			if strings.HasPrefix(f.Pointer+"/", p+"/") || strings.HasPrefix(p+"/", f.Pointer+"/") {
				list = append(list, f)
			}
		}
		if len(list) == n {
			return nil, fmt.Errorf("explain %s: %w: config.json has nothing there", p, bundle.ErrMissing)
		}
	}
	return list, nil
}

// maxValue is how much of a value fits on a line.
const maxValue = 50

func (a *app) printExplanation(x explanation, whole bool) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FIELD\tVALUE\tFROM")
	for _, f := range x.Fields {
		value, from := string(f.Value), string(f.From)
		if f.Removed {
			value, from = "-", "removed"
		}
		if !whole && len(value) > maxValue {
			value = strings.ToValidUTF8(value[:maxValue-3], "") + "..."
		}
		if f.Name != "" {
			from += ": " + f.Name
		}
		pointer := f.Pointer
		if pointer == "" {
			pointer = "/"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", safeText(pointer), safeText(value), safeText(from))
	}
	return w.Flush()
}

// writeConfig writes config.json as a conversion gave it, and beside it where its values come from.
func writeConfig(dir string, s *specs.Spec, r origin.Record) error {
	raw, err := bundle.Marshal(s)
	if err != nil {
		return fmt.Errorf("write bundle %s: %w", dir, err)
	}
	if r.Entries, err = origin.Trace(raw, r.Marks); err != nil {
		return err
	}
	r.Marks = nil
	if err := bundle.WriteText(dir, raw); err != nil {
		return err
	}
	return origin.Write(dir, r)
}

// namedByID corrects the origin of a host name that nobody asked for.
func namedByID(marks []origin.Mark) []origin.Mark {
	for i, m := range marks {
		if m.Kind == origin.Flag && m.Name == "--hostname" {
			marks[i].Kind, marks[i].Name = origin.Default, "the container's ID"
		}
	}
	return marks
}
