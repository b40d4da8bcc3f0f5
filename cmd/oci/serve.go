package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/distribution/registry"
	"github.com/oci-pipeline/oci/image/store"
)

// Limits of the server. Bodies have no limit in time: a layer may take an hour.
const (
	headerTimeout   = 10 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 5 * time.Second
)

// serveFlags are the flags of `oci serve`.
type serveFlags struct {
	addr     string
	writable bool
	sparse   bool
}

func serveCommand(a *app) *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve [DIR]",
		Short: "Serve the store, or an OCI image layout, as a registry",
		Long: "Serve the images of the store, or of the OCI image layout in DIR, over the distribution API. There is\n" +
			"no authentication and no encryption: the default address is on loopback.\n\n" +
			"With --writable it takes pushes and deletes. All repositories share what is in the store: a delete\n" +
			"takes a name away, and the content once no other name leads to it.",
		Args: between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			dir, err := a.storeRoot()
			if len(args) == 1 {
				dir, err = args[0], nil
			}
			if err != nil {
				return err
			}
			return a.serve(ctx, dir, f)
		},
	}
	cmd.Flags().StringVar(&f.addr, "addr", "127.0.0.1:5000", "`host:port` to listen on; port 0 takes a free one")
	cmd.Flags().BoolVar(&f.writable, "writable", false, "allow pushes and deletes")
	cmd.Flags().BoolVar(&f.sparse, "sparse", false, "accept manifests whose blobs have not been pushed")
	return cmd
}

func (a *app) serve(ctx context.Context, dir string, f serveFlags) error {
	s, err := store.Open(ctx, dir, store.Options{ReadOnly: !f.writable})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := a.warnHidden(ctx, s); err != nil {
		return err
	}
	l, err := net.Listen("tcp", f.addr)
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	handler := registry.New(newStoreBackend(s), registry.Options{Writable: f.writable, AllowMissingBlobs: f.sparse, Logger: a.log})
	defer handler.Close()
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
	}
	fmt.Fprintf(a.err, "serving %s on http://%s\n", dir, l.Addr())
	context.AfterFunc(ctx, func() {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		_ = server.Shutdown(late)
	})
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// warnHidden names what is not served, since names of several registries have the same place in one.
func (a *app) warnHidden(ctx context.Context, s *store.Store) error {
	tags, err := s.Tags(ctx)
	if err != nil {
		return err
	}
	_, hidden := namingOf(s).served(tags)
	for _, h := range hidden {
		fmt.Fprintf(a.err, "warning: %s is not served: %s has its place, %s; `oci tag` gives it another\n", h.name, h.winner, h.place)
	}
	return nil
}
