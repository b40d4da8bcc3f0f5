package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/convert"
	"github.com/oci-pipeline/oci/bundle/origin"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/runtime"
	"github.com/oci-pipeline/oci/unpack"
)

// imageRun is one run of an image: what its steps hand on.
type imageRun struct {
	a          *app
	f          *runFlags
	s          *store.Store
	id         string
	name       string // of the image
	image      image.Image
	layers     []string // directories to stack, base first
	merged     bool     // there are none: the file system of the store cannot hold them
	dir        containerDir
	root       *os.File       // the root file system, a mount that is attached nowhere
	storage    string         // how it was made: overlay or copy
	uids, gids []unpack.IDMap // of the container's own user namespace; nil without one
	// keptUIDs and keptGIDs are instead of them where the user has one id only, which all files belong to.
	keptUIDs, keptGIDs []unpack.IDMap

	devices []unpack.Device // that the layers show
	spec    *specs.Spec
	pipe    *os.File // in the background process of -d: where the verdict goes
	mounts  runMounts
	out     *os.File // standard output and error of the container; nil: this process's own
}

// runImage makes a container of an image and runs it: find or pull it, unpack what is not unpacked
// yet, mount, convert, run. With -d a second process does all but the pull.
func (a *app) runImage(ctx context.Context, args []string, f *runFlags) (status int, err error) {
	o, err := f.c.options(args[1:])
	if err != nil {
		return 0, err
	}
	r := &imageRun{a: a, f: f, id: f.name}
	if err := r.setIDs(&o); err != nil {
		return 0, err
	}
	if r.pipe, r.id = detachedPipe(); r.pipe == nil {
		r.id = f.name
	}
	if r.id == "" {
		r.id = newContainerID()
	}
	if err := checkContainerID(r.id); err != nil {
		return 0, err
	}
	if err := checkSources(o); err != nil {
		return 0, err
	}
	if err := r.checkIDFile(); err != nil {
		return 0, err
	}
	if r.s, err = a.openStore(ctx); err != nil {
		return 0, keepStatus(err)
	}
	defer r.s.Close()
	if err := r.prepare(ctx, args[0]); err != nil {
		return 0, keepStatus(err)
	}
	switch {
	case r.pipe != nil:
		return r.background(ctx, o)
	case f.detach || f.created:
		return 0, r.detach()
	}
	return r.foreground(ctx, o)
}

// prepare gets the image, pulled if need be, and unpacks its layers. That can be broken off; what
// comes after forwards signals instead.
func (r *imageRun) prepare(ctx context.Context, arg string) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	if err := r.get(ctx, arg); err != nil {
		return err
	}
	return r.prepareImages(ctx)
}

// get gets an image, pulled if need be, and unpacks its layers.
func (r *imageRun) get(ctx context.Context, arg string) (err error) {
	w := newLayerWork(r.a, r.s, r.f.devices)
	defer w.close()
	t := r.f.t
	t.onLayer = w.begin(ctx)
	r.name, r.image, err = r.a.ensure(ctx, r.s, arg, r.f.policy, t)
	if err != nil {
		return err
	}
	r.layers, err = r.unpackLayers(ctx, w)
	return err
}

