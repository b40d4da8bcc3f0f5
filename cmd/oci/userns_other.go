//go:build !linux

package main

func rootless() bool { return false }

func resumeUserNamespace() error { return nil }

func (a *app) becomeRoot() (status int, done bool, err error) { return 0, false, nil }
