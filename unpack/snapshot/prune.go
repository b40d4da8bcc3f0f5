package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/image"
)

// Pruned says what Prune removed.
type Pruned struct {
	Layers []digest.Digest // DiffIDs
	Chains int             // directories of chains/
	Stale  int             // staging directories of processes that died
	Bytes  int64           // that the layers took on disk
}

// Prune removes the layers that keep says no to, and what dead processes left. Layers that another
// process is unpacking right now are let be. keep must say yes to each layer of a stored image
// and of a container, mounted or not.
func (s *Store) Prune(ctx context.Context, keep func(diffID digest.Digest) bool) (Pruned, error) {
	var p Pruned
	err := errors.Join(s.pruneStaging(ctx, &p), s.pruneChains(ctx, keep, &p), s.pruneLayers(ctx, keep, &p), s.pruneLocks(ctx))
	return p, err
}

// Size gives the bytes that a layer takes on disk.
func (s *Store) Size(ctx context.Context, diffID digest.Digest) int64 {
	if image.ValidateDigest(diffID) != nil {
		return 0
	}
	return diskUsage(ctx, s.layerDir(diffID))
}

// Drop removes one layer, so that it is unpacked anew when it is wanted. It tells whether it did: not
// while another process is at work on the layer. No container may have it mounted.
func (s *Store) Drop(diffID digest.Digest) (bool, error) {
	if err := image.ValidateDigest(diffID); err != nil {
		return false, &Error{Op: "drop", Subject: diffID.String(), Err: err}
	}
	dropped, err := s.drop(name(diffID), s.layerDir(diffID))
	if err != nil {
		err = &Error{Op: "drop", Subject: diffID.String(), Err: err}
	}
	return dropped, err
}

// locked gives the directories that the lock of a name is for.
func (s *Store) locked(lock string) []string {
	dirs := []string{filepath.Join(s.dir, stagingDir, lock), filepath.Join(s.dir, stagingDir, lock+".prune"), filepath.Join(s.dir, stagingDir, lock+".broken")}
	if chain, ok := strings.CutPrefix(lock, chainLock("")); ok {
		return append(dirs, filepath.Join(s.dir, chainsDir, chain))
	}
	algorithm, encoded, _ := strings.Cut(lock, "-")
	return append(dirs, filepath.Join(s.dir, algorithm, encoded))
}

// pruneLocks removes the locks of what is gone.
func (s *Store) pruneLocks(ctx context.Context) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, locksDir))
	for _, e := range entries {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = s.dropLock(e.Name())
		}
	}
	if err != nil {
		return &Error{Op: "prune", Subject: locksDir, Err: err}
	}
	return nil
}

// List gives the DiffIDs of all complete layers.
func (s *Store) List() ([]digest.Digest, error) {
	var list []digest.Digest
	algs, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, &Error{Op: "list", Subject: s.dir, Err: err}
	}
	for _, alg := range algs {
		if slices.Contains([]string{stagingDir, locksDir, chainsDir}, alg.Name()) || !alg.IsDir() {
			continue
		}
		layers, err := os.ReadDir(filepath.Join(s.dir, alg.Name()))
		if err != nil {
			return nil, &Error{Op: "list", Subject: alg.Name(), Err: err}
		}
		for _, l := range layers {
			if d := digest.Digest(alg.Name() + ":" + l.Name()); s.Has(d) {
				list = append(list, d)
			}
		}
	}
	return list, nil
}

func (s *Store) pruneStaging(ctx context.Context, p *Pruned) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, stagingDir))
	if err != nil {
		return &Error{Op: "prune", Subject: stagingDir, Err: err}
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		lock, _, _ := strings.Cut(e.Name(), ".") // "sha256-abc.broken", "sha256-abc.prune"
		unlock, err := s.tryLock(lock)
		if err != nil {
			continue // someone is at work on it
		}
		err = removeAll(filepath.Join(s.dir, stagingDir, e.Name()))
		unlock()
		if err != nil {
			return &Error{Op: "prune", Subject: e.Name(), Err: err}
		}
		p.Stale++
	}
	return nil
}

func (s *Store) pruneLayers(ctx context.Context, keep func(digest.Digest) bool, p *Pruned) error {
	list, err := s.List()
	if err != nil {
		return err
	}
	for _, d := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		if keep(d) {
			continue
		}
		bytes := s.Size(ctx, d)
		dropped, err := s.drop(name(d), s.layerDir(d))
		if err != nil {
			return &Error{Op: "prune", Subject: d.String(), Err: err}
		}
		if dropped {
			p.Bytes += bytes
			p.Layers = append(p.Layers, d)
		}
	}
	return nil
}

// pruneChains removes directories that were made for a stack with a layer that goes.
func (s *Store) pruneChains(ctx context.Context, keep func(digest.Digest) bool, p *Pruned) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, chainsDir))
	if err != nil {
		return &Error{Op: "prune", Subject: chainsDir, Err: err}
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		dir := filepath.Join(s.dir, chainsDir, e.Name())
		var c chain
		raw, err := os.ReadFile(filepath.Join(dir, chainFile))
		if err == nil {
			err = json.Unmarshal(raw, &c)
		}
		gone := func(d digest.Digest) bool { return image.ValidateDigest(d) != nil || !keep(d) }
		if err == nil && !slices.ContainsFunc(c.DiffIDs, gone) {
			continue
		}
		dropped, err := s.drop(chainLock(e.Name()), dir)
		if err != nil {
			return &Error{Op: "prune", Subject: dir, Err: err}
		}
		if dropped {
			p.Chains++
		}
	}
	return nil
}

// drop removes a published directory: first from its name, then from disk, so that nobody finds
// half of it. It leaves alone what someone is at work on.
func (s *Store) drop(lock, dir string) (bool, error) {
	unlock, err := s.tryLock(lock)
	if err != nil {
		return false, nil //nolint:nilerr // it is wanted, then
	}
	defer unlock()
	trash := filepath.Join(s.dir, stagingDir, lock+".prune")
	if err := removeAll(trash); err != nil {
		return false, err
	}
	if err := os.Rename(dir, trash); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return true, removeAll(trash)
}
