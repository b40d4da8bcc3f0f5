//go:build !linux

package cgroup

import "errors"

// Detect is for Linux.
func Detect() (Layout, error) { return Layout{}, errors.ErrUnsupported }

// New is for Linux.
func New(Layout, string, string, Options) (Manager, error) { return nil, errors.ErrUnsupported }

// Of is for Linux.
func Of(int) (Manager, error) { return nil, errors.ErrUnsupported }

// Load is for Linux: elsewhere it gives nil.
func Load(map[string]string) Manager { return nil }
