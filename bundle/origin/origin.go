package origin

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/oci-pipeline/oci/bundle/internal/rawjson"
	"github.com/oci-pipeline/oci/conformance/spec"
)

// Kind is where a value comes from.
type Kind string

// The kinds. Edited, Added and Unknown are findings of Explain, not origins that a Mark has.
const (
	Image   Kind = "image"   // a field of the image's config, or a file of the image
	Default Kind = "default" // what every container gets
	Flag    Kind = "flag"    // the command line
	Host    Kind = "host"    // a fact of the machine or of the user
	Edited  Kind = "edited"  // another value since config.json was written
	Added   Kind = "added"   // not there when config.json was written
	Unknown Kind = "unknown" // the bundle is of another tool
)

// Mark says that the value at a JSON pointer (RFC 6901), with all below it that has no mark of its own, has an origin.
type Mark struct {
	Pointer string `json:"pointer"`
	Kind    Kind   `json:"from"`
	Name    string `json:"name,omitempty"` // of the field ("config.Env"), flag ("--env") or fact; of a default, whose it is
}

// Entry is a part of config.json that has one origin.
type Entry struct {
	Pointer string `json:"pointer"`
	From    Kind   `json:"from"`
	Name    string `json:"name,omitempty"`
	Digest  string `json:"digest"` // the beginning of the SHA-256 of the value, as compact JSON
}

// Trace gives the entries of a config that was just made, in the order of the document. Every value is below exactly one of them.
func Trace(config []byte, marks []Mark) ([]Entry, error) {
	t := tracer{marks: make(map[string]Mark, len(marks)), inner: make(map[string]bool)}
	for _, m := range marks {
		t.marks[m.Pointer] = m
		holdAbove(t.inner, m.Pointer)
	}
	err := t.walk("", rawjson.Value(bytes.TrimSpace(config)), Mark{Kind: Default})
	return t.entries, err
}

// holdAbove notes every pointer above the given one in inner.
func holdAbove(inner map[string]bool, pointer string) {
	for pointer != "" {
		pointer = parent(pointer)
		inner[pointer] = true
	}
}

// parent is the pointer of what holds a value; that of the whole document is its own.
func parent(pointer string) string {
	return pointer[:max(0, strings.LastIndexByte(pointer, '/'))]
}

// tracer lays marks over a document.
type tracer struct {
	marks   map[string]Mark
	inner   map[string]bool // pointers that have marks below them
	entries []Entry
}

func (t *tracer) walk(pointer string, v rawjson.Value, m Mark) error {
	if own, ok := t.marks[pointer]; ok {
		m = own
	}
	var members []rawjson.Member
	if t.inner[pointer] {
		var err error
		if members, err = v.Members(); err != nil {
			return err
		}
	}
	if len(members) == 0 {
		t.entries = append(t.entries, Entry{pointer, m.Kind, m.Name, digest(v)})
		return nil
	}
	for _, inner := range members {
		if err := t.walk(pointer+"/"+spec.EscapeToken(inner.Key), inner.Value, m); err != nil {
			return err
		}
	}
	return nil
}

// At is the pointer of an element of a list.
func At(list string, i int) string { return list + "/" + strconv.Itoa(i) }
