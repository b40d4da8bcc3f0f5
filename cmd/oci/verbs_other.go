//go:build !linux

package main

import (
	"context"
	"errors"
	"fmt"
)

// platformVerbs are the verbs that need this platform.
func platformVerbs() []verb { return nil }

// deleteContainer has nothing to delete: there are no containers on this platform.
func (a *app) deleteContainer(_ context.Context, id string, _ bool) error {
	return fmt.Errorf("delete container %s: %w", id, errors.ErrUnsupported)
}
