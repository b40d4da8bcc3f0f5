//go:build unix

package convert

import "syscall"

// nonblock keeps an open from waiting if the file has become a FIFO since it was looked at.
const nonblock = syscall.O_NONBLOCK
