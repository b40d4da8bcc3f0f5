//go:build s390x || ppc64 || mips || mips64

package cgroup

const bigEndian = true
