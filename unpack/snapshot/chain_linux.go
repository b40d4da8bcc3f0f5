package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/snapshot/internal/overlay"
)

const chainFile = "chain.json"

// chain is chain.json: the stack for which a directory of chains/ was made.
type chain struct {
	DiffIDs []digest.Digest `json:"diffIDs"`
	Empty   bool            `json:"empty,omitempty"` // nothing had to be added
}

// chainLock is the lock of a chain; the chain of a base layer has the name of the layer.
func chainLock(name string) string { return "chain-" + name }

// stack gives the directories of the layers, base first, with what the layers leave to the stack.
func (s *Store) stack(ctx context.Context, layers []image.Layer, markers []*marker) ([]string, error) {
	return s.stackWith(ctx, layers, markers, newStackWork(s.o.Unpack.Limits))
}

func (s *Store) stackWith(ctx context.Context, layers []image.Layer, markers []*marker, w *stackWork) ([]string, error) {
	diffIDs := make([]digest.Digest, len(layers))
	for i, l := range layers {
		diffIDs[i] = l.DiffID
	}
	chainIDs := image.ChainIDs(diffIDs)
	var dirs []string
	for i, m := range markers {
		own := filepath.Join(s.layerDir(m.DiffID), filesDir)
		extra := ""
		if len(m.Whiteouts) > 0 || len(m.Links) > 0 || len(m.Replaced) > 0 || i > 0 && len(m.Implicit) > 0 {
			var err error
			if extra, err = s.extra(ctx, name(chainIDs[i]), diffIDs[:i+1], dirs, own, m, w); err != nil {
				return nil, locate(err, i+1, layers[i].Descriptor.Digest)
			}
		}
		if m.OpaqueRoot {
			dirs = nil
		}
		dirs = append(withoutDir(dirs, own), own)
		if extra != "" {
			dirs = append(dirs, extra)
		}
	}
	if len(dirs) <= s.most() {
		return dirs, nil
	}
	return s.shorten(ctx, name(chainIDs[len(chainIDs)-1]), diffIDs, dirs)
}

// locate names the layer in an error of one of its entries.
func locate(err error, index int, blob digest.Digest) error {
	var e *unpack.Error
	if errors.As(err, &e) && e.Digest == "" {
		e.Layer, e.Digest = index, blob
	}
	return err
}

// most is how many directories a stack may have.
func (s *Store) most() int {
	if s.maxStack > 0 {
		return s.maxStack
	}
	return overlay.MaxLayers
}

// withoutDir takes a directory out that comes again further up, in an image that has a layer twice: overlayfs
// refuses to have it twice ("conflicting lowerdir path"). What the lower one shows the upper one hides,
// entry by entry, and what the lower one hides the upper one hides too.
func withoutDir(dirs []string, again string) []string {
	if !slices.Contains(dirs, again) {
		return dirs
	}
	return slices.DeleteFunc(slices.Clone(dirs), func(d string) bool { return d == again })
}

// shorten replaces the lowest directories of a stack that overlayfs would not take by a copy of what they
// show. An image may have as many layers as overlayfs takes, and most need a directory of chains/ more. The
// lowest are chosen, as they hide nothing of others; the copy serves all containers of the image.
func (s *Store) shorten(ctx context.Context, top string, diffIDs []digest.Digest, dirs []string) ([]string, error) {
	n := len(dirs) - s.most() + 1
	base, err := s.chain(ctx, top+"-base", diffIDs, func(files string) (bool, error) {
		_, err := Copy(ctx, files, CopyOptions{Layers: dirs[:n]})
		return false, err
	})
	return append([]string{base}, dirs[n:]...), err
}

// extra gives the directory to stack above the layer at own, "" if it is not needed.
func (s *Store) extra(ctx context.Context, id string, diffIDs []digest.Digest, lower []string, own string, m *marker, w *stackWork) (string, error) {
	return s.chain(ctx, id, diffIDs, func(files string) (bool, error) {
		b, err := newBuilder(files, lower, own, m, w)
		if err != nil {
			return false, err
		}
		defer b.close()
		return b.build(ctx)
	})
}

// chain gives the files of the directory of chains/ that was made by build for the stack of these layers; it is made if it is not
// there. build tells whether it left its directory empty: then there are no files to stack.
func (s *Store) chain(ctx context.Context, id string, diffIDs []digest.Digest, build func(files string) (empty bool, err error)) (string, error) {
	dir := filepath.Join(s.dir, chainsDir, id)
	if c, err := readChain(dir, diffIDs); err == nil {
		return c.files(dir), nil
	}
	unlock, err := s.lock(ctx, chainLock(id))
	if err != nil {
		return "", err
	}
	defer unlock()
	if c, err := readChain(dir, diffIDs); err == nil {
		return c.files(dir), nil
	}
	stage := filepath.Join(s.dir, stagingDir, chainLock(id))
	if err := errors.Join(removeAll(stage), os.MkdirAll(filepath.Join(stage, filesDir), 0o755)); err != nil {
		return "", &Error{Op: "stack", Subject: id, Err: err}
	}
	c := chain{DiffIDs: diffIDs}
	if c.Empty, err = build(filepath.Join(stage, filesDir)); err == nil {
		var raw []byte
		if raw, err = json.Marshal(c); err == nil {
			err = os.WriteFile(filepath.Join(stage, chainFile), raw, 0o600)
		}
	}
	if err == nil {
		err = s.publish(stage, dir)
	}
	if err != nil {
		var known *unpack.Error
		if !errors.As(err, &known) {
			err = &Error{Op: "stack", Subject: id, Err: err}
		}
		return "", errors.Join(err, removeAll(stage))
	}
	return c.files(dir), nil
}

func (c chain) files(dir string) string {
	if c.Empty {
		return ""
	}
	return filepath.Join(dir, filesDir)
}

func readChain(dir string, diffIDs []digest.Digest) (chain, error) {
	var c chain
	raw, err := os.ReadFile(filepath.Join(dir, chainFile))
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err == nil && !slices.Equal(c.DiffIDs, diffIDs) {
		err = errors.New("another stack")
	}
	return c, err
}
