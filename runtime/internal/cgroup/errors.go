package cgroup

import (
	"errors"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// Kinds of failure, for errors.Is.
var (
	ErrNoCgroup   = errors.New("no cgroup filesystem is mounted")
	ErrMalformed  = errors.New("malformed")
	ErrPath       = errors.New("cgroups path is the root of the hierarchy")
	ErrNotEmpty   = errors.New("container's cgroup is not empty")
	ErrFrozen     = errors.New("container's cgroup unexpectedly frozen")
	ErrController = errors.New("controller is not available")
	ErrVersion    = errors.New("has no equivalent in this version of cgroups")
	ErrValue      = errors.New("invalid value")
	ErrUsage      = errors.New("new limit is lower than the current usage")
	ErrDeviceRule = errors.New("invalid device rule")
	ErrPermission = errors.New("cgroup was not created, and limits were asked for")
	ErrBusy       = errors.New("cgroup still has processes")
)

// Error is the error of every function of this package.
type Error struct {
	Op      string      // "create cgroup", "set limit", ...
	Subject string      // a path, or where the value stands in config.json: "/linux/resources/memory/limit"
	Clause  spec.Clause // the requirement; may be zero
	Err     error
}

// Error gives "set limit /linux/resources/memory/limit: memory.max: invalid argument [clause]".
func (e *Error) Error() string {
	s := e.Op
	if e.Subject != "" {
		s += " " + e.Subject
	}
	s += ": " + e.Err.Error()
	if c := e.Clause.String(); c != "" {
		s += " [" + c + "]"
	}
	return s
}

// Unwrap gives Err.
func (e *Error) Unwrap() error { return e.Err }
