package layout

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
)

// Marker is the content of the file oci-layout.
const Marker = `{"imageLayoutVersion":"1.0.0"}`

// MaxMarkerSize bounds the file oci-layout.
const MaxMarkerSize = 4 << 10

// CheckMarker proves the content of the file oci-layout. It gives ErrNotLayout.
func CheckMarker(raw []byte) error {
	var l ispec.ImageLayout
	err := image.DecodeStrict(raw, MaxMarkerSize, &l)
	if err == nil && l.Version == ispec.ImageLayoutVersion {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("version %q, only %s is known", l.Version, ispec.ImageLayoutVersion)
	}
	return &Error{Op: "check", Subject: ispec.ImageLayoutFile, Clause: spec.LayoutFiles, Err: fmt.Errorf("%w: %w", ErrNotLayout, err)}
}

// Index is the index.json of a layout, with the members of it that are unknown here.
type Index struct {
	members map[string]json.RawMessage
	entries []entry
}

type entry struct {
	raw  json.RawMessage
	desc ispec.Descriptor
}

// NewIndex makes an index without entries.
func NewIndex() *Index {
	return &Index{members: map[string]json.RawMessage{
		"schemaVersion": json.RawMessage("2"),
		"mediaType":     json.RawMessage(`"` + ispec.MediaTypeImageIndex + `"`),
	}}
}

// DecodeIndex decodes an index.json, as strictly as image.DecodeIndex does.
func DecodeIndex(raw []byte) (*Index, error) {
	decoded, err := image.DecodeIndex(raw, "")
	if err != nil {
		return nil, &Error{Op: "read", Subject: ispec.ImageIndexFile, Clause: spec.LayoutFiles, Err: err}
	}
	x := &Index{}
	var entries []json.RawMessage
	err = json.Unmarshal(raw, &x.members)
	if err == nil {
		err = json.Unmarshal(x.members["manifests"], &entries)
	}
	if err != nil || len(entries) != len(decoded.Manifests) {
		return nil, &Error{Op: "read", Subject: ispec.ImageIndexFile, Clause: spec.LayoutFiles, Err: fmt.Errorf("%w: %w", image.ErrMalformed, err)}
	}
	for i, e := range entries {
		x.entries = append(x.entries, entry{e, decoded.Manifests[i]})
	}
	return x, nil
}

// Encode gives the bytes of the index.
func (x *Index) Encode() ([]byte, error) {
	list := make([]json.RawMessage, len(x.entries))
	for i, e := range x.entries {
		list[i] = e.raw
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	out := maps.Clone(x.members)
	out["manifests"] = raw
	return json.Marshal(out)
}

// Clone gives an index that changes by itself.
func (x *Index) Clone() *Index {
	return &Index{members: maps.Clone(x.members), entries: slices.Clone(x.entries)}
}

// Keep takes out the entries that keep does not want.
func (x *Index) Keep(keep func(ispec.Descriptor) bool) {
	x.entries = slices.DeleteFunc(x.entries, func(e entry) bool { return !keep(e.desc) })
}

// Entries gives the descriptors, in order.
func (x *Index) Entries() []ispec.Descriptor {
	list := make([]ispec.Descriptor, len(x.entries))
	for i, e := range x.entries {
		list[i] = e.desc
	}
	return list
}

// Find gives the entry of a name, without that name among its annotations. Entries that mean the
// same content are one; different ones give ErrAmbiguous. ok is false if there is none.
func (x *Index) Find(name string) (d ispec.Descriptor, ok bool, err error) {
	for _, e := range x.entries {
		if e.desc.Annotations[ispec.AnnotationRefName] != name {
			continue
		}
		if ok && e.desc.Digest != d.Digest {
			return d, true, &Error{
				Op: "find", Subject: fmt.Sprintf("%q", name), Clause: spec.LayoutIndex,
				Err: fmt.Errorf("%w: %s and %s", ErrAmbiguous, d.Digest, e.desc.Digest),
			}
		}
		if !ok {
			d, ok = Unnamed(e.desc), true
		}
	}
	return d, ok, nil
}

// FindDigest gives the first entry with the digest.
func (x *Index) FindDigest(want digest.Digest) (ispec.Descriptor, bool) {
	for _, e := range x.entries {
		if e.desc.Digest == want {
			return Unnamed(e.desc), true
		}
	}
	return ispec.Descriptor{}, false
}

// Add is Set for a name, and for none adds an entry without one, unless there is one already.
func (x *Index) Add(name string, d ispec.Descriptor) error {
	if name != "" {
		return x.Set(name, d)
	}
	for _, e := range x.entries {
		if _, named := e.desc.Annotations[ispec.AnnotationRefName]; !named && e.desc.Digest == d.Digest {
			return nil
		}
	}
	d.Data, d.URLs = nil, nil
	raw, err := json.Marshal(d)
	if err != nil {
		return err
	}
	x.entries = append(x.entries, entry{raw, d})
	return nil
}

// Set makes name mean d, and nothing else.
func (x *Index) Set(name string, d ispec.Descriptor) error {
	d.Data, d.URLs = nil, nil
	d.Annotations = maps.Clone(d.Annotations)
	if d.Annotations == nil {
		d.Annotations = make(map[string]string)
	}
	d.Annotations[ispec.AnnotationRefName] = name
	raw, err := json.Marshal(d)
	if err != nil {
		return err
	}
	x.Remove(name)
	x.entries = append(x.entries, entry{raw, d})
	return nil
}

// Remove takes all entries of the name out and tells how many there were.
func (x *Index) Remove(name string) int {
	before := len(x.entries)
	x.entries = slices.DeleteFunc(x.entries, func(e entry) bool {
		got, ok := e.desc.Annotations[ispec.AnnotationRefName]
		return ok && got == name
	})
	return before - len(x.entries)
}

// RemoveUnnamed takes the entries of a digest out that have no name, and tells how many there were.
func (x *Index) RemoveUnnamed(d digest.Digest) int {
	before := len(x.entries)
	x.entries = slices.DeleteFunc(x.entries, func(e entry) bool {
		_, named := e.desc.Annotations[ispec.AnnotationRefName]
		return !named && e.desc.Digest == d
	})
	return before - len(x.entries)
}

// Unnamed gives d without the annotation that names it in an index.json: it is valid nowhere else
// (annotations.md).
func Unnamed(d ispec.Descriptor) ispec.Descriptor {
	if _, ok := d.Annotations[ispec.AnnotationRefName]; ok {
		d.Annotations = maps.Clone(d.Annotations)
		delete(d.Annotations, ispec.AnnotationRefName)
		if len(d.Annotations) == 0 {
			d.Annotations = nil
		}
	}
	return d
}
