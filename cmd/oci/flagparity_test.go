package main

import (
	"slices"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestFlags_parity: what says how an image becomes a config is the same on every verb that makes one, and an edit can tell the flag of
// what it changed.
func TestFlags_parity(t *testing.T) {
	root := (&app{}).root(nil)
	verbs := map[string]*cobra.Command{}
	for _, name := range []string{"run", "create", "bundle", "spec"} {
		cmd, _, err := root.Find([]string{name})
		if err != nil || cmd.Name() != name {
			if name == "run" || name == "create" {
				t.Skipf("no oci %s on this platform", name)
			}
			t.Fatalf("%s: %v", name, err)
		}
		verbs[name] = cmd
	}
	var c convertFlags
	var ids idMapFlags
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	c.register(set)
	ids.register(set)
	if set.Lookup("memory") == nil {
		t.Fatal("no flags at all")
	}
	policy := []string{"allow-annotations", "drop-annotations"} // about the labels of an image, which an edit has not
	set.VisitAll(func(f *pflag.Flag) {
		for name, cmd := range verbs {
			switch g := cmd.Flags().Lookup(f.Name); {
			case g == nil:
				t.Errorf("oci %s has no --%s", name, f.Name)
			case g.Usage != f.Usage || g.Shorthand != f.Shorthand || g.DefValue != f.DefValue || g.Value.Type() != f.Value.Type():
				t.Errorf("oci %s: --%s is another flag", name, f.Name)
			}
		}
		if flagPointers(f.Name) == nil && !slices.Contains(policy, f.Name) {
			t.Errorf("--%s: flagPointers does not know what it changes", f.Name)
		}
	})
}
