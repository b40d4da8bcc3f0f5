//go:build !amd64 || purego

package inflate

// fastest gives the fast loop that this processor runs best.
func fastest() func(*core) event { return (*core).fastGo }
