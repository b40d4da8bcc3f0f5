package unpack

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/oci-pipeline/oci/image"
)

// Kind is the type of a file.
type Kind uint8

// The kinds of files. No layer has a socket; a directory on disk can.
const (
	Regular     = Kind(regular)
	Directory   = Kind(directory)
	Symlink     = Kind(symlink)
	Hardlink    = Kind(hardlink) // an entry of a layer only: another name of a file
	CharDevice  = Kind(charDevice)
	BlockDevice = Kind(blockDevice)
	FIFO        = Kind(fifo)
	Socket      = Kind(fifo + 1)
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
	Ordinary   = Role(ordinary) // a file of the image
	Whiteout   = Role(whiteout) // hides a name of lower layers: Entry.Hides
	Opaque     = Role(opaque)   // hides all that lower layers have in its directory
	AUFSHidden = Role(hidden)   // AUFS's own: never shown
	AUFSLink   = Role(plink)    // AUFS's own, but other entries are hardlinks to it
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
	// ContentFunc; -1 if the entry was read from a blob without [Options.Log], or has no content of its own there.
	Position int
}

// HostXattr tells whether an extended attribute belongs to the host or to overlayfs: one such is
// never taken from an image, and says nothing about the image when it is found on disk.
func HostXattr(name string) bool { return skipXattr(name) != "" }

// RoleOf tells what a clean path makes of an entry. A path that may not be is ErrWhiteout.
func RoleOf(path string) (Role, error) {
	r, _, err := classify(path)
	return Role(r), err
}

// ReadLayer reads one layer without making files: it calls each for every entry that means
// something, in order, with the content of a regular file (an empty reader for all else), and
// proves digest, size and DiffID as ApplyLayer does. What each was given counts only once ReadLayer
// returned without an error. The entry is the callee's to keep, the reader is not.
//
// An error of each ends the reading and is returned as it is. Of the options Limits, Budget, Log, Logger
// and Index count: with Log, the tar-split log is written on the way, as if files had been made. Errors are those of ApplyLayer.
func ReadLayer(ctx context.Context, layer image.Layer, blobs Blobs, o Options, each func(*Entry, io.Reader) error) (LayerResult, error) {
	o.Limits = o.Limits.WithDefaults()
	if o.Budget == nil {
		o.Budget = NewBudget(o.Limits)
	}
	res, err := readLayer(ctx, layer, blobs, &o, each)
	if err != nil {
		return LayerResult{}, Locate(err, layer.Descriptor.Digest, o.Index)
	}
	return res, nil
}

func readLayer(ctx context.Context, layer image.Layer, blobs Blobs, o *Options, each func(*Entry, io.Reader) error) (LayerResult, error) {
	res := LayerResult{Layer: layer}
	return res, walkLayer(ctx, layer, blobs, o, func(s *stream, m *members) error {
		warn := newWarnings(o, o.Index)
		if s.result.Mislabelled {
			warn.mislabelled(layer, s.result.Compression)
		}
		m.log = newSplitLog(o.Log, o.Limits.LogBytes)
		err := m.each(func(e *entry, p *payload) error { return readEntry(e, p, warn, each) })
		if err == nil && m.log != nil {
			err = m.log.flush()
		}
		res.Compression, res.Mislabelled, res.Entries = s.result.Compression, s.result.Mislabelled, m.entries
		return err
	}, func(s *stream) error {
		res.Bytes = s.result.Bytes
		return s.prove()
	})
}

// walkLayer opens the stream of a layer for walk, which reads it to its end, and then asks prove.
func walkLayer(ctx context.Context, layer image.Layer, blobs Blobs, o *Options, walk func(*stream, *members) error, prove func(*stream) error) error {
	s, err := openStream(ctx, layer, blobs, o)
	if err != nil {
		return err
	}
	defer s.Close()
	m := &members{stream: s, limits: &o.Limits, budget: o.Budget}
	switch err := walk(s, m); {
	case err == nil:
		return prove(s)
	case m.local:
		return err
	default:
		return s.explain(err)
	}
}

// readEntry gives one entry to each. With a log all of the content is read, as the log wants its sum.
func readEntry(e *entry, p *payload, warn *warnings, each func(*Entry, io.Reader) error) error {
	out, err := exportEntry(e, warn, -1)
	if out == nil {
		return err
	}
	if e.kind != regular {
		return each(out, eofReader{})
	}
	out.Position = p.land()
	if err := each(out, contentReader{p}); err != nil || !p.landed {
		return err
	}
	_, err = io.Copy(io.Discard, contentReader{p})
	return err
}

// mislabelled warns that a media type is wrong about the compression.
func (w *warnings) mislabelled(layer image.Layer, found image.Compression) {
	w.entry("", "the compression is not what the media type says", "mediaType", layer.Descriptor.MediaType, "found", found)
}

// contentReader marks what goes wrong with the content of an entry as an error of the tar.
type contentReader struct{ p *payload }

func (c contentReader) Read(b []byte) (int, error) {
	n, err := c.p.Read(b)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: %w", errPayload, err)
	}
	return n, err
}

// eofReader is the content of what has none.
type eofReader struct{}

func (eofReader) Read([]byte) (int, error) { return 0, io.EOF }

// exportEntry gives what callers see of an entry; nil for one that means nothing.
func exportEntry(e *entry, warn *warnings, position int) (*Entry, error) {
	if e.kind == skipped {
		if e.note != "" {
			warn.entry(e.path, e.note)
		}
		return nil, nil
	}
	return publicEntry(e, position)
}

// publicEntry is exportEntry for an entry that means something.
func publicEntry(e *entry, position int) (*Entry, error) {
	role, hides, err := classify(e.path)
	if err != nil {
		return nil, err
	}
	out := &Entry{
		Kind: Kind(e.kind), Role: Role(role), Path: e.path, Hides: hides, Link: e.link, Size: e.size, Sparse: e.sparse,
		Mode: e.mode, UID: e.uid, GID: e.gid, Mtime: e.mtime, Major: e.major, Minor: e.minor, Position: position,
	}
	for _, x := range e.xattrs {
		if !HostXattr(x.name) {
			out.Xattrs = append(out.Xattrs, Xattr{x.name, x.value})
		}
	}
	slices.SortFunc(out.Xattrs, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
