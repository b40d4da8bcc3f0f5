package repack

import (
	"context"
	"io"
	"os"
	goruntime "runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// Sums are the CRC-64 of the files of an image, from the tar-split logs of its layers: enough to see what was
// changed without the blobs. Who changes a file so that it keeps its sum keeps the change out of the
// layer, and gains nothing by that.
type Sums map[place]unpack.LogFile

// place is where a layer's log has a file.
type place struct{ layer, position int }

// ReadSums reads the logs of all layers; fs.ErrNotExist, from logs, if one is missing.
func ReadSums(ctx context.Context, layers []image.Layer, logs func(image.Layer) (io.ReadCloser, error), limits unpack.Limits) (Sums, error) {
	s := Sums{}
	for i, l := range layers {
		log, err := logs(l)
		if err != nil {
			return nil, err
		}
		err = unpack.ReplayLog(ctx, log, unpack.Options{Limits: limits, Index: i + 1},
			func([]byte) error { return nil },
			func(f unpack.LogFile) error { s[place{i + 1, f.Position}] = f; return nil })
		log.Close()
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// pair is a file that two trees have under one name, the same by all but its content.
type pair struct {
	paths         []string // several if both trees have them for one file
	before, after *tree.Node
	sum           uint64
}

// Diff is tree.Diff, and finds also, among files that are the same by size and time, those with other content in dir, from
// which the tree after was read. known is false if the sum of one is not known (a sparse file): then the blobs have to be
// asked.
func (s Sums) Diff(ctx context.Context, dir *os.File, before, after *tree.Tree) (changes []tree.Change, known bool, err error) {
	pairs, known := s.pairs(before, after)
	if !known {
		return nil, false, nil
	}
	jobs := min(goruntime.GOMAXPROCS(0), 8)
	found := make([][]tree.Change, jobs)
	g, ctx := errgroup.WithContext(ctx)
	for i := range jobs {
		part := pairs[len(pairs)*i/jobs : len(pairs)*(i+1)/jobs]
		g.Go(func() (err error) {
			found[i], err = contentOf(ctx, dir, part)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, true, err
	}
	return withContent(tree.Diff(before, after, tree.DiffOptions{}), slices.Concat(found...)), true, nil
}

// withContent adds changes of content to others: a path that differs in several ways is one change.
func withContent(changes, content []tree.Change) []tree.Change {
	at := make(map[string]int, len(changes))
	for i, c := range changes {
		at[c.Path] = i
	}
	for _, c := range content {
		if i, ok := at[c.Path]; ok {
			changes[i].What = append(changes[i].What, c.What...)
		} else {
			changes = append(changes, c)
		}
	}
	return changes
}

// contentOf compares some files, which are in order.
func contentOf(ctx context.Context, dir *os.File, pairs []pair) ([]tree.Change, error) {
	files, err := openFiles(dir)
	if err != nil {
		return nil, &Error{Op: "open", Err: err}
	}
	defer files.close()
	var changes []tree.Change
	for _, p := range pairs {
		sum, err := files.sum(ctx, p.paths[0], p.after)
		if err != nil {
			return nil, &Error{Op: "read", Subject: p.paths[0], Err: err}
		}
		if sum == p.sum {
			continue
		}
		for _, path := range p.paths { // any of them may be masked
			changes = append(changes, tree.Change{Path: path, Kind: tree.Changed, What: []string{"content"}, Old: p.before, New: p.after})
		}
	}
	return changes, nil
}

// pairs finds the files to compare, in order, each file once.
func (s Sums) pairs(before, after *tree.Tree) (list []pair, known bool) {
	seen, known := map[[2]*tree.Node]int{}, true
	_ = after.Walk(func(path string, n *tree.Node) error { // gives no error
		if n.Kind != unpack.Regular || n.Size == 0 || n.Mount {
			return nil
		}
		old := before.Lookup(path)
		if old == nil || old.Kind != unpack.Regular || old.Size != n.Size || old.Sec != n.Sec || old.Nsec != n.Nsec {
			return nil // tree.Diff has found it
		}
		if both := [2]*tree.Node{old, n}; n.Names > 1 && old.Names > 1 {
			if i, ok := seen[both]; ok {
				list[i].paths = append(list[i].paths, path)
				return nil
			}
			seen[both] = len(list)
		}
		f, ok := s[place{old.Layer, old.Position}]
		if !ok || f.Size != n.Size {
			known = false
		}
		list = append(list, pair{[]string{path}, old, n, f.Sum})
		return nil
	})
	return list, known
}
