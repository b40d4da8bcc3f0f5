package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/bundle"
)

func specCommand(a *app) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "spec",
		Short: "Write a config.json with the defaults of this runtime",
		Long: "Write a config.json that gives a shell in `rootfs` what Docker gives a container. A file that is\n" +
			"there already is not replaced. With --bundle - it goes to standard output.",
		Args: exact(0),
		RunE: func(*cobra.Command, []string) error {
			s := bundle.DefaultSpec()
			if dir == "-" {
				raw, err := bundle.Marshal(s)
				if err != nil {
					return err
				}
				_, err = a.out.Write(raw)
				return err
			}
			path := filepath.Join(dir, bundle.ConfigName)
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("write spec %s: %w: remove it first", path, fs.ErrExist)
			}
			return bundle.Write(dir, s)
		},
	}
	cmd.Flags().StringVarP(&dir, "bundle", "b", ".", "`dir` of the bundle; - for standard output")
	return cmd
}
