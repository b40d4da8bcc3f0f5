package origin

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/internal/rawjson"
	"github.com/oci-pipeline/oci/conformance/spec"
)

// Finding is a part of config.json as it is now, and where it comes from.
type Finding struct {
	Pointer string          `json:"pointer"`
	From    Kind            `json:"from"`
	Name    string          `json:"name,omitempty"` // of an edited one, what it came from before
	Value   json.RawMessage `json:"value,omitempty"`
	Removed bool            `json:"removed,omitempty"` // it is not there any more
}

// Explain tells of a config by what was kept when it was written.
func Explain(config []byte, r Record) ([]Finding, error) {
	if len(r.Entries) == 0 {
		var err error
		if r.Entries, err = Trace(config, r.Marks); err != nil {
			return nil, err
		}
	}
	root, err := parse(config)
	if err != nil {
		return nil, err
	}
	x := explainer{kept: make(map[string]Entry, len(r.Entries)), inner: make(map[string]bool), moved: make(map[string][]Entry), seen: make(map[string]bool)}
	for _, e := range r.Entries {
		x.kept[e.Pointer] = e
		holdAbove(x.inner, e.Pointer)
		list := parent(e.Pointer)
		x.moved[list] = append(x.moved[list], e)
	}
	if err := x.walk("", root); err != nil {
		return nil, err
	}
	for _, e := range r.Entries {
		if !x.seen[e.Pointer] {
			x.found = append(x.found, Finding{Pointer: e.Pointer, From: Edited, Name: e.was(), Removed: true})
		}
	}
	return x.found, nil
}

// ExplainForeign tells of a config that another tool wrote: what of it is as this project has it by default.
func ExplainForeign(config []byte) ([]Finding, error) {
	base, err := bundle.Marshal(bundle.DefaultSpec())
	if err != nil {
		return nil, err
	}
	ours, err := parse(base)
	if err != nil {
		return nil, err
	}
	root, err := parse(config)
	if err != nil {
		return nil, err
	}
	var found []Finding
	err = compare("", root, ours, &found)
	return found, err
}

// compare goes down as long as only parts are the same.
func compare(pointer string, v rawjson.Value, ours rawjson.Value, found *[]Finding) error {
	if ours != nil && digest(v) == digest(ours) {
		*found = append(*found, Finding{Pointer: pointer, From: Default, Name: "the same by default", Value: v.Compact()})
		return nil
	}
	members, err := v.Members()
	if err != nil {
		return err
	}
	if len(members) == 0 || ours == nil && strings.Count(pointer, "/") > 1 {
		*found = append(*found, Finding{Pointer: pointer, From: Unknown, Value: v.Compact()})
		return nil
	}
	var usual []rawjson.Member
	if ours != nil {
		if usual, err = ours.Members(); err != nil {
			return err
		}
	}
	for _, m := range members {
		if err := compare(pointer+"/"+spec.EscapeToken(m.Key), m.Value, like(usual, m, v.IsList()), found); err != nil {
			return err
		}
	}
	return nil
}

// like finds the member that m is to be compared with: of a list, one that is equal, wherever it stands.
func like(usual []rawjson.Member, m rawjson.Member, isList bool) rawjson.Value {
	for i := range usual {
		if !isList && usual[i].Key == m.Key || isList && digest(usual[i].Value) == digest(m.Value) {
			return usual[i].Value
		}
	}
	return nil
}

type explainer struct {
	kept  map[string]Entry
	inner map[string]bool
	moved map[string][]Entry // by the list or object that they are in
	seen  map[string]bool    // kept entries that are still there
	found []Finding
}

func (x *explainer) walk(pointer string, v rawjson.Value) error {
	if x.inner[pointer] {
		members, err := v.Members()
		if err != nil {
			return err
		}
		var same map[int]Entry
		if v.IsList() {
			same = x.match(pointer, members)
		}
		for i, m := range members {
			at := pointer + "/" + spec.EscapeToken(m.Key)
			if e, ok := same[i]; ok {
				x.tell(at, m.Value, e.From, e.Name, e.Pointer)
			} else if err := x.walk(at, m.Value); err != nil {
				return err
			}
		}
		if len(members) > 0 {
			return nil
		}
	}
	switch e, ok := x.kept[pointer]; {
	case ok && e.Digest == digest(v):
		x.tell(pointer, v, e.From, e.Name, e.Pointer)
	case ok && !x.seen[pointer]:
		x.tell(pointer, v, Edited, e.was(), e.Pointer)
	default:
		x.tell(pointer, v, Added, "", "")
	}
	return nil
}

// match finds the elements of a list again by what they hold, wherever they stand now. They are seen then, so that an
// element of another value in an old place is not taken for an edit of what only moved.
func (x *explainer) match(list string, members []rawjson.Member) map[int]Entry {
	same := make(map[int]Entry)
	for i, m := range members {
		sum := digest(m.Value)
		at := slices.IndexFunc(x.moved[list], func(e Entry) bool { return e.Digest == sum && !x.seen[e.Pointer] })
		if at >= 0 {
			same[i] = x.moved[list][at]
			x.seen[same[i].Pointer] = true
		}
	}
	return same
}

func (x *explainer) tell(pointer string, v rawjson.Value, from Kind, name, kept string) {
	x.seen[kept] = true
	x.found = append(x.found, Finding{Pointer: pointer, From: from, Name: name, Value: v.Compact()})
}

// was describes what an edited value came from.
func (e Entry) was() string {
	if e.Name == "" {
		return "was " + string(e.From)
	}
	return "was " + string(e.From) + " " + e.Name
}
