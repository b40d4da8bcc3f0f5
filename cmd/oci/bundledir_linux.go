package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// openTo lets a group enter a directory, and nobody else but its owner. The directory itself is meant, not what a
// link leads to that someone put in its place.
func openTo(dir string, gid int) error {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Chown(-1, gid); err != nil {
		return err
	}
	return f.Chmod(0o710)
}
