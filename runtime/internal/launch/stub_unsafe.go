//go:build linux && (amd64 || arm64)

package launch

import (
	"bytes"
	"unsafe"
)

// stub is the interpreter; it is never called here, only copied.
//
//lint:ignore U1000 its address is taken in assembly
func stub()

// stubAddress returns the address of stub's first instruction.
func stubAddress() unsafe.Pointer

// stubLimit bounds the search for the end of stub. The marker must come well before it; the text
// section goes on for megabytes after it.
const stubLimit = 1024

// stubCode returns the machine code of stub. The slice aliases the text section: read only.
func stubCode() []byte {
	code := unsafe.Slice((*byte)(stubAddress()), stubLimit)
	n := bytes.Index(code, []byte("oci-stub"))
	if n < 0 {
		panic("launch: the interpreter has no end marker")
	}
	return code[:n]
}
