//go:build !amd64

package pairhash

func able() bool { return false }

func blocks2(_, _ *[8]uint32, _, _ *byte, _ int) { panic("pairhash: not on this machine") }
