//go:build !unix

package validate

import "os"

func mkfifo(name string) error { return os.Mkdir(name, 0o700) } // there are none; it is no file either
