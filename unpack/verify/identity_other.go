//go:build !linux

package verify

import (
	"errors"
	"os"
)

func identify(*os.File) (identity, error) { return identity{}, errors.ErrUnsupported }

func handleOf(*os.File) string { return "" }

func (r *Record) present() bool { return false }

func lockDir(string) (*os.File, error) { return nil, errors.ErrUnsupported }
