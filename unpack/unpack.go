package unpack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
)

// Rootfs is a root filesystem that was unpacked and proved. It comes from Unpack only.
type Rootfs struct {
	dir     string
	layers  []LayerResult
	devices []Device
}

// Dir is the directory that holds the files.
func (r Rootfs) Dir() string { return r.dir }

// Layers tells what each layer was, base first.
func (r Rootfs) Layers() []LayerResult { return r.layers }

// Unpack applies layers, base first, to dir, which must be absent or an empty directory (else
// ErrNotEmpty), and gives the root filesystem. Each layer's blob digest, size and DiffID are
// proved. On failure dir is as it was before: absent, or empty and with its attributes.
//
// The attributes of the root are those of the topmost "./" entry; if no layer has one, mode 0755,
// owner 0:0 and the epoch.
func Unpack(ctx context.Context, layers []image.Layer, blobs Blobs, dir string, o Options) (_ Rootfs, err error) {
	if o.Log != nil || o.Replaced != nil {
		return Rootfs{}, fail("unpack", dir, spec.Clause{}, ErrDescriptor, "a log belongs to one layer")
	}
	if err := o.checkMaps(); err != nil {
		return Rootfs{}, err
	}
	o.Limits = o.Limits.WithDefaults()
	o.Budget = NewBudget(o.Limits)
	made, err := makeTarget(dir)
	if err != nil {
		return Rootfs{}, &Error{Op: "unpack", Subject: dir, Err: err}
	}
	root, before, err := openTarget(dir, made)
	if err != nil {
		return Rootfs{}, err
	}
	defer root.Close()
	defer func() {
		if err != nil {
			err = errors.Join(err, root.undo(dir, made, before))
		}
	}()
	if err := root.CheckSpace(ctx, layers, blobs, o.Limits); err != nil {
		return Rootfs{}, err
	}
	if err := root.initialise(&o); err != nil {
		return Rootfs{}, &Error{Op: "unpack", Subject: dir, Err: err}
	}
	res := Rootfs{dir: dir}
	for i, layer := range layers {
		o.Index = i + 1
		done, err := applyLogged(ctx, layer, blobs, root, &o)
		if err != nil {
			return Rootfs{}, err
		}
		res.layers = append(res.layers, done)
	}
	res.devices = root.knownDevices().sorted()
	return res, nil
}

// applyLogged applies a layer in Merged form, with a log if one is asked for.
func applyLogged(ctx context.Context, layer image.Layer, blobs Blobs, root *Root, o *Options) (res LayerResult, err error) {
	if o.Logs == nil {
		return applyLayer(ctx, layer, blobs, root, Merged, o)
	}
	log, err := o.Logs(o.Index, layer)
	if err != nil {
		return LayerResult{}, &Error{Op: "open log", Layer: o.Index, Digest: layer.Descriptor.Digest, Err: notEOF(err)}
	}
	own := *o
	own.Log = log
	res, err = applyLayer(ctx, layer, blobs, root, Merged, &own)
	if cerr := log.Close(); err == nil && cerr != nil {
		err = &Error{Op: "write log", Layer: o.Index, Digest: layer.Descriptor.Digest, Err: notEOF(cerr)}
	}
	return res, err
}

// makeTarget makes dir, or checks that it is an empty directory; it tells whether it made it.
func makeTarget(dir string) (bool, error) {
	err := os.Mkdir(dir, 0o755)
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return false, err
	}
	f, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	defer f.Close()
	names, err := f.Readdirnames(1)
	switch {
	case len(names) > 0:
		return false, ErrNotEmpty
	case err != nil && err != io.EOF: //nolint:errorlint // documented to be io.EOF itself
		return false, fmt.Errorf("%w: %w", ErrNotEmpty, err)
	}
	return false, nil
}

// openTarget opens the target and notes what it is.
func openTarget(dir string, made bool) (*Root, *target, error) {
	root, err := openRoot(dir, !made)
	if err != nil && made {
		return nil, nil, errors.Join(err, os.Remove(dir))
	}
	if err != nil {
		return nil, nil, err
	}
	// What was looked at by its name may have been replaced since, in a directory that others can write to: what is emptied after a
	// failure must be what was found empty.
	empty, err := root.empty()
	if err == nil && !empty {
		err = ErrNotEmpty
	}
	var before *target
	if err == nil {
		before, err = root.remember()
	}
	if err != nil {
		root.Close()
		return nil, nil, &Error{Op: "unpack", Subject: dir, Err: err}
	}
	return root, before, nil
}

// undo makes the target what it was before: gone, if Unpack made it. It may hold anything that an image
// made: it is emptied by descriptor, like all else here.
func (r *Root) undo(dir string, made bool, before *target) error {
	err := r.RemoveContents()
	switch {
	case err == nil && made:
		err = os.Remove(dir)
	case err == nil:
		err = r.restore(before)
	}
	if err != nil {
		return &Error{Op: "remove", Subject: dir, Err: err}
	}
	return nil
}
