package unpack

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/oci-pipeline/oci/image"
)

// Kind is the type of a file.
type Kind uint8

// The kinds of files. No layer has a socket; a directory on disk can.
const (
	Regular Kind = iota + 1
	Directory
	Symlink
	Hardlink // an entry of a layer only: another name of a file
	CharDevice
	BlockDevice
	FIFO
	Socket
)

// String gives one word.
func (k Kind) String() string {
	names := [...]string{"nothing", "file", "directory", "symlink", "hardlink", "char device", "block device", "fifo", "socket"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// Role is what an entry's name makes of it.
type Role uint8

// The roles of entries.
const (
	Ordinary   Role = iota // a file of the image
	Whiteout               // hides a name of lower layers: Entry.Hides
	Opaque                 // hides all that lower layers have in its directory
	AUFSHidden             // AUFS's own: never shown
	AUFSLink               // AUFS's own, but other entries are hardlinks to it
)

// Xattr is an extended attribute.
type Xattr struct {
	Name  string
	Value string // raw bytes
}

// Entry is one member of a layer's tar, decoded and checked as ApplyLayer does it.
type Entry struct {
	Kind   Kind
	Role   Role
	Path   string // relative, no empty, "." or ".." component: "" for the root itself; raw bytes
	Hides  string // of a whiteout: the name in Path's directory that is hidden
	Link   string // symlink: verbatim; hardlink: clean like Path
	Size   int64  // bytes of a regular file, holes included
	Sparse bool   // the tar leaves out holes
	Mode   uint32 // permission bits and setuid, setgid, sticky: at most 07777
	UID    uint32
	GID    uint32
	Mtime  time.Time
	Major  uint32 // of a device
	Minor  uint32
	Xattrs []Xattr // sorted by name, without those that are never set: see [HostXattr]
	// Position is the entry's number in the layer's tar-split log, as RebuildTar gives it to a
	// ContentFunc; -1 if the entry was read from a blob.
	Position int
}

// HostXattr tells whether an extended attribute belongs to the host or to overlayfs: one such is
// never taken from an image, and says nothing about the image when it is found on disk.
func HostXattr(name string) bool { return skipXattr(name) != "" }

// ReadLayer reads one layer without making files: it calls each for every entry that means
// something, in order, with the content of a regular file (an empty reader for all else), and
// proves digest, size and DiffID as ApplyLayer does. What each was given counts only once ReadLayer
// returned without an error. The entry is the callee's to keep, the reader is not.
//
// An error of each ends the reading and is returned as it is. Of the options Limits, Budget, Logger
// and Index count. Errors are those of ApplyLayer.
func ReadLayer(ctx context.Context, layer image.Layer, blobs Blobs, o Options, each func(*Entry, io.Reader) error) (LayerResult, error) {
	return LayerResult{}, errors.ErrUnsupported
}

// ReadLog reads the entries of a layer from its tar-split log (compressed or not, as for
// RebuildTar), and calls each as ReadLayer does. There is no content, and no proof: the log is
// trusted as the files beside it are.
func ReadLog(ctx context.Context, log io.Reader, o Options, each func(*Entry) error) error {
	return errors.ErrUnsupported
}
