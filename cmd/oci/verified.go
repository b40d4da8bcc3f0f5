package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack/tree"
	"github.com/oci-pipeline/oci/unpack/verify"
)

// verified is what `oci verify` found, and its JSON. `oci help output` documents the fields.
type verified struct {
	Ref      string `json:"ref"`      // in full
	Manifest string `json:"manifest"` // its digest
	ID       string `json:"id"`       // digest of the config
	Rootfs   string `json:"rootfs,omitempty"`
	Recorded bool   `json:"recorded,omitempty"` // there is a record of the unpacking
	Level    string `json:"level"`
	Verified bool   `json:"verified"`

	Changed int            `json:"changed"` // paths
	Missing int            `json:"missing"`
	Extra   int            `json:"extra"`
	Changes []verifiedPath `json:"changes"`
	Unread  []verifiedPath `json:"unread,omitempty"`

	Layers   []verifiedLayer `json:"layers"`
	Problems []string        `json:"problems,omitempty"`
	Mounts   []string        `json:"mounts,omitempty"`  // that were not looked into
	LeftOut  int             `json:"leftOut,omitempty"` // differences that the unpacking could not help
	Paths    int             `json:"paths,omitempty"`   // on disk
	Files    int             `json:"files,omitempty"`   // whose content was compared
	Bytes    int64           `json:"bytes,omitempty"`   // of these, or of the blobs

	DurationMs int64    `json:"durationMs"`
	Warnings   []string `json:"warnings"`
}

// verifiedPath is a path that is not what it should be.
type verifiedPath struct {
	Path string   `json:"path"`           // absolute in the root file system; quoted as Go does if it is not UTF-8
	Raw  string   `json:"raw,omitempty"`  // base64 of one that is not UTF-8
	Kind string   `json:"kind,omitempty"` // changed, missing or extra
	What []string `json:"what,omitempty"` // is different
	Why  string   `json:"error,omitempty"`
}

// verifiedLayer is what was found out about a layer.
type verifiedLayer struct {
	Digest   string `json:"digest"` // of the blob
	DiffID   string `json:"diffID"`
	State    string `json:"state"`              // proved, differs, unproved, not read
	Rebuilt  bool   `json:"rebuilt,omitempty"`  // its tar was put together from disk and log, and has the DiffID
	Hidden   int    `json:"hidden,omitempty"`   // files that other layers hide: they came from the blob
	Unpacked bool   `json:"unpacked,omitempty"` // in the store, for `oci run`
	Why      string `json:"error,omitempty"`
}

func newVerified(name string, img image.Image) verified {
	return verified{
		Ref: name, Manifest: img.Descriptor().Digest.String(), ID: img.ID().String(),
		Changes: []verifiedPath{}, Layers: []verifiedLayer{},
	}
}

// add takes over a report about a root file system.
func (r *verified) add(rep verify.Report) {
	r.Changed, r.Missing, r.Extra = rep.Count()
	r.LeftOut, r.Paths, r.Files, r.Bytes = rep.LeftOut, rep.Paths, rep.Files, rep.Bytes
	for _, c := range rep.Changes {
		p := pathOf(c.Path)
		switch c.Kind {
		case tree.Added:
			p.Kind = "extra"
		case tree.Removed:
			p.Kind = "missing"
		default:
			p.Kind, p.What = "changed", c.What
		}
		r.Changes = append(r.Changes, p)
	}
	for _, u := range rep.Unread {
		p := pathOf(u.Path)
		p.Why = u.Why
		r.Unread = append(r.Unread, p)
	}
	for _, m := range rep.Mounts {
		r.Mounts = append(r.Mounts, pathOf(m).Path)
	}
	for _, l := range rep.Layers {
		r.Layers = append(r.Layers, verifiedLayer{
			DiffID: l.DiffID.String(), State: string(l.State), Rebuilt: l.Rebuilt, Hidden: l.Hidden, Why: l.Why,
		})
	}
}

// pathOf names a path of a root file system.
func pathOf(path string) verifiedPath {
	path = "/" + path
	if utf8.ValidString(path) {
		return verifiedPath{Path: path}
	}
	return verifiedPath{Path: strconv.Quote(path), Raw: base64.StdEncoding.EncodeToString([]byte(path))}
}

// quoted is the path for people.
func (p verifiedPath) quoted() string {
	if p.Raw != "" {
		return p.Path
	}
	return strconv.Quote(p.Path)
}

// write tells people what was found.
func (r *verified) write(w io.Writer) error {
	var b strings.Builder
	for _, p := range r.Problems {
		fmt.Fprintln(&b, oneLine(p))
	}
	for _, p := range r.Changes {
		fmt.Fprintf(&b, "%s %s", p.Kind, p.quoted())
		if len(p.What) > 0 {
			fmt.Fprintf(&b, ": %s", strings.Join(p.What, ", "))
		}
		b.WriteByte('\n')
	}
	for _, p := range r.Unread {
		fmt.Fprintf(&b, "unread %s: %s\n", p.quoted(), oneLine(p.Why))
	}
	for i, l := range r.Layers {
		if l.Why != "" {
			fmt.Fprintf(&b, "layer %d %s %s: %s\n", i+1, l.DiffID, l.State, oneLine(l.Why))
		}
	}
	for _, m := range r.Mounts {
		fmt.Fprintf(&b, "note: something is mounted on %q, and was not looked into\n", m)
	}
	if r.LeftOut > 0 {
		fmt.Fprintf(&b, "note: %s could not be unpacked here as the image has them, and are no changes\n", count(r.LeftOut, "path"))
	}
	if r.Verified {
		fmt.Fprintln(&b, r.proved())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// proved says what was proved.
func (r *verified) proved() string {
	what := fmt.Sprintf("%s %s: verified (%s)", oneLine(r.Ref), r.Manifest, r.Level)
	switch {
	case r.Rootfs == "":
		return what + ": " + count(len(r.Layers), "layer")
	case r.Paths == 0:
		return what + ": " + strconv.Quote(r.Rootfs)
	}
	return fmt.Sprintf("%s: %q has %s, %s of content", what, r.Rootfs, count(r.Paths, "path"), size(r.Bytes))
}

// summary says how much is not what it should be.
func (r *verified) summary() string {
	var parts []string
	note := func(n int, text string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, text))
		}
	}
	note(len(r.Problems), "wrong")
	note(r.Changed, "changed")
	note(r.Missing, "missing")
	note(r.Extra, "extra")
	note(len(r.Unread), "not readable")
	layers := 0
	for _, l := range r.Layers {
		if l.State == string(verify.Unproved) {
			layers++
		}
	}
	if layers > 0 {
		parts = append(parts, count(layers, "layer")+" without proof")
	}
	subject := r.Ref
	if r.Rootfs != "" {
		subject = strconv.Quote(r.Rootfs)
	}
	return fmt.Sprintf("verify %s: it is not %s: %s (level %s)", oneLine(subject), r.Manifest, strings.Join(parts, ", "), r.Level)
}
