package origin

import (
	"slices"
	"strings"

	"github.com/oci-pipeline/oci/bundle/internal/rawjson"
	"github.com/oci-pipeline/oci/conformance/spec"
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
	doc, err := parse(before)
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
		case f.From == Edited:
			u := updater{kept[f.Pointer], by, &next.Entries}
			if err := u.split(f.Pointer, valueAt(doc, f.Pointer), rawjson.Value(f.Value)); err != nil {
				return r, err
			}
			continue
		case f.From == Added:
			e.From, e.Name = Flag, by(f.Pointer)
		}
		next.Entries = append(next.Entries, e)
	}
	return next, nil
}

// updater tells apart what an edit left of a part of a config that had one origin.
type updater struct {
	was  Entry
	by   func(pointer string) string
	list *[]Entry
}

func (u updater) split(pointer string, old, v rawjson.Value) error {
	e := Entry{Pointer: pointer, From: u.was.From, Name: u.was.Name, Digest: digest(v)}
	if old == nil || digest(old) != e.Digest {
		if v.IsObject() && old.IsObject() || v.IsList() && old.IsList() {
			if done, err := u.members(pointer, old, v); done || err != nil {
				return err
			}
		}
		e.From, e.Name = Flag, u.by(pointer)
	}
	*u.list = append(*u.list, e)
	return nil
}

// members splits what an object or a list has; done is false if that is nothing, or a list that has only lost something: the flag
// would not be told of.
func (u updater) members(pointer string, old, v rawjson.Value) (done bool, err error) {
	before, err := old.Members()
	if err != nil {
		return false, err
	}
	after, err := v.Members()
	if err != nil {
		return false, err
	}
	var entries []Entry
	inner := updater{u.was, u.by, &entries}
	for _, m := range after {
		if err := inner.split(pointer+"/"+spec.EscapeToken(m.Key), like(before, m, v.IsList()), m.Value); err != nil {
			return false, err
		}
	}
	if v.IsList() && !slices.ContainsFunc(entries, func(e Entry) bool { return e.From != u.was.From || e.Name != u.was.Name }) {
		return false, nil
	}
	*u.list = append(*u.list, entries...)
	return len(after) > 0, nil
}

// valueAt gives what is at a pointer; nil if nothing is.
func valueAt(v rawjson.Value, pointer string) rawjson.Value {
	for pointer != "" {
		token, rest, _ := strings.Cut(pointer[1:], "/")
		if pointer = rest; rest != "" {
			pointer = "/" + rest
		}
		members, err := v.Members()
		i := slices.IndexFunc(members, func(m rawjson.Member) bool { return spec.EscapeToken(m.Key) == token })
		if err != nil || i < 0 {
			return nil
		}
		v = members[i].Value
	}
	return v
}

// key tells a finding from others, also where it moved in its list.
func (f Finding) key() string {
	if f.Removed {
		return f.Pointer
	}
	return parent(f.Pointer) + " " + digest(rawjson.Value(f.Value))
}
