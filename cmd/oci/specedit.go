package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/pflag"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/convert"
	"github.com/oci-pipeline/oci/bundle/origin"
)

// editSpec changes a config by the flags, and writes it if all of them could be done.
func (a *app) editSpec(f *specFlags, o convert.Options) error {
	raw, err := a.readSpec(f.dir)
	if err != nil {
		return err
	}
	edited, err := f.edited(raw, o)
	if err != nil {
		var p *bundle.Problem
		if errors.As(err, &p) {
			err = &bundle.Error{Op: "edit", Subject: f.dir, Err: err}
		}
		return err
	}
	if f.dir == stream {
		_, err = a.out.Write(edited)
		return err
	}
	record, errRecord := origin.Read(f.dir)
	if errRecord == nil {
		if record, err = origin.Update(raw, edited, record, f.flagsAt); err != nil {
			return err
		}
	} else if !errors.Is(errRecord, fs.ErrNotExist) {
		return errRecord
	}
	if err := bundle.Replace(filepath.Join(f.dir, bundle.ConfigName), edited); err != nil {
		return &bundle.Error{Op: "edit", Subject: f.dir, Err: err}
	}
	if errRecord != nil {
		return nil // a bundle of another tool has no record, and gets none that knows a part only
	}
	return origin.Write(f.dir, record)
}

func (a *app) readSpec(dir string) (raw []byte, err error) {
	if dir == stream {
		raw, err = io.ReadAll(io.LimitReader(a.in, bundle.MaxConfigSize+1))
	} else {
		raw, err = bundle.ReadFile(filepath.Join(dir, bundle.ConfigName))
	}
	if err != nil {
		err = &bundle.Error{Op: "edit", Subject: dir, Err: err}
	}
	return raw, err
}

// edited gives the text of a config with what the flags say. Removing comes first: a config that nobody can read for one value is mended
// by that.
func (f *specFlags) edited(raw []byte, o convert.Options) ([]byte, error) {
	for _, pointer := range f.remove {
		var err error
		if raw, err = bundle.Remove(raw, pointer); err != nil {
			return nil, fmt.Errorf("--remove: %w", err)
		}
	}
	var before, after specs.Spec
	for _, s := range []*specs.Spec{&before, &after} {
		if err := bundle.Decode(raw, s); err != nil {
			return nil, err
		}
	}
	uids, gids, err := f.ids.maps()
	if err != nil {
		return nil, err
	}
	o.UIDMappings, o.GIDMappings = specMaps(uids), specMaps(gids)
	var dir string
	if after.Root != nil {
		dir = after.Root.Path
	}
	root, done, err := openBundleRoot(f.dir, dir)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := convert.Edit(&after, root, o); err != nil {
		return nil, err
	}
	return bundle.Patch(raw, &before, &after)
}

// flagsAt tells which of the flags that were given change what is at a pointer.
func (f *specFlags) flagsAt(pointer string) string {
	var names []string
	given := func(name string, pointers []string) {
		if slices.ContainsFunc(pointers, func(p string) bool { return within(pointer, p) || within(p, pointer) }) {
			names = append(names, name)
		}
	}
	f.c.flags.Visit(func(g *pflag.Flag) { given("--"+g.Name, flagPointers(g.Name)) })
	if f.c.flags.NArg() > 0 {
		given("arguments", []string{"/process/args"})
	}
	if len(names) == 0 {
		return "oci spec --edit"
	}
	return strings.Join(names, " ")
}

// within tells whether a pointer is at or below another one.
func within(pointer, above string) bool { return strings.HasPrefix(pointer+"/", above+"/") }
