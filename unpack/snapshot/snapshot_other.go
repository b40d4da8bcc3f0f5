//go:build !linux

package snapshot

import (
	"context"
	"errors"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
)

const chainFile = "chain.json"

type chain struct {
	DiffIDs []digest.Digest
}

// MountOptions describe an overlay mount; Linux has them.
type MountOptions struct {
	Layers         []string
	Upper, Work    string
	Top            string
	ReadOnly       bool
	UserXattr      bool
	Scratch        string
	Options        []string
	UIDMap, GIDMap []unpack.IDMap
}

// CopyOptions describe a copy of a stack of layers; of layer directories, which are made on Linux.
type CopyOptions struct {
	Layers         []string
	UIDMap, GIDMap []unpack.IDMap
	Unshared       bool
}

// Copied says what Copy made.
type Copied struct {
	Entries, Shared, Copied, LostXattrs int64
}

// Copy gives errors.ErrUnsupported.
func Copy(context.Context, string, CopyOptions) (Copied, error) {
	return Copied{}, &Error{Op: "copy", Err: errors.ErrUnsupported}
}

// Mount gives errors.ErrUnsupported.
func Mount(context.Context, MountOptions) (*os.File, error) {
	return nil, &Error{Op: "mount", Err: errors.ErrUnsupported}
}

// Attach gives errors.ErrUnsupported.
func Attach(*os.File, string) error {
	return &Error{Op: "attach", Err: errors.ErrUnsupported}
}

func chainLock(name string) string { return "chain-" + name }

func (s *Store) lock(context.Context, string) (func(), error) { return nil, errors.ErrUnsupported }

func (s *Store) tryLock(string) (func(), error) { return nil, errors.ErrUnsupported }

func (s *Store) stack(context.Context, []image.Layer, []*marker) ([]string, error) {
	return nil, errors.ErrUnsupported
}

func (s *Store) devices([]*marker) ([]unpack.Device, error) { return nil, errors.ErrUnsupported }

func (s *Store) dropLock(string) error { return errors.ErrUnsupported }

func diskUsage(context.Context, string) int64 { return 0 }

func changedSince(context.Context, string) (string, error) { return "", errors.ErrUnsupported }

func sameTree(context.Context, string, string) error { return errors.ErrUnsupported }

func syncFS(string) error { return errors.ErrUnsupported }

func removeAll(string) error { return errors.ErrUnsupported }
