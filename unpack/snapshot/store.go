package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
)

// Names in a store.
const (
	stagingDir = "staging"
	locksDir   = "locks"
	chainsDir  = "chains"

	filesDir    = "fs"
	replacedDir = "replaced"
	logFile     = "tar-split.json.zst"
	markerFile  = "layer.json"
)

// defaultJobs is how many layers are unpacked at once: inflating fills one core each, and more
// than two contend for the directory locks of one file system.
const defaultJobs = 2

// Options direct a store. The zero value is for root.
type Options struct {
	// Unpack directs how layers are unpacked: owners, devices, limits, UserXattr, Logger, Events.
	// Layers are shared, so a store must always be opened with the same UserXattr, SingleID and maps.
	Unpack unpack.Options
	Jobs   int  // layers at once; 2 if zero
	Sync   bool // flush a layer to disk before it is published; without, a power cut can cost it
}

// Store is a directory of unpacked layers. It may be used by several goroutines and processes.
type Store struct {
	dir string
	o   Options

	maxStack int // how many directories a stack may have, if not as many as overlayfs takes
}

// Open opens the store at layersDir, and makes it if need be.
func Open(layersDir string, o Options) (*Store, error) {
	dir, err := filepath.Abs(layersDir)
	if err != nil {
		return nil, &Error{Op: "open", Subject: layersDir, Err: err}
	}
	for _, sub := range []string{stagingDir, locksDir, chainsDir} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, &Error{Op: "open", Subject: dir, Err: err}
		}
	}
	if o.Jobs <= 0 {
		o.Jobs = defaultJobs
	}
	if o.Unpack.Hashes == nil {
		o.Unpack.Hashes = new(image.Hashes)
	}
	return &Store{dir: dir, o: o}, nil
}

// layerDir is where a layer is or will be.
func (s *Store) layerDir(diffID digest.Digest) string {
	return filepath.Join(s.dir, diffID.Algorithm().String(), diffID.Encoded())
}

// Has tells whether a layer is there.
func (s *Store) Has(diffID digest.Digest) bool {
	if image.ValidateDigest(diffID) != nil {
		return false
	}
	_, err := readMarker(s.layerDir(diffID))
	return err == nil
}

// Ensure unpacks the layers that are not there yet, several at once, and gives the directories to
// stack, base first: what MountOptions.Layers wants. Each layer is proved before it is published.
// There may be more directories than layers (see the package comment), or fewer: a layer can hide
// all below it.
//
// A layer that fails ends the others; what was complete stays. Errors are those of
// unpack.ApplyLayer, or *Error.
func (s *Store) Ensure(ctx context.Context, layers []image.Layer, blobs unpack.Blobs) ([]string, error) {
	stack, err := s.EnsureStack(ctx, layers, blobs)
	return stack.Dirs, err
}

// Stack is what Ensure makes of the layers of an image.
type Stack struct {
	Dirs []string // to stack, base first: MountOptions.Layers
	// Devices are those that the stack shows, by path: as devices or, where this user may make none, as empty
	// files (Placeholder). With unpack.DeviceError there are no placeholders, or Ensure fails; with the other
	// policies the caller does for its container what they say.
	Devices []unpack.Device
}

// EnsureStack is Ensure for who has to do with devices.
func (s *Store) EnsureStack(ctx context.Context, layers []image.Layer, blobs unpack.Blobs) (Stack, error) {
	markers, err := s.ensureAll(ctx, layers, blobs)
	if err != nil {
		return Stack{}, err
	}
	var stack Stack
	if stack.Devices, err = s.devices(markers); err != nil {
		return Stack{}, err
	}
	stack.Dirs, err = s.stack(ctx, layers, markers)
	return stack, err
}

