package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/internal/layout"
)

// DefaultPartialAge is how old an unfinished ingest must be for Prune to delete it.
const DefaultPartialAge = 24 * time.Hour

// PruneOptions of Prune. The zero value deletes every blob that no name leads to, and unfinished
// ingests that nobody has added to for a day. While another tool is seen to be at work in the store, blobs
// of the last hour stay.
type PruneOptions struct {
	DryRun     bool          // delete nothing, tell what would be
	MinAge     time.Duration // blobs that came later than this before now are kept
	PartialAge time.Duration // likewise for unfinished ingests; 0 means DefaultPartialAge, negative all of them
}

// Pruned is what Prune did.
type Pruned struct {
	Blobs    []digest.Digest // that were deleted
	Partial  []string        // names of the unfinished ingests that were deleted
	Bytes    int64           // that were freed
	DiffIDs  []digest.Digest // of all layers of all images that are still there: what to keep in LayersDir
	Retained int             // blobs that are still there
}

// Prune deletes the content that no name leads to, and no name that another tool has written over (see
// Lost). It waits until no process has a Hold or an open
// Ingest (ErrBusy if ctx ends first), and keeps others from beginning one while it works. If an
// index or manifest that is in use cannot be read it deletes nothing: what hangs on it is not known.
func (s *Store) Prune(ctx context.Context, o PruneOptions) (Pruned, error) {
	if err := s.writable("prune", s.path); err != nil {
		return Pruned{}, err
	}
	unlock, err := s.lock(ctx, storeLock, layout.Exclusive)
	if err != nil {
		return Pruned{}, failed("prune", s.path, err)
	}
	defer unlock()
	g, err := s.reachable(ctx)
	if err != nil {
		return Pruned{}, failed("prune", s.path, err)
	}
	var p Pruned
	for id := range g.diffIDs {
		p.DiffIDs = append(p.DiffIDs, id)
	}
	slices.Sort(p.DiffIDs)
	err = s.sweepBlobs(ctx, o, g.reached, &p)
	if err == nil {
		err = s.sweepPartial(ctx, o, &p)
	}
	return p, failed("prune", s.path, err)
}

// reachable gives what the names lead to.
func (s *Store) reachable(ctx context.Context) (*graph, error) {
	x, err := s.readIndex(ctx)
	if err != nil {
		return nil, err
	}
	g := &graph{
		s: s, reached: make(map[digest.Digest]bool), diffIDs: make(map[digest.Digest]bool),
		broken:  func(d ispec.Descriptor, err error) error { return fmt.Errorf("%s: %w", d.Digest, err) },
		missing: func(_, _ ispec.Descriptor) error { return nil },
	}
	for _, d := range append(x.Entries(), s.lost(ctx, x)...) {
		// A name of nothing keeps nothing, and Check reports it. A blob that is there but damaged is an
		// error of follow: what it led to is not known.
		if r, err := s.Open(ctx, d); err == nil {
			r.Close()
		} else if errors.Is(err, ErrNotFound) {
			continue
		}
		if err := g.follow(ctx, d, 0); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// Delete deletes a blob that no name leads to: ErrInUse if one does, ErrNotFound if it is absent. It
// waits for transfers that are going on, as Prune does (ErrBusy if ctx ends first).
func (s *Store) Delete(ctx context.Context, d digest.Digest) error {
	if err := s.writable("delete blob", string(d)); err != nil {
		return err
	}
	if err := image.ValidateDigest(d); err != nil {
		return failed("delete blob", string(d), err)
	}
	unlock, err := s.lock(ctx, storeLock, layout.Exclusive)
	if err != nil {
		return failed("delete blob", d.String(), err)
	}
	defer unlock()
	g, err := s.reachable(ctx)
	if err == nil && g.reached[d] {
		err = ErrInUse
	}
	if err == nil {
		if err = s.dir.Root().Remove(layout.BlobPath(d)); errors.Is(err, fs.ErrNotExist) {
			err = ErrNotFound
		}
	}
	return failed("delete blob", d.String(), err)
}

func (s *Store) sweepBlobs(ctx context.Context, o PruneOptions, keep map[digest.Digest]bool, p *Pruned) error {
	list, err := s.files()
	if err != nil {
		return err
	}
	minAge := max(o.MinAge, s.foreignAge())
	for _, f := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		if f.digest == "" || !f.info.Mode().IsRegular() || keep[f.digest] || time.Since(f.info.ModTime()) < minAge {
			p.Retained++
			continue
		}
		if err := s.remove(f.name, o.DryRun); err != nil {
			return err
		}
		p.Blobs = append(p.Blobs, f.digest)
		p.Bytes += f.info.Size()
	}
	return nil
}

// foreignWork is how long ago another tool may have begun what it is still at.
const foreignWork = time.Hour

// foreignAge gives the age from which on blobs may be deleted: skopeo and umoci, which know no hold, leave
// files in the root of a layout while they are at work.
func (s *Store) foreignAge() time.Duration {
	list, err := fs.ReadDir(s.dir.Root().FS(), ".")
	if err != nil {
		return foreignWork
	}
	for _, e := range list {
		if !strings.HasPrefix(e.Name(), "oci-put-blob") && !strings.HasPrefix(e.Name(), ".umoci-") {
			continue
		}
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) < foreignWork {
			return foreignWork
		}
	}
	return 0
}

// sweepPartial deletes unfinished ingests. The lock on the store proves that nobody is at one.
func (s *Store) sweepPartial(ctx context.Context, o PruneOptions, p *Pruned) error {
	age := o.PartialAge
	if age == 0 {
		age = DefaultPartialAge
	}
	list, err := fs.ReadDir(s.dir.Root().FS(), ingestDir)
	if err != nil {
		return err
	}
	for _, e := range list {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if info.IsDir() || time.Since(info.ModTime()) < age {
			continue
		}
		if err := s.remove(path.Join(ingestDir, e.Name()), o.DryRun); err != nil {
			return err
		}
		p.Partial = append(p.Partial, e.Name())
		p.Bytes += info.Size()
	}
	return nil
}

func (s *Store) remove(name string, dry bool) error {
	if dry {
		return nil
	}
	if err := s.dir.Root().Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
