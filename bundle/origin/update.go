package origin

import (
	"github.com/oci-pipeline/oci/bundle/internal/rawjson"
)

// Update gives the record of a config after an edit by flags: what another value has than before, or is new, comes from the flag that
// by tells for its pointer. All else keeps its origin, wherever it moved to; what was edited by hand before still tells so.
func Update(before, after []byte, r Record, by func(pointer string) string) (Record, error) {
	if len(r.Entries) == 0 { // marks are for the text as it is
		var err error
		if r.Entries, err = Trace(before, r.Marks); err != nil {
			return r, err
		}
	}
	old, err := Explain(before, r)
	if err != nil {
		return r, err
	}
	found, err := Explain(after, r)
	if err != nil {
		return r, err
	}
	kept := make(map[string]Entry, len(r.Entries))
	for _, e := range r.Entries {
		kept[e.Pointer] = e
	}
	byHand := make(map[string]bool) // what was edited, added or removed before
	for _, f := range old {
		if f.From == Edited || f.From == Added {
			byHand[f.key()] = true
		}
	}
	next := Record{Image: r.Image, Digest: r.Digest}
	for _, f := range found {
		e := Entry{Pointer: f.Pointer, From: f.From, Name: f.Name, Digest: digest(rawjson.Value(f.Value))}
		switch {
		case f.From == Edited && byHand[f.key()]:
			e = kept[f.Pointer]
		case f.From == Added && byHand[f.key()], f.Removed:
			continue
		case f.From == Edited || f.From == Added:
			e.From, e.Name = Flag, by(f.Pointer)
		}
		next.Entries = append(next.Entries, e)
	}
	return next, nil
}

// key tells a finding from others, also where it moved in its list.
func (f Finding) key() string {
	if f.Removed {
		return f.Pointer
	}
	return parent(f.Pointer) + " " + digest(rawjson.Value(f.Value))
}
