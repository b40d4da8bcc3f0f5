//go:build !unix

package convert

// nonblock has no meaning where files are no FIFOs.
const nonblock = 0
