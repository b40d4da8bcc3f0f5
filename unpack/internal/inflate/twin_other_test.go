//go:build !amd64 || purego

package inflate

// twins has nothing to add: there is one fast loop.
func twins(map[string]*Reader) {}
