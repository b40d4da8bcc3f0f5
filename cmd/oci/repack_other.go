//go:build !linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/oci-pipeline/oci/image/store"
)

func unnamedFile(dir string) (*os.File, error) {
	return nil, fmt.Errorf("%s: %w", dir, errors.ErrUnsupported)
}

// changedContainer has nothing to show: there are no containers on this platform.
func (a *app) changedContainer(_ context.Context, _ *store.Store, f *repackFlags) (changedRoot, error) {
	return changedRoot{}, fmt.Errorf("repack %s: %w", f.container, errors.ErrUnsupported)
}
