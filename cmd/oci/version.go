package main

import (
	"fmt"
	goruntime "runtime"

	ispecs "github.com/opencontainers/image-spec/specs-go"
	rspecs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/cobra"
)

// version and commit are set by the linker (see Makefile).
var version, commit = "devel", "unknown"

// distributionSpecVersion is the distribution specification that the client and the server keep;
// that specification has no Go module to take it from.
const distributionSpecVersion = "1.1.1"

// versionInfo is what `oci version --format json` prints.
type versionInfo struct {
	Version  string       `json:"version"`
	Commit   string       `json:"commit"`
	Go       string       `json:"go"`
	Platform string       `json:"platform"`
	Specs    specVersions `json:"specs"`
}

type specVersions struct {
	Image        string `json:"image"`
	Distribution string `json:"distribution"`
	Runtime      string `json:"runtime"`
}

func versionCommand(a *app) *cobra.Command {
	var format formatFlag
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program and of the specifications it keeps",
		Args:  exact(0),
		RunE: func(*cobra.Command, []string) error {
			v := versionInfo{
				Version: version, Commit: commit, Go: goruntime.Version(),
				Platform: goruntime.GOOS + "/" + goruntime.GOARCH,
				Specs:    specVersions{ispecs.Version, distributionSpecVersion, rspecs.Version},
			}
			if format.json() {
				return format.write(a.out, v)
			}
			_, err := fmt.Fprintf(a.out, "oci version %s\ncommit: %s\ngo: %s %s\nimage-spec: %s\ndistribution-spec: %s\nruntime-spec: %s\n",
				v.Version, v.Commit, v.Go, v.Platform, v.Specs.Image, v.Specs.Distribution, v.Specs.Runtime)
			return err
		},
	}
	format.registerOutput(cmd.Flags())
	return cmd
}