// detach leaves the rest to the background.
func (r *imageRun) detach() error {
	dir, err := createContainerDir(r.s.ContainersDir(), r.id)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(dir.join(logFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return errors.Join(fmt.Errorf("run: %w", err), dir.remove())
	}
	defer log.Close()
	if err := r.a.startDetached(r.id, log); err != nil {
		return errors.Join(err, dir.remove())
	}
	_, err = fmt.Fprintln(r.a.out, r.id)
	return err
}

// background is the run in the second process. The first one has made the directory.
func (r *imageRun) background(ctx context.Context, o convert.Options) (int, error) {
	r.dir = containerDir{r.s.ContainersDir() + "/" + r.id}
	c, err := r.create(ctx, o)
	if err != nil {
		// The directory is removed by the process that made it, which waits for this.
		err = errors.Join(err, r.a.releaseVolumes(r.id, r.mounts.volumes, true))
		judge(r.pipe, runStatus(0, err))
		return 0, err
	}
	return r.finish(ctx, c)
}

func (r *imageRun) foreground(ctx context.Context, o convert.Options) (status int, err error) {
	if r.dir, err = createContainerDir(r.s.ContainersDir(), r.id); err != nil {
		return 0, err
	}
	c, err := r.create(ctx, o)
	if err != nil {
		return 0, errors.Join(err, r.discard())
	}
	return r.finish(ctx, c)
}

// create makes everything up to the process that waits for its start.
func (r *imageRun) create(ctx context.Context, o convert.Options) (*runtime.Container, error) {
	hold, err := r.s.Hold(ctx) // until the record says which layers are in use
	if err != nil {
		return nil, err
	}
	defer hold.Release()
	if err := r.makeRoot(ctx); err != nil {
		return nil, err
	}
	defer r.root.Close()
	if err := r.leaveOutDevices(); err != nil {
		return nil, err
	}
	r.supply(ctx, &o)
	defer r.mounts.close()
	if err := r.convert(o); err != nil {
		return nil, err
	}
	stdio, done, err := r.stdio()
	if err != nil {
		return nil, err
	}
	defer done()
	rt, err := r.a.openRuntime()
	if err != nil {
		return nil, err
	}
	create := r.f.create(r.id)
	create.Bundle, create.Spec, create.Rootfs, create.Mounts = r.dir.path, r.spec, r.root, r.givenMounts()
	create.Stdio, create.Attached = stdio, !r.f.created
	c, err := rt.Create(ctx, create)
	if err != nil {
		return nil, err
	}
	if err := r.writeIDFile(); err != nil {
		return nil, errors.Join(err, c.Delete(ctx, true))
	}
	return c, nil
}

// checkIDFile refuses to replace the file of --cidfile, before anything is made.
func (r *imageRun) checkIDFile() error {
	if r.f.idFile == "" || r.pipe != nil {
		return nil
	}
	if _, err := os.Lstat(r.f.idFile); !errors.Is(err, fs.ErrNotExist) {
		return usageErrorf(nil, "--cidfile %s: %w", r.f.idFile, errors.Join(err, fs.ErrExist))
	}
	return nil
}

func (r *imageRun) writeIDFile() error {
	if r.f.idFile == "" {
		return nil
	}
	f, err := os.OpenFile(r.f.idFile, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err == nil {
		_, err = f.WriteString(r.id)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("--cidfile: %w", err)
	}
	return nil
}

// convert makes the config and writes it as the container's bundle, with the record.
func (r *imageRun) convert(o convert.Options) (err error) {
	named := o.Hostname != ""
	if !named && (o.UTS == "" || o.UTS == "private") { // that of another one has a name
		o.Hostname = r.id[:min(len(r.id), maxHostname)]
	}
	r.useIDs(&o)
	o.ContainerID = r.id
	o.SpecMounts = r.etcMounts(o.ReadOnly)
	if r.f.devices == devicesBind {
		o.SpecMounts = append(o.SpecMounts, r.a.bindDevices(r.devices)...)
	}
	if err := r.shareShm(&o); err != nil {
		return err
	}
	var marks []origin.Mark
	r.spec, marks, err = convert.SpecWithOrigins(r.image.Config(), convert.NewRoot(r.root), o)
	if err != nil {
		return err
	}
	r.keepShm()
	if !named {
		marks = namedByID(marks)
	}
	if err := r.writeEtc(o); err != nil {
		return err
	}
	if err := os.Mkdir(r.dir.join(rootfsDir), 0o700); err != nil && r.storage != storageCopy {
		return fmt.Errorf("run: %w", err)
	}
	if err := bundle.Write(r.dir.path, r.spec); err != nil {
		return err
	}
	if err := origin.Write(r.dir.path, origin.Record{Image: r.name, Digest: r.image.Descriptor().Digest.String(), Marks: marks}); err != nil {
		return err
	}
	return r.record(o)
}

// record tells the other verbs of the container.
func (r *imageRun) record(o convert.Options) error {
	rec := record{
		ID: r.id, Image: r.name, Digest: r.image.Descriptor().Digest.String(), Command: convert.Program(r.spec),
		Created: time.Now().UTC(), Remove: r.f.remove, StopSignal: r.stopSignal(), StopTimeout: r.f.grace(), Storage: r.storage, Volumes: r.mounts.volumes, Shared: r.sharedMounts(o),
	}
	for _, l := range r.image.Layers() {
		rec.Layers = append(rec.Layers, l.DiffID)
	}
	for _, m := range r.mounts.images {
		for _, l := range m.image.Layers() {
			rec.Mounted = append(rec.Mounted, l.DiffID)
		}
	}
	return r.dir.save(recordFile, rec)
}

// stopSignal is what `oci stop` shall send; "" for the default. What the image says counts only if there
// is such a signal.
func (r *imageRun) stopSignal() string {
	if r.f.c.o.StopSignal != "" {
		return r.f.c.o.StopSignal // check has seen it
	}
	name := r.image.Config().Config.StopSignal
	if _, err := parseSignal(name); name != "" && err != nil {
		r.a.log.Warn("the image's StopSignal is no signal; TERM will be sent instead", "signal", name)
		return ""
	}
	return name
}

// maxHostname is the kernel's limit (uname(2), __NEW_UTS_LEN).
const maxHostname = 64

// stdio gives the container's standard streams: this process's own, but no input unless asked.
func (r *imageRun) stdio() (files [3]*os.File, done func(), err error) {
	done = func() {}
	files[1], files[2] = r.out, r.out
	if r.f.interactive && r.pipe == nil || r.f.c.o.Terminal {
		return files, done, nil
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return files, done, fmt.Errorf("run: %w", err)
	}
	files[0] = null
	return files, func() { null.Close() }, nil
}

// finish starts the container, waits for it, and leaves what is to be left.
func (r *imageRun) finish(ctx context.Context, c *runtime.Container) (int, error) {
	ran := false
	began := func() {
		ran = true
		judge(r.pipe, nil)
	}
	var status int
	var err error
	if r.f.created {
		began() // another process starts it
		var ended runtime.ExitStatus
		ended, err = c.Wait(ctx)
		status = ended.Code()
	} else {
		status, err = r.a.foreground(ctx, c, r.f.interactive, began)
	}
	if !ran {
		judge(r.pipe, runStatus(status, err))
	}
	errDelete := c.Delete(ctx, true)
	if errors.Is(errDelete, runtime.ErrNotExist) {
		errDelete = nil // another process was asked to delete it
	}
	var errKeep error
	if r.f.remove || !ran {
		errKeep = r.discard()
	} else if errKeep = r.dir.save(exitFile, exitRecord{Status: status, Finished: time.Now().UTC()}); errors.Is(errKeep, fs.ErrNotExist) {
		errKeep = nil // likewise
	}
	return status, errors.Join(err, errDelete, errKeep)
}

// layersInUse are the DiffIDs of the layers of all containers that were made from images.
func layersInUse(containers string) ([]digest.Digest, error) {
	dirs, err := containerDirs(containers)
	var used []digest.Digest
	for _, dir := range dirs {
		var r record
		if dir.load(recordFile, &r) != nil { // one without a record was never started
			continue
		}
		used = append(used, r.Mounted...)
		if r.Storage != storageCopy {
			used = append(used, r.Layers...)
		}
	}
	return used, err
}

// cgroup2 tells whether this machine has the unified hierarchy alone, parts of which can be delegated to users (cgroups(7)).
func cgroup2() bool {
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	return err == nil
}
