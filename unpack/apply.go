package unpack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/vbatts/tar-split/archive/tar"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
)

// Blobs gives the bytes of a layer's blob. They need not be verified: this package proves them.
type Blobs interface {
	Open(ctx context.Context, d ispec.Descriptor) (io.ReadCloser, error)
}

// ProvedBlobs is what Blobs may be besides: a store that knows what came into it by this process.
// Proved tells that this process has proved size and digest of the content when it brought it in. Then only
// the DiffID is left to prove, which covers all that is unpacked: each byte is hashed as a blob once.
type ProvedBlobs interface {
	Proved(d ispec.Descriptor) bool
}

// Form is the shape in which a layer is applied to a directory.
type Form int

const (
	// Merged applies a layer to the result of the layers below it; whiteouts remove.
	Merged Form = iota
	// Overlay applies a layer to an empty directory of its own, as overlayfs wants a lower layer:
	// whiteouts and opaque directories are marks that overlayfs reads.
	Overlay
)

// DevicePolicy says what becomes of the devices of a layer. Only root of the initial user namespace may make
// any. A device 0/0 is never made, since overlayfs would take it for a whiteout: it fails the layer
// under DeviceError, and is left out under the others.
type DevicePolicy int

const (
	// DeviceError makes them; the layer fails with ErrDevice if that is not allowed.
	DeviceError DevicePolicy = iota
	// DeviceSkip leaves them out, with a warning; a file of a lower layer in their place goes.
	DeviceSkip
	// DeviceBind makes an empty regular file instead, with mode, owner, xattrs and time of the entry, on which
	// a device of the host can be bind mounted: LayerResult.Devices and Rootfs.Devices tell which.
	DeviceBind
	// DeviceAny makes them where that is allowed, and does as DeviceBind where it is not: for a directory
	// that is used under several policies.
	DeviceAny
)

// Device is a device of a layer, or the regular file that stands for it.
type Device struct {
	Path         string // relative to the root; no symbolic link is on the way; raw bytes
	Kind         Kind   // CharDevice or BlockDevice
	Major, Minor uint32
	Mode         uint32 // permission bits, as the image says
	UID, GID     uint32 // as the image says
	Placeholder  bool   // it is an empty regular file
}

// IDMap maps a range of ids of the image to ids on disk, in the words of runtime-spec.
type IDMap struct {
	ContainerID uint32 // first id in the image
	HostID      uint32 // first id on disk, as this process sees the file system
	Size        uint32 // how many
}

// Options direct an unpacking. The zero value is the safe default: owners as in the image,
// default limits, an error for what cannot be represented.
type Options struct {
	// UIDMap and GIDMap translate owners, the ids in ACLs and the root of file capabilities; an id outside is
	// ErrOwner, a map that no user namespace could have ErrIDMap. Nil leaves ids as they are. Inside a user
	// namespace ids on disk are those inside, which the kernel translates.
	UIDMap, GIDMap []IDMap
	// SingleID gives everything to the user and group of this process, whatever the image says:
	// for a user namespace with one id only, or no privileges at all.
	// The owner that the image says, if it is not 0:0, is kept in the xattr [OwnerXattr] of regular files and
	// directories.
	SingleID bool
	Devices  DevicePolicy
	// UserXattr marks opaque directories with user.overlay.opaque, for overlay mounts with the
	// option userxattr, which is what a user namespace may mount. Overlay form only.
	UserXattr bool
	Limits    Limits
	// Budget, if not nil, is what is left of Limits.TotalBytes: for layers of one image that are applied
	// one by one, maybe at once. Unpack has its own.
	Budget *Budget
	// Hashes, if not nil, are shared by layers that are applied one by one, maybe at once: they help each
	// other. A layer's own always do.
	Hashes *image.Hashes
	// Log, if not nil, receives the tar-split log of the layer, from which with the files the tar
	// can be rebuilt: see NewLogWriter and RebuildTar. ApplyLayer only.
	Log io.Writer
	// Logs, if not nil, opens what receives the log of the layer with an index, 1 for the base, and is
	// closed after it. Unpack only.
	Logs func(index int, layer image.Layer) (io.WriteCloser, error)
	// LeftOut, if not nil, is told what an entry says and is not on disk, since the file system or the
	// privileges do not allow it: "xattr NAME" or "device". Once or more for each.
	LeftOut func(what string)
	// Replaced, if not nil, keeps the content of files that a later entry of the same layer
	// replaced, each under its position in the log: without them such a tar cannot be rebuilt.
	// It must be on the same file system. Overlay form only.
	Replaced *Root
	Logger   *slog.Logger    // receives warnings; nil discards them
	Events   image.EventFunc // receives EventUnpacked for each layer; may be nil
	// Index is the layer's place in its image, 1 for the base; it is only for messages. Unpack sets it.
	Index int
}

