package inflate

import (
	"errors"
	"fmt"
)

// What can be wrong with a stream. errors.Is finds them in an *[Error]. One that is cut short gives
// io.ErrUnexpectedEOF instead; a failure of the source comes through as it is.
var (
	ErrHeader   = errors.New("not a gzip header")
	ErrCorrupt  = errors.New("corrupt data")
	ErrChecksum = errors.New("the data has another CRC-32 than the trailer says")
	ErrSize     = errors.New("the data has another size than the trailer says")
	ErrGarbage  = errors.New("garbage after the last member")
)

// Error is a stream that is not what it should be.
type Error struct {
	Offset int64  // how many bytes of the stream were used before what is wrong, or a few more
	Clause string // what it breaks, "RFC 1951 3.2.7"; "" if the rule is this project's own
	Err    error  // why; never nil, never io.EOF
}

// Error gives "inflate at byte 123: why [clause]".
func (e *Error) Error() string {
	s := fmt.Sprintf("inflate at byte %d: %v", e.Offset, e.Err)
	if e.Clause != "" {
		s += " [" + e.Clause + "]"
	}
	return s
}

// Unwrap gives Err.
func (e *Error) Unwrap() error { return e.Err }
