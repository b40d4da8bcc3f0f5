//go:build !unix

package credential

import (
	"context"
	"io/fs"
	"os"
)

// lock does nothing: this system does not lock directories. The last of two changes at once wins.
func lock(context.Context, string) (unlock func(), err error) { return func() {}, nil }

// keepOwner does nothing: files here belong to who makes them.
func keepOwner(*os.File, fs.FileInfo) {}

// nonblock keeps the opening of a FIFO from waiting: there are none here.
const nonblock = 0