// LowerLink is a hardlink whose target is not in its own layer.
type LowerLink struct {
	Name   string `json:"name"`   // path of the link, relative to the root
	Target string `json:"target"` // path of the existing file, relative to the root
}

// LayerResult says what ApplyLayer did. The last fields are filled in Overlay form only: they
// are what the layer leaves to whoever stacks it on others.
type LayerResult struct {
	Layer       image.Layer
	Compression image.Compression // found in the blob
	Mislabelled bool              // the media type claims another compression
	Entries     int64             // entries in the tar
	Bytes       int64             // uncompressed, as hashed for the DiffID

	// Devices lists the devices that the layer made, hardlinks to them included, and did not remove again; in Merged
	// form also those of the layers that were applied to the same Root before.
	Devices []Device

	// Implicit lists directories that the layer passes through without an entry of their own, ""
	// for the root: their attributes are those that the layers below give them.
	Implicit []string
	// Links are hardlinks to files of lower layers. They were not made.
	Links []LowerLink
	// ReplacedLinks are such links as a later entry of the layer replaced. Their targets must be there: a
	// layer with a hardlink to nothing is malformed, whatever comes after it.
	ReplacedLinks []LowerLink
	// Whiteouts lists the directories that hold whiteouts. overlayfs shows whiteouts as names that
	// cannot be opened, unless the directory is merged with one of another layer. Some listed
	// may be gone again.
	Whiteouts []string
	// OpaqueRoot says that the layer hides all that is below it, which overlayfs cannot be told by
	// a mark on the root of a layer.
	OpaqueRoot bool
}

// ApplyLayer applies one layer to root, in one pass over its blob, and proves digest, size and
// DiffID. Without an error all of that holds; after an error what is below root is undefined and
// must be thrown away. In Overlay form root must be empty. Only one call may use a Root at a time.
//
// Errors are *Error; image.ErrDigestMismatch, image.ErrSizeMismatch, ErrDiffID, ErrTar,
// ErrCompression, ErrUnsafePath, ErrWhiteout, ErrLink, ErrOwner, ErrDevice and ErrLimit tell the
// kind, else it is what the kernel said (ENOSPC, EDQUOT, EMLINK, ENAMETOOLONG, ...).
func ApplyLayer(ctx context.Context, layer image.Layer, blobs Blobs, root *Root, form Form, o Options) (LayerResult, error) {
	o.Limits = o.Limits.WithDefaults()
	if o.Budget == nil {
		o.Budget = NewBudget(o.Limits)
	}
	if err := o.checkMaps(); err != nil {
		return LayerResult{}, err
	}
	return applyLayer(ctx, layer, blobs, root, form, &o)
}

func applyLayer(ctx context.Context, layer image.Layer, blobs Blobs, root *Root, form Form, o *Options) (LayerResult, error) {
	res, err := applyStream(ctx, layer, blobs, root, form, o)
	if err != nil {
		return LayerResult{}, Locate(err, layer.Descriptor.Digest, o.Index)
	}
	o.Events.Emit(image.Event{Kind: image.EventUnpacked, Descriptor: layer.Descriptor, Bytes: res.Bytes, Total: res.Bytes})
	return res, nil
}

