package bundle

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// ConfigName is the name of the configuration in the root of a bundle (runtime-spec bundle.md).
const ConfigName = "config.json"

// Bundle is a bundle on disk whose config has been checked. Only Load makes one.
type Bundle struct {
	Dir  string      // absolute path
	Spec *specs.Spec // what the config says
	Raw  []byte      // config.json byte for byte, with the properties that Spec has no field for
}

// Load reads and checks the bundle in dir. The error is an *Error; if the config is at fault it
// wraps Problems, all of them.
func Load(dir string) (Bundle, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return Bundle{}, &Error{Op: "load bundle", Subject: dir, Err: err}
	}
	raw, err := ReadFile(filepath.Join(abs, ConfigName))
	if err != nil {
		return Bundle{}, &Error{Op: "load bundle", Subject: dir, Clause: spec.BundleConfigFile, Err: err}
	}
	s := new(specs.Spec)
	if err := Decode(raw, s); err != nil {
		// Decode stops at the first one; who repairs the file wants all.
		if found := Judge(raw, "").Problems.Must(); len(found) > 0 {
			err = found
		}
		return Bundle{}, &Error{Op: "load bundle", Subject: dir, Err: err}
	}
	b := Bundle{Dir: abs, Spec: s, Raw: raw}
	problems := Validate(s).Must()
	if p := b.checkRoot(); p != nil && PlatformOf(s) != Windows { // its root is a volume, of another machine here
		problems = append(problems, p)
	}
	if len(problems) > 0 {
		return Bundle{}, &Error{Op: "load bundle", Subject: dir, Err: problems}
	}
	return b, nil
}

// Rootfs is the absolute path of the root file system; "" if the config names none.
func (b Bundle) Rootfs() string {
	switch {
	case b.Spec.Root == nil || b.Spec.Root.Path == "":
		return ""
	case filepath.IsAbs(b.Spec.Root.Path):
		return b.Spec.Root.Path
	}
	return filepath.Join(b.Dir, b.Spec.Root.Path)
}

// checkRoot asks that the root directory exists. A relative path may leave the bundle by "..":
// an absolute one may point anywhere too, so refusing it would protect nothing.
func (b Bundle) checkRoot() *Problem {
	path := b.Rootfs()
	if path == "" {
		return nil // Validate has said so where it is an error
	}
	fi, err := os.Stat(path)
	if err == nil && fi.IsDir() {
		return nil
	}
	why := fmt.Errorf("%w: %s is not a directory", ErrRootfs, path)
	if err != nil {
		why = fmt.Errorf("%w: %w", ErrRootfs, err)
	}
	return &Problem{Pointer: "/root/path", Clause: spec.BundleRoot, Err: why, Hint: "the path of a directory, relative to the bundle"}
}

// ReadFile reads a file of a bundle: a regular one of at most MaxConfigSize, without following a link or waiting for a FIFO.
// One that is not there is both ErrNoConfig and fs.ErrNotExist.
func ReadFile(path string) ([]byte, error) {
	name := filepath.Base(path)
	f, err := openNoFollow(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrNoConfig, err)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !fi.Mode().IsRegular():
		return nil, fmt.Errorf("%s: %w", name, ErrNotRegular)
	case fi.Size() > MaxConfigSize:
		return nil, fmt.Errorf("%s: %w: %d bytes, at most %d", name, ErrTooLarge, fi.Size(), MaxConfigSize)
	}
	// One byte more than the file has: the read that returns 0 comes in the same buffer, and a
	// file that grows meanwhile is still bounded.
	raw := make([]byte, 0, fi.Size()+1)
	for {
		n, err := f.Read(raw[len(raw):cap(raw)])
		raw = raw[:len(raw)+n]
		if err == io.EOF {
			return raw, nil
		}
		if err != nil {
			return nil, err
		}
		if len(raw) == cap(raw) {
			return nil, fmt.Errorf("%s: %w: it grows while it is read", name, ErrTooLarge)
		}
	}
}
