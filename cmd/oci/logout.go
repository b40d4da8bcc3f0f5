package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/distribution/credential"
)

func logoutCommand(a *app) *cobra.Command {
	var authFile string
	var all bool
	var network networkFlags
	cmd := &cobra.Command{
		Use:   "logout REGISTRY[/PATH] | --all",
		Short: "Forget the stored credentials of a registry",
		Args:  between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all != (len(args) == 0) {
				return usageErrorf(cmd, "name a registry, or give --all")
			}
			k, err := keychain(authFile, network)
			if err != nil {
				return err
			}
			if all {
				return a.logoutAll(cmd.Context(), k)
			}
			n, err := credential.ParseName(args[0])
			if err != nil {
				return usageErrorf(cmd, "%w", err)
			}
			return a.logout(cmd.Context(), n, k)
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "forget those of every registry")
	cmd.Flags().StringVar(&authFile, "authfile", "", "the `file` that has them")
	cmd.Flags().StringVar(&network.registriesConf, "registries-conf", "", "read credential-helpers from this registries.conf `file` (default as podman)")
	return cmd
}

// logout erases, and tells when there is still something left.
func (a *app) logout(ctx context.Context, n credential.Name, k *credential.Keychain) error {
	where, err := k.Erase(ctx, n)
	if err != nil && !errors.Is(err, credential.ErrAbsent) {
		return err
	}
	if c, lookErr := k.Again(ctx, n.Registry, n.Repository); lookErr == nil && !c.Anonymous() {
		fmt.Fprintf(a.err, "other credentials for %s are still in use: those of a wider name, or of another tool's file\n", n)
	}
	if err != nil {
		return &exitError{status: statusNotFound, err: err}
	}
	_, err = fmt.Fprintf(a.out, "logged out of %s; removed from %s\n", n, where)
	return err
}

func (a *app) logoutAll(ctx context.Context, k *credential.Keychain) error {
	names, where, err := k.EraseAll(ctx)
	if err != nil {
		return err
	}
	for _, n := range names {
		if _, err := fmt.Fprintf(a.out, "logged out of %s; removed from %s\n", n, where); err != nil {
			return err
		}
	}
	return nil
}
