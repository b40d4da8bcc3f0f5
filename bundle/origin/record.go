package origin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/oci-pipeline/oci/bundle"
)

// FileName is the file of a bundle that holds its Record.
const FileName = "config.origins.json"

// Record is what a bundle keeps about where its config comes from.
type Record struct {
	Image   string  `json:"image,omitempty"`  // its name, as the user gave it
	Digest  string  `json:"digest,omitempty"` // of its manifest
	Entries []Entry `json:"entries,omitempty"`
	// Marks stand for entries where nobody edits the config afterwards: they cost next to nothing to keep.
	Marks []Mark `json:"marks,omitempty"`
}

// ErrRecord is wrapped by the error for a record that cannot be what Write wrote.
var ErrRecord = errors.New("not a record of origins")

// Write puts the record into the directory of a bundle, as bundle.Write does with config.json.
func Write(dir string, r Record) error {
	raw, err := json.MarshalIndent(r, "", "\t")
	if err == nil {
		err = bundle.Replace(filepath.Join(dir, FileName), append(raw, '\n'))
	}
	if err != nil {
		return &bundle.Error{Op: "write origins", Subject: dir, Err: err}
	}
	return nil
}

// Read gives the record of a bundle. One that keeps none is an error that wraps fs.ErrNotExist.
func Read(dir string) (Record, error) {
	var r Record
	raw, err := bundle.ReadFile(filepath.Join(dir, FileName))
	if err == nil {
		err = bundle.Decode(raw, &r)
	}
	for _, e := range r.Entries {
		err = errors.Join(err, checkOrigin(e.Pointer, e.From))
	}
	for _, m := range r.Marks {
		err = errors.Join(err, checkOrigin(m.Pointer, m.Kind))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		err = &bundle.Error{Op: "read origins", Subject: dir, Err: err}
	}
	return r, err
}

func checkOrigin(pointer string, kind Kind) error {
	if pointer != "" && pointer[0] != '/' {
		return fmt.Errorf("%w: %q is no JSON pointer", ErrRecord, pointer)
	}
	switch kind {
	case Image, Default, Flag, Host:
		return nil
	}
	return fmt.Errorf("%w: %s comes from %q", ErrRecord, pointer, kind)
}
