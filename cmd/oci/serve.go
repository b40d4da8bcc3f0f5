package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/distribution/registry"
	"github.com/oci-pipeline/oci/image/store"
)

// Limits of the server. A body has no limit in time as a whole, since a layer may take an hour, but its
// steps have one.
const (
	headerTimeout   = 10 * time.Second // also for a TLS handshake
	stallTimeout    = time.Minute
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 10 * time.Second
	maxHeader       = 64 << 10 // tokens of other registries that pass by are below 16 KiB
	maxConnections  = 1000     // each takes about 50 KiB and a descriptor
)

// serveFlags are the flags of `oci serve`.
type serveFlags struct {
	addr      string
	writable  bool
	sparse    bool
	cert, key string
}

func serveCommand(a *app) *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve [DIR...]",
		Short: "Serve the store, or OCI image layouts, as a registry",
		Long: "Serve the images of the store, or of the OCI image layout in DIR, over the distribution API. There is\n" +
			"no authentication, and no encryption without --tls-cert: the default address is on loopback.\n\n" +
			"An image docker.io/library/debian:12 is served as library/debian:12; one that has a tag alone, as other\n" +
			"tools write it into a layout, in the repository named like the directory. Of several directories, the\n" +
			"first one that has a name is the one it is served from. A layout may change while it is served.\n\n" +
			"With --writable it takes pushes and deletes, into one directory. All repositories share what is in\n" +
			"it: a delete takes a name away, and the content once no other name leads to it. `oci prune` waits\n" +
			"until nothing has been pushed for two minutes.\n\n" +
			"Each request is logged at --log-level info. A client that stalls for a minute is cut off. The first\n" +
			"SIGINT or SIGTERM lets the requests that are under way end, for ten seconds.",
		Args: atLeast(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (f.cert == "") != (f.key == "") {
				return usageErrorf(cmd, "--tls-cert and --tls-key go together")
			}
			if f.writable && len(args) > 1 {
				return usageErrorf(cmd, "--writable takes one directory")
			}
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			if len(args) == 0 {
				dir, err := a.storeRoot()
				if err != nil {
					return err
				}
				args = []string{dir}
			}
			return a.serve(ctx, args, f)
		},
	}
	cmd.Flags().StringVar(&f.addr, "addr", "127.0.0.1:5000", "`host:port` to listen on; port 0 takes a free one")
	cmd.Flags().BoolVar(&f.writable, "writable", false, "allow pushes and deletes")
	cmd.Flags().BoolVar(&f.sparse, "sparse", false, "accept manifests whose blobs have not been pushed")
	cmd.Flags().StringVar(&f.cert, "tls-cert", "", "serve https with the certificates in `file` (PEM, the server's first)")
	cmd.Flags().StringVar(&f.key, "tls-key", "", "the private key of --tls-cert, in `file` (PEM)")
	return cmd
}

// serve serves dirs until ctx ends.
func (a *app) serve(ctx context.Context, dirs []string, f serveFlags) error {
	open, err := a.openServed(ctx, dirs, f)
	if err != nil {
		return err
	}
	defer closeStores(open)
	l, scheme, err := listen(f)
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	handler, closeHandler := a.handler(open, f)
	defer closeHandler()
	fmt.Fprintf(a.err, "serving %s on %s://%s\n", strings.Join(dirs, ", "), scheme, l.Addr())
	if err := runServer(ctx, newServer(handler, a.log), l); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// openServed opens the directories.
func (a *app) openServed(ctx context.Context, dirs []string, f serveFlags) (open []*store.Store, err error) {
	for _, dir := range dirs {
		s, err := store.Open(ctx, dir, store.Options{ReadOnly: !f.writable})
		if err == nil {
			open = append(open, s)
			err = a.warnHidden(ctx, s)
		}
		if err != nil {
			closeStores(open)
			return nil, err
		}
	}
	return open, nil
}

func closeStores(open []*store.Store) {
	for _, s := range open {
		s.Close()
	}
}

// handler makes the registry over the stores. Uploads wait in the store's own file system, as they will
// be moved into it, and because the one for temporary files may be memory.
func (a *app) handler(open []*store.Store, f serveFlags) (h http.Handler, closeAll func()) {
	o := registry.Options{Writable: f.writable, AllowMissingBlobs: f.sparse, Stall: stallTimeout, Logger: a.log}
	if !f.writable {
		back := newDirsBackend(open)
		if len(open) == 1 {
			back = newStoreBackend(open[0], nil)
		}
		r := registry.New(back, o)
		return r, func() { _ = r.Close() }
	}
	l := newLease(open[0])
	o.TempDir = filepath.Join(open[0].Root(), "ingest")
	r := registry.New(newStoreBackend(open[0], l), o)
	return l.during(r), func() {
		_ = r.Close()
		l.close()
	}
}

func newServer(h http.Handler, log *slog.Logger) *http.Server {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what broken clients cause
		Protocols:         new(http.Protocols),
	}
	// Blobs gain nothing from HTTP/2, whose flow control is another thing to exhaust.
	s.Protocols.SetHTTP1(true)
	return s
}

// runServer serves until ctx ends, and then until what is under way has ended, within reason.
func runServer(ctx context.Context, server *http.Server, l net.Listener) error {
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if server.Shutdown(late) != nil {
			_ = server.Close()
		}
	})
	err := server.Serve(l)
	if !errors.Is(err, http.ErrServerClosed) {
		stop()
		return err
	}
	<-ended // Serve returns when the shutdown begins
	return nil
}

// listen opens the address; scheme is what it speaks.
func listen(f serveFlags) (l net.Listener, scheme string, err error) {
	var certs []tls.Certificate
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, "", err
		}
		certs = append(certs, pair)
	}
	if l, err = net.Listen("tcp", f.addr); err != nil {
		return nil, "", err
	}
	l = &boundedListener{Listener: l, free: make(chan struct{}, maxConnections)}
	if certs == nil {
		return l, "http", nil
	}
	return tls.NewListener(l, &tls.Config{Certificates: certs, MinVersion: tls.VersionTLS12}), "https", nil
}

// boundedListener has no more than cap(free) connections open; others wait in the kernel's queue.
type boundedListener struct {
	net.Listener
	free chan struct{}
}

// Accept waits for a place, then for a connection.
func (l *boundedListener) Accept() (net.Conn, error) {
	l.free <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &boundedConn{TCPConn: c.(*net.TCPConn), leave: sync.OnceFunc(func() { <-l.free })}, nil
}

// boundedConn is a connection that has a place. What it embeds lets net/http send files.
type boundedConn struct {
	*net.TCPConn
	leave func()
}

// Close gives the place back.
func (c *boundedConn) Close() error {
	defer c.leave()
	return c.TCPConn.Close()
}

// warnHidden names what is not served, since names of several registries have the same place in one.
func (a *app) warnHidden(ctx context.Context, s *store.Store) error {
	tags, err := tagsOf(ctx, s)
	if err != nil {
		return err
	}
	_, hidden := namingOf(s).served(tags)
	for _, h := range hidden {
		fmt.Fprintf(a.err, "warning: %s is not served: %s has its place, %s; `oci tag` gives it another\n", h.name, h.winner, h.place)
	}
	return nil
}