// ensureAll gives the record of each layer.
func (s *Store) ensureAll(ctx context.Context, layers []image.Layer, blobs unpack.Blobs) ([]*marker, error) {
	for _, layer := range layers {
		if err := image.ValidateDigest(layer.DiffID); err != nil {
			return nil, &Error{Op: "ensure", Clause: spec.LayerDiffID, Err: err}
		}
	}
	s, err := s.prepare(ctx, layers, blobs)
	if err != nil {
		return nil, err
	}
	markers := make([]*marker, len(layers))
	first := map[digest.Digest]int{} // an image may have a layer twice
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(s.o.Jobs)
	for i, layer := range layers {
		if _, ok := first[layer.DiffID]; ok {
			continue
		}
		first[layer.DiffID] = i
		g.Go(func() (err error) {
			markers[i], err = s.ensure(gctx, layer, i+1, blobs)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i, layer := range layers {
		markers[i] = markers[first[layer.DiffID]]
	}
	return markers, nil
}

// prepare sees that the layers that are not there fit, and gives a store for them alone, with the bound
// that they share.
func (s *Store) prepare(ctx context.Context, layers []image.Layer, blobs unpack.Blobs) (*Store, error) {
	one := *s
	one.o.Unpack.Budget = unpack.NewBudget(s.o.Unpack.Limits)
	var missing []image.Layer
	seen := map[digest.Digest]bool{}
	for _, layer := range layers {
		if _, err := os.Lstat(s.layerDir(layer.DiffID)); err != nil && !seen[layer.DiffID] {
			missing = append(missing, layer)
		}
		seen[layer.DiffID] = true
	}
	if len(missing) == 0 {
		return &one, nil
	}
	root, err := unpack.OpenRoot(s.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return &one, root.CheckSpace(ctx, missing, blobs, s.o.Unpack.Limits)
}

// EnsureLayer unpacks one layer if it is not there, for callers that have its blob before those of
// others; Ensure then finds it. index is its place in the image, 1 for the base, for messages.
func (s *Store) EnsureLayer(ctx context.Context, layer image.Layer, index int, blobs unpack.Blobs) error {
	if err := image.ValidateDigest(layer.DiffID); err != nil {
		return &Error{Op: "ensure", Clause: spec.LayerDiffID, Err: err}
	}
	_, err := s.ensure(ctx, layer, index, blobs)
	return err
}

// ensure unpacks one layer if it is not there.
func (s *Store) ensure(ctx context.Context, layer image.Layer, index int, blobs unpack.Blobs) (*marker, error) {
	dir := s.layerDir(layer.DiffID)
	m, err := readMarker(dir)
	if err != nil {
		unlock, err := s.lock(ctx, name(layer.DiffID))
		if err != nil {
			return nil, err
		}
		defer unlock()
		m, err = readMarker(dir) // another process may have made it meanwhile
		if err != nil {
			if m, err = s.make(ctx, layer, index, blobs); err != nil {
				return nil, err
			}
		}
	} else {
		// Who prunes can tell by the time that someone wants it just now.
		now := time.Now()
		_ = os.Chtimes(dir, now, now)
		s.o.Unpack.Events.Emit(image.Event{Kind: image.EventReused, Descriptor: layer.Descriptor})
	}
	if want := s.form(); m.Form != want {
		return nil, &Error{
			Op: "ensure", Subject: layer.DiffID.String(),
			Err: fmt.Errorf("%w: it was unpacked for %s, and %s is wanted; use another store, or prune this one", ErrForm, m.Form, want),
		}
	}
	return m, s.allowed(m, layer, index)
}

// allowed refuses a layer with empty files in the places of devices where there are to be devices.
func (s *Store) allowed(m *marker, layer image.Layer, index int) error {
	if s.o.Unpack.Devices != unpack.DeviceError {
		return nil
	}
	for _, d := range m.Devices {
		if d.Placeholder {
			return &unpack.Error{
				Op: "apply", Subject: string(d.Path), Layer: index, Digest: layer.Descriptor.Digest, Clause: spec.LayerAttributes,
				Err: fmt.Errorf("%w: device %d:%d: an empty file stands for it; skip devices, or have the host's bind mounted", unpack.ErrDevice, d.Major, d.Minor),
			}
		}
	}
	return nil
}

// make unpacks a layer in a staging directory and publishes it. The caller holds its lock, so
// that a staging directory of its name belongs to a process that is dead.
func (s *Store) make(ctx context.Context, layer image.Layer, index int, blobs unpack.Blobs) (*marker, error) {
	stage := filepath.Join(s.dir, stagingDir, name(layer.DiffID))
	dir := s.layerDir(layer.DiffID)
	if err := errors.Join(removeAll(stage), os.MkdirAll(filepath.Dir(dir), 0o700), os.Mkdir(stage, 0o700)); err != nil {
		return nil, &Error{Op: "ensure", Subject: layer.DiffID.String(), Err: err}
	}
	m, err := s.fill(ctx, stage, layer, index, blobs)
	if err == nil {
		err = s.publish(stage, dir)
	}
	if err != nil {
		return nil, errors.Join(err, removeAll(stage))
	}
	return m, nil
}

// fill unpacks a layer into a staging directory.
func (s *Store) fill(ctx context.Context, stage string, layer image.Layer, index int, blobs unpack.Blobs) (_ *marker, err error) {
	files, err := makeRoot(filepath.Join(stage, filesDir))
	if err != nil {
		return nil, err
	}
	defer files.Close()
	replaced, err := makeRoot(filepath.Join(stage, replacedDir))
	if err != nil {
		return nil, err
	}
	defer replaced.Close()
	log, err := os.OpenFile(filepath.Join(stage, logFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := log.Close(); err == nil {
			err = cerr
		}
	}()
	w, err := unpack.NewLogWriter(log)
	if err != nil {
		return nil, err
	}
	o := s.o.Unpack
	if o.Devices != unpack.DeviceError {
		o.Devices = unpack.DeviceAny
	}
	o.Log, o.Replaced, o.Index = w, replaced, index
	res, err := unpack.ApplyLayer(ctx, layer, blobs, files, unpack.Overlay, o)
	if err != nil {
		w.Close()
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, &Error{Op: "ensure", Subject: layer.DiffID.String(), Err: err}
	}
	_ = os.Remove(filepath.Join(stage, replacedDir)) // stays if it holds something
	m := newMarker(res, s.form())
	return m, m.write(stage)
}

// makeRoot makes a directory and opens it.
func makeRoot(dir string) (*unpack.Root, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, &Error{Op: "ensure", Subject: dir, Err: err}
	}
	return unpack.OpenRoot(dir)
}

// publish moves a staging directory to its place.
func (s *Store) publish(stage, dir string) error {
	if s.o.Sync {
		if err := syncFS(stage); err != nil {
			return &Error{Op: "sync", Subject: stage, Err: err}
		}
	}
	err := os.Rename(stage, dir)
	if errors.Is(err, fs.ErrExist) {
		// A directory without a valid marker: a power cut took it. It goes to staging first, so
		// that it never is half there under its name.
		broken := stage + ".broken"
		if err := errors.Join(removeAll(broken), os.Rename(dir, broken)); err != nil {
			return &Error{Op: "publish", Subject: dir, Err: err}
		}
		if err := removeAll(broken); err != nil {
			return &Error{Op: "publish", Subject: dir, Err: err}
		}
		err = os.Rename(stage, dir)
	}
	if err != nil {
		return &Error{Op: "publish", Subject: dir, Err: err}
	}
	return nil
}

// form names what layer directories of this store look like, so that others are not taken for it.
func (s *Store) form() string {
	form := "overlay"
	if s.o.Unpack.UserXattr {
		form = "overlay,userxattr"
	}
	if s.o.Unpack.SingleID {
		form += ",single-id"
	}
	if s.o.Unpack.UIDMap != nil || s.o.Unpack.GIDMap != nil {
		form += fmt.Sprintf(",uids=%v,gids=%v", s.o.Unpack.UIDMap, s.o.Unpack.GIDMap)
	}
	return form
}

// name is a digest as one file name.
func name(d digest.Digest) string { return d.Algorithm().String() + "-" + d.Encoded() }

// WriteTar rebuilds the uncompressed tar of a layer from its files and its log, and proves that it
// is the one that the DiffID names. What was written before an error must be thrown away.
func (s *Store) WriteTar(ctx context.Context, diffID digest.Digest, w io.Writer) error {
	if !s.Has(diffID) {
		return &Error{Op: "rebuild", Subject: diffID.String(), Err: ErrNotFound}
	}
	dir := s.layerDir(diffID)
	log, err := os.Open(filepath.Join(dir, logFile))
	if err != nil {
		return &Error{Op: "rebuild", Subject: diffID.String(), Err: err}
	}
	defer log.Close()
	files, err := unpack.OpenRoot(filepath.Join(dir, filesDir))
	if err != nil {
		return err
	}
	defer files.Close()
	content := func(position int, name string) (io.ReadCloser, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if f, err := os.Open(filepath.Join(dir, replacedDir, fmt.Sprint(position))); err == nil {
			return f, nil
		}
		return files.Open(name)
	}
	sum := diffID.Algorithm().Digester()
	if err := unpack.RebuildTar(log, content, io.MultiWriter(sum.Hash(), w)); err != nil {
		return err
	}
	if got := sum.Digest(); got != diffID {
		return &Error{Op: "rebuild", Subject: diffID.String(), Clause: spec.LayerReproducible, Err: fmt.Errorf("%w: got %s", unpack.ErrDiffID, got)}
	}
	return nil
}
