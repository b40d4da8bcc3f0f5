package store

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/internal/layout"
)

// Other tools write index.json without a lock: skopeo reads it when a copy begins and writes it when the
// copy ends, and what came into it meanwhile is gone. Nobody can keep it from doing so. So that a loss
// is seen and can be made good, two files of the form of index.json remember: lastIndex what the last edit
// here has left, and lostIndex the entries that were written over. An entry counts as written over if it
// is gone and others have come; if it is gone and nothing has come, somebody has taken it away.
const (
	lastIndex = "index.last"
	lostIndex = "index.lost"
)

// noteEdit is called by an edit that has found the index as seen and will leave it as next.
func (s *Store) noteEdit(ctx context.Context, seen *layout.Index, next []byte) error {
	after, err := layout.DecodeIndex(next)
	if err != nil {
		return err
	}
	lost := s.memory(ctx, lostIndex)
	before := len(lost.Entries())
	for _, d := range overwritten(s.memory(ctx, lastIndex), seen) {
		if err := lost.Add(d.Annotations[ispec.AnnotationRefName], d); err != nil {
			return err
		}
	}
	lost.Keep(func(d ispec.Descriptor) bool { return !has(after, d) })
	if len(lost.Entries()) > 0 || before > 0 {
		raw, err := lost.Encode()
		if err == nil {
			err = s.dir.Replace(lostIndex, raw, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return s.dir.Replace(lastIndex, next, 0o644)
}

// memory reads one of the two files; what cannot be read remembers nothing.
func (s *Store) memory(ctx context.Context, name string) *layout.Index {
	if raw, err := s.dir.Document(ctx, name, image.MaxManifestSize); err == nil {
		if x, err := layout.DecodeIndex(raw); err == nil {
			return x
		}
	}
	return layout.NewIndex()
}

// overwritten gives the entries of last that are gone from now, if others have come.
func overwritten(last, now *layout.Index) []ispec.Descriptor {
	came := slices.ContainsFunc(now.Entries(), func(d ispec.Descriptor) bool { return !hasExactly(last, d) })
	var list []ispec.Descriptor
	for _, d := range last.Entries() {
		if came && !has(now, d) {
			list = append(list, d)
		}
	}
	return list
}

// has tells whether an index has the name of an entry, whatever it means there, or the content of one
// without a name.
func has(x *layout.Index, d ispec.Descriptor) bool {
	if name := d.Annotations[ispec.AnnotationRefName]; name != "" {
		_, ok, _ := x.Find(name)
		return ok
	}
	_, ok := x.FindDigest(d.Digest)
	return ok
}

// hasExactly tells whether an index has an entry of the same name and content.
func hasExactly(x *layout.Index, d ispec.Descriptor) bool {
	return slices.ContainsFunc(x.Entries(), func(e ispec.Descriptor) bool {
		return e.Digest == d.Digest && e.Annotations[ispec.AnnotationRefName] == d.Annotations[ispec.AnnotationRefName]
	})
}

// Lost gives the entries that another tool has written over, so far as they are not there again. Prune
// keeps their content. Restore enters them again.
func (s *Store) Lost(ctx context.Context) ([]Tagged, error) {
	x, err := s.readIndex(ctx)
	if err != nil {
		return nil, failed("look for lost names", s.path, err)
	}
	var list []Tagged
	for _, d := range s.lost(ctx, x) {
		list = append(list, Tagged{Name: d.Annotations[ispec.AnnotationRefName], Descriptor: layout.Unnamed(d)})
	}
	return list, nil
}

func (s *Store) lost(ctx context.Context, x *layout.Index) []ispec.Descriptor {
	list := append(s.memory(ctx, lostIndex).Entries(), overwritten(s.memory(ctx, lastIndex), x)...)
	return slices.DeleteFunc(list, func(d ispec.Descriptor) bool { return has(x, d) })
}

// Restore enters again what Lost gives, as far as its content is still there, and gives what it entered.
// With forget it only stops remembering it.
func (s *Store) Restore(ctx context.Context, forget bool) ([]Tagged, error) {
	if err := s.writable("restore", s.path); err != nil {
		return nil, err
	}
	list, err := s.Lost(ctx)
	if err != nil {
		return nil, err
	}
	var done []Tagged
	for _, t := range list {
		if !forget {
			d := t.Descriptor
			err = s.enter(ctx, d, func(x *layout.Index) error {
				if t.Name == "" || has(x, ispec.Descriptor{Annotations: map[string]string{ispec.AnnotationRefName: t.Name}}) {
					return x.Add("", d) // its name means something else by now
				}
				return x.Set(t.Name, d)
			})
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return done, failed("restore", quoted(t.Name), err)
			}
		}
		done = append(done, t)
	}
	unlock, err := s.lock(ctx, indexLock, layout.Exclusive)
	if err != nil {
		return done, failed("restore", s.path, err)
	}
	defer unlock()
	for _, name := range [...]string{lostIndex, lastIndex} {
		if errGone := s.dir.Root().Remove(name); errGone != nil && !errors.Is(errGone, fs.ErrNotExist) {
			err = errors.Join(err, errGone)
		}
	}
	return done, failed("restore", s.path, err)
}
