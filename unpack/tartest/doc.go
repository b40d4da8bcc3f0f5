// Package tartest builds tars byte by byte for tests: what no tar writer would write, written
// exactly. It is imported by tests only.
package tartest
