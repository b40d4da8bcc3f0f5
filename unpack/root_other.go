//go:build !linux

package unpack

import (
	"context"
	"errors"
	"os"

	"github.com/oci-pipeline/oci/image"
)

// Root is a directory tree that is changed through descriptors only; Linux has it.
type Root struct{}

// OpenRoot gives errors.ErrUnsupported.
func OpenRoot(path string) (*Root, error) {
	return nil, &Error{Op: "open", Subject: path, Err: errors.ErrUnsupported}
}

// RootOf gives errors.ErrUnsupported.
func RootOf(f *os.File) (*Root, error) {
	return nil, &Error{Op: "open", Subject: f.Name(), Err: errors.ErrUnsupported}
}

// Close does nothing.
func (r *Root) Close() error { return nil }

// Open gives errors.ErrUnsupported.
func (r *Root) Open(name string) (*os.File, error) {
	return nil, &Error{Op: "open", Subject: name, Err: errors.ErrUnsupported}
}

// RemoveContents gives errors.ErrUnsupported.
func (r *Root) RemoveContents() error { return errors.ErrUnsupported }

// LeaveOut gives errors.ErrUnsupported.
func (r *Root) LeaveOut(path string) error {
	return &Error{Op: "remove", Subject: path, Err: errors.ErrUnsupported}
}

func (r *Root) knownDevices() *deviceList { return newDeviceList() }

// CheckSpace gives errors.ErrUnsupported.
func (r *Root) CheckSpace(context.Context, []image.Layer, Blobs, Limits) error {
	return errors.ErrUnsupported
}

type target struct{}

func openRoot(path string, _ bool) (*Root, error) { return OpenRoot(path) }

func (r *Root) empty() (bool, error) { return false, errors.ErrUnsupported }

func (r *Root) remember() (*target, error) { return nil, errors.ErrUnsupported }

func (r *Root) restore(*target) error { return errors.ErrUnsupported }

func (r *Root) initialise(*Options) error { return errors.ErrUnsupported }

func applyStream(context.Context, image.Layer, Blobs, *Root, Form, *Options) (LayerResult, error) {
	return LayerResult{}, errors.ErrUnsupported
}