// Locate adds the layer to an error that lacks it, and makes an *Error of any other.
func Locate(err error, d digest.Digest, index int) error {
	var e *Error
	if !errors.As(err, &e) {
		return &Error{Op: "apply", Layer: index, Digest: d, Err: notEOF(err)}
	}
	if e.Digest == "" {
		e.Digest, e.Layer = d, index
	}
	return err
}

// members walks the entries of a layer's tar and keeps the tar-split log of it.
type members struct {
	stream  *stream
	log     *splitLog
	limits  *Limits
	budget  *Budget
	entries int64
	local   bool // the last error came from making files, not from the tar
}

// payload is how an entry's content is read, and what becomes of it.
type payload struct {
	io.Reader
	members *members
	tap     *tap
	entry   *entry
	landed  bool // the content is a file on disk now, under the entry's name
}

// Read gives the content of the entry and sums it up for the log.
func (p *payload) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	if p.landed && p.members.log != nil {
		p.members.log.crc.Write(b[:n])
	}
	return n, err
}

// land is called before the content is read, if it goes unchanged to a file of the entry's name. It
// gives the entry's position in the log, -1 without a log.
func (p *payload) land() int {
	if p.members.log == nil {
		return -1
	}
	if p.entry.sparse || p.entry.size == 0 {
		return -1
	}
	p.landed = true
	p.tap.flush()
	p.tap.record = false
	return p.members.log.pos
}

// each calls apply for each entry, in order, and then reads the stream to its end.
func (m *members) each(apply func(*entry, *payload) error) error {
	t := &tap{r: m.stream, log: m.log, record: true}
	tr := tar.NewReader(t)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return tarError(t, err)
		}
		if m.entries++; m.entries > m.limits.Entries {
			return overrun(h.Name, spec.Clause{}, "entries", m.limits.Entries, m.entries, "the layer has more entries")
		}
		if err := m.one(tr, t, h, apply); err != nil {
			return err
		}
	}
	return m.drain(t)
}

// one handles one entry and writes its lines of the log.
func (m *members) one(tr *tar.Reader, t *tap, h *tar.Header, apply func(*entry, *payload) error) error {
	e, err := decodeEntry(h, m.limits)
	if err != nil {
		return err
	}
	if e.sparse {
		// The holes are not in the stream that its limits bound.
		if err := m.budget.take(e.size); err != nil {
			return &Error{Op: "apply", Subject: h.Name, Err: err}
		}
	}
	t.flush()
	p := &payload{Reader: tr, members: m, tap: t, entry: e}
	if err := apply(e, p); err != nil {
		if t.err != nil || errors.Is(err, errPayload) {
			return tarError(t, err)
		}
		m.local = !errors.Is(err, ErrTar)
		return err
	}
	if m.log == nil {
		return nil
	}
	size := int64(0)
	if p.landed {
		size = e.size
	}
	m.log.crcReset(p.landed)
	m.log.file(h.Name, size)
	t.record = true
	return m.log.error
}

// drain reads what follows the end of the archive: the digests cover it (H-50).
func (m *members) drain(t *tap) error {
	t.flush()
	buf := make([]byte, 64<<10)
	for {
		_, err := t.Read(buf)
		if errors.Is(err, io.EOF) {
			t.flush()
			if m.log != nil {
				return m.log.error
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// errPayload marks an error of reading an entry's content, as opposed to writing it.
var errPayload = errors.New("read the content")

// tarError names what the tar reader said; an error of the stream below it stays what it is.
func tarError(t *tap, err error) error {
	if t.err != nil {
		return t.err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the archive is cut short")
	}
	return &Error{Op: "read tar", Clause: spec.LayerTar, Err: fmt.Errorf("%w at byte %d: %w", ErrTar, t.bytes, notEOF(err))}
}
