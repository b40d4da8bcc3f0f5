//go:build !linux

package cdi

import (
	"errors"
	"os"
)

func statDevice(path string) (deviceInfo, error) {
	return deviceInfo{}, &os.PathError{Op: "stat", Path: path, Err: errors.ErrUnsupported}
}
