package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/convert"
	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/distribution/registry"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/reference"
	"github.com/oci-pipeline/oci/image/store"
)

func demoCommand(a *app) *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use:    "demo",
		Short:  "Follow an image of this program through every stage, offline",
		Hidden: true,
		Args:   exact(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			done, err := a.asRoot()
			var exit *exitError
			switch {
			case done && (err == nil || errors.As(err, &exit)):
				return err
			case err != nil:
				fmt.Fprintf(a.out, "%v\n\nGoing on without: everything but the container itself.\n\n", err)
			}
			dir, errDir := os.MkdirTemp("", "oci-demo-")
			if errDir != nil {
				return errDir
			}
			d := &demo{a: a, dir: dir, contained: err == nil}
			if keep {
				fmt.Fprintf(a.out, "everything stays in %s\n", dir)
			} else {
				defer os.RemoveAll(dir)
			}
			a.global.state, a.global.root = filepath.Join(dir, "state"), filepath.Join(dir, "store")
			return d.run(ctx)
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "keep the directory of the demonstration")
	return cmd
}

// demo is one demonstration and what its stages hand on.
type demo struct {
	a         *app
	dir       string
	contained bool // a container can be made

	made  *demoImage
	ref   reference.Ref
	store *store.Store
	image image.Image
	dirs  []string // of the unpacked layers
}

// demoStage is one line of the output.
type demoStage struct {
	name string
	run  func(context.Context) (string, error)
}

func (d *demo) run(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	handler := registry.New(&registry.Memory{}, registry.Options{Writable: true})
	server := &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	if d.ref, err = reference.Parse(l.Addr().String() + "/demo/oci:latest"); err != nil {
		return err
	}
	for _, s := range []demoStage{
		{"image", d.makeImage},
		{"push", d.push},
		{"pull", d.pull},
		{"verify", d.verify},
		{"unpack", d.unpack},
		{"bundle", d.bundle},
		{"layers", d.layers},
		{"run", d.runContainer},
	} {
		start := time.Now()
		detail, err := s.run(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(d.a.out, "%-7s %7.1f ms  %s\n", s.name, float64(time.Since(start).Microseconds())/1000, detail)
	}
	return nil
}

func (d *demo) makeImage(context.Context) (detail string, err error) {
	d.made, err = newDemoImage()
	if err != nil {
		return "", err
	}
	total := 0
	for _, b := range d.made.blobs {
		total += len(b)
	}
	return fmt.Sprintf("this program, its passwd and group files, and a layer that deletes one file: %s", size(int64(total))), nil
}

func (d *demo) push(ctx context.Context) (string, error) {
	c, err := d.a.client(transferFlags{})
	if err != nil {
		return "", err
	}
	err = c.Push(ctx, d.ref, d.made, d.made.manifest, distribution.PushOptions{})
	return "to a registry in this process, " + d.ref.String(), err
}

func (d *demo) pull(ctx context.Context) (detail string, err error) {
	d.store, err = store.Open(ctx, filepath.Join(d.dir, "store"), store.Options{})
	if err != nil {
		return "", err
	}
	done, err := d.a.pull(ctx, d.store, d.ref, transferFlags{quiet: true})
	d.image = done.image
	return fmt.Sprintf("%s of %s, digest by digest", size(done.Fetched), short(d.image.Descriptor().Digest)), err
}

func (d *demo) verify(ctx context.Context) (string, error) {
	r, err := d.store.Check(ctx)
	if err == nil && !r.OK() {
		err = errors.Join(r.Problems[0].Err)
	}
	return fmt.Sprintf("%d blobs hashed again: the store is clean, and an OCI image layout", r.Blobs), err
}

func (d *demo) unpack(ctx context.Context) (string, error) {
	rootfs, err := d.a.unpack(ctx, d.store, d.image, filepath.Join(d.dir, "rootfs"), transferFlags{quiet: true}, d.a.unpackOptions())
	if err != nil {
		return "", err
	}
	if _, err := os.Lstat(filepath.Join(rootfs.Dir(), "etc/motd")); err == nil {
		return "", errors.New("the second layer's whiteout was not applied")
	}
	return fmt.Sprintf("%d layers, each DiffID proved: %v", len(rootfs.Layers()), listDir(rootfs.Dir())), nil
}

func (d *demo) bundle(ctx context.Context) (string, error) {
	dir := filepath.Join(d.dir, "bundle")
	if err := d.a.bundle(ctx, d.store, d.image, dir, transferFlags{quiet: true}, d.options(), bundleLayout{unpack: d.a.unpackOptions()}); err != nil {
		return "", err
	}
	b, err := bundle.Load(dir)
	if err != nil {
		return "", err
	}
	p := b.Spec.Process
	return fmt.Sprintf("config.json: args %v, user %d:%d, cwd %s, %d mounts, %d seccomp rules",
		p.Args, p.User.UID, p.User.GID, p.Cwd, len(b.Spec.Mounts), len(b.Spec.Linux.Seccomp.Syscalls)), nil
}

// options runs the image as root where the user namespace has no other user.
func (d *demo) options() convert.Options {
	if singleID() {
		return convert.Options{User: "0:0"}
	}
	return convert.Options{}
}

// layers unpacks each layer by itself, as overlay mounts want them: once, whatever the number of
// containers.
func (d *demo) layers(ctx context.Context) (string, error) {
	if !d.contained {
		return "left out: needs root or a user namespace", nil
	}
	r := d.imageRun(nil)
	w := newLayerWork(d.a, d.store, r.f.devices)
	defer w.close()
	dirs, err := r.unpackLayers(ctx, w)
	d.dirs = dirs
	return fmt.Sprintf("%d directories, shared by every container of these layers", len(dirs)), err
}

func (d *demo) imageRun(out *os.File) *imageRun {
	return &imageRun{a: d.a, f: &runFlags{remove: true}, s: d.store, id: "demo", name: d.ref.String(), image: d.image, layers: d.dirs, out: out}
}

// runContainer runs the image and shows what its program, this one, sees from inside.
func (d *demo) runContainer(ctx context.Context) (string, error) {
	if !d.contained {
		return "left out: needs root or a user namespace", nil
	}
	out, err := os.CreateTemp(d.dir, "output-")
	if err != nil {
		return "", err
	}
	defer out.Close()
	status, err := d.imageRun(out).foreground(ctx, d.options())
	if err == nil && status != statusOK {
		err = fmt.Errorf("the container's program ended with status %d", status)
	}
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(out.Name())
	return "exit status 0; what the program saw:\n\n    " + strings.ReplaceAll(strings.TrimSpace(string(b)), "\n", "\n    ") + "\n", err
}
