//go:build !linux

package main

func rootless() bool { return false }

func inUserNamespace() bool { return false }

func singleID() bool { return false }

const envUserNamespace, subuidFile, subgidFile = "_OCI_USERNS", "/etc/subuid", "/etc/subgid"

type idRange struct{ first, count int }

func subordinate(string, int) []idRange { return nil }

type idMap struct{ inside, outside, count uint32 }

func currentMap(string) []idMap { return nil }

func resumeUserNamespace() error { return nil }

func (a *app) becomeRoot() (status int, done bool, err error) { return 0, false, nil }
