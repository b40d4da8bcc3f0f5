//go:build !linux

package main

// platformVerbs are the verbs that need Linux.
func platformVerbs() []verb { return nil }
