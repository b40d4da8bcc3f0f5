//go:build !purego

package inflate

import "golang.org/x/sys/cpu"

// fastBMI2 does what fastGo does, step by step: tests compare them.
//
//go:noescape
func fastBMI2(c *core) event

// fastest gives the fast loop that this processor runs best.
func fastest() func(*core) event {
	if cpu.X86.HasBMI2 && cpu.X86.HasSSSE3 {
		return fastBMI2
	}
	return (*core).fastGo
}
