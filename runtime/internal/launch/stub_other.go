//go:build linux && !(amd64 || arm64)

package launch

// stubCode returns nil where no interpreter exists for the machine.
func stubCode() []byte { return nil }
