package pairhash

import "golang.org/x/sys/cpu"

// able tells whether the processor has the instructions.
func able() bool {
	const extensions = 1 << 29 // SHA
	return cpu.X86.HasSSSE3 && cpu.X86.HasSSE41 && cpuid7()&extensions != 0
}

// blocks2 hashes n blocks of 64 bytes of each of two messages, from p and q, into their states.
//
//go:noescape
func blocks2(a, b *[8]uint32, p, q *byte, n int)

// cpuid7 gives EBX of CPUID leaf 7, or 0.
func cpuid7() (ebx uint32)
