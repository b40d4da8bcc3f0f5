package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// diffed is what `oci diff` found, and its JSON. `oci help output` documents the fields.
type diffed struct {
	A            diffedSide   `json:"a"`
	B            diffedSide   `json:"b"`
	Same         bool         `json:"same"`
	Added        int          `json:"added"` // paths
	Removed      int          `json:"removed"`
	Changed      int          `json:"changed"`
	AddedBytes   int64        `json:"addedBytes"` // of the files that were added
	RemovedBytes int64        `json:"removedBytes"`
	GrownBytes   int64        `json:"grownBytes"`             // by which the files that were changed are larger together; may be negative
	SharedLayers *int         `json:"sharedLayers,omitempty"` // of two images: the lowest ones
	Changes      []diffedPath `json:"changes"`
	Config       []diffedItem `json:"config,omitempty"`
	DurationMs   int64        `json:"durationMs"`
	Warnings     []string     `json:"warnings"`
}

// diffedSide names what was compared.
type diffedSide struct {
	Ref      string `json:"ref,omitempty"` // of an image, in full
	Manifest string `json:"manifest,omitempty"`
	ID       string `json:"id,omitempty"`
	Layers   int    `json:"layers,omitempty"`
	Rootfs   string `json:"rootfs,omitempty"` // of a directory or a container
}

// diffedPath is a path that differs.
type diffedPath struct {
	Path string      `json:"path"`          // absolute; quoted as Go does if it is not UTF-8
	Raw  string      `json:"raw,omitempty"` // base64 of one that is not UTF-8
	Kind string      `json:"kind"`          // added, removed or changed
	What []string    `json:"what,omitempty"`
	Old  *diffedFile `json:"old,omitempty"`
	New  *diffedFile `json:"new,omitempty"`
}

// diffedFile is a file of one side.
type diffedFile struct {
	Type   string `json:"type"`
	Mode   string `json:"mode"` // octal
	UID    uint32 `json:"uid"`
	GID    uint32 `json:"gid"`
	Size   int64  `json:"size,omitempty"`
	Digest string `json:"digest,omitempty"`
	Mtime  string `json:"mtime"`
	Layer  int    `json:"layer,omitempty"` // of an image: that made it what it is, 1 for the lowest
}

// diffedItem is a field of the configs that differs.
type diffedItem struct {
	Field string `json:"field"`
	Kind  string `json:"kind"` // added, removed or changed
	Old   any    `json:"old,omitempty"`
	New   any    `json:"new,omitempty"`
}

func newDiffed(sides []*diffSide) diffed {
	r := diffed{A: sides[0].describe(), B: sides[1].describe(), Changes: []diffedPath{}}
	if sides[0].dir == nil && sides[1].dir == nil {
		n := sides[1].shared(sides[0])
		r.SharedLayers = &n
	}
	return r
}

func (d *diffSide) describe() diffedSide {
	if d.dir != nil {
		return diffedSide{Rootfs: d.name}
	}
	return diffedSide{Ref: d.name, Manifest: d.image.Descriptor().Digest.String(), ID: d.image.ID().String(), Layers: len(d.image.Layers())}
}

// add takes over a change.
func (r *diffed) add(c tree.Change) {
	p := pathOf(c.Path)
	r.Changes = append(r.Changes, diffedPath{Path: p.Path, Raw: p.Raw, Kind: c.Kind.String(), What: c.What, Old: fileOf(c.Old), New: fileOf(c.New)})
	switch c.Kind {
	case tree.Added:
		r.Added++
		r.AddedBytes += c.New.Size
	case tree.Removed:
		r.Removed++
		r.RemovedBytes += c.Old.Size
	default:
		r.Changed++
		r.GrownBytes += c.New.Size - c.Old.Size
	}
}

func fileOf(n *tree.Node) *diffedFile {
	if n == nil {
		return nil
	}
	return &diffedFile{
		Type: n.Kind.String(), Mode: fmt.Sprintf("%04o", n.Mode), UID: n.UID, GID: n.GID, Size: n.Size,
		Digest: n.Digest.String(), Mtime: n.Time(), Layer: n.Layer,
	}
}

// write tells people what was found.
func (r *diffed) write(w io.Writer) error {
	var b strings.Builder
	for _, c := range r.Changes {
		fmt.Fprintf(&b, "%s %s\n", letter(c.Kind), c.line())
	}
	for _, i := range r.Config {
		fmt.Fprintf(&b, "%s config %s\n", letter(i.Kind), i.line())
	}
	fmt.Fprintln(&b, r.summary())
	_, err := io.WriteString(w, b.String())
	return err
}

// letter is how docker diff calls a kind of change.
func letter(kind string) string {
	return map[string]string{"added": "A", "removed": "D", "changed": "C"}[kind]
}

// summary counts.
func (r *diffed) summary() string {
	var parts []string
	note := func(n int, kind, more string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s%s", n, kind, more))
		}
	}
	note(r.Added, "added", " ("+size(r.AddedBytes)+")")
	note(r.Removed, "removed", " ("+size(r.RemovedBytes)+")")
	grown := ""
	if r.GrownBytes != 0 {
		grown = fmt.Sprintf(" (%s larger)", size(r.GrownBytes))
	}
	if r.GrownBytes < 0 {
		grown = fmt.Sprintf(" (%s smaller)", size(-r.GrownBytes))
	}
	note(r.Changed, "changed", grown)
	note(len(r.Config), "in the config", "")
	if len(parts) == 0 {
		parts = []string{"no difference"}
	}
	text := strings.Join(parts, ", ")
	if r.SharedLayers != nil {
		text += fmt.Sprintf("; shared layers: %d of %d", *r.SharedLayers, r.B.Layers)
	}
	return text
}

// line is a path with what is different.
func (p diffedPath) line() string {
	text := verifiedPath{Path: p.Path, Raw: p.Raw}.quoted()
	file := p.New
	if file == nil {
		file = p.Old
	}
	switch {
	case len(p.What) > 0:
		text += ": " + strings.Join(p.What, ", ")
	case file.Type == unpack.Regular.String():
		text += ": " + size(file.Size)
	default:
		text += ": " + file.Type
	}
	return text
}
