package unpack

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
	"github.com/vbatts/tar-split/archive/tar"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
)

// Member is one header of a layer's tar, as the tar has it, and what ApplyLayer would make of it.
type Member struct {
	Name    string // raw bytes
	Link    string // raw bytes
	Type    byte   // the type flag of the tar
	Entry   *Entry // nil if the member makes no file, or if Err is set; Position is -1
	Skipped string // why it makes none, if that is worth telling
	HostXattrs,
	LeftOut []string // xattrs and ACLs that are never set, or cannot be: names, and reasons
	Err error // why ApplyLayer refuses the layer: an *Error without the layer
}

// Inspected is what was found out about a layer's blob.
type Inspected struct {
	Compressed
	Entries int64
	DiffID  digest.Digest // of the tar, in the algorithm of the DiffID that was asked for
}

// InspectLayer reads one layer for one who judges it: each is called for every header of the tar, in order, also for those
// that ApplyLayer refuses, which end nothing here. Digest and size of the blob are proved. The DiffID is told and not proved: that of
// layer gives its algorithm only, and sha256 is that of one that is none.
//
// An error is that of ReadLayer: the blob is not the one of the descriptor, or its compression or its tar
// cannot be read further. Of the options Limits, Budget, Hashes and Index count.
func InspectLayer(ctx context.Context, layer image.Layer, blobs Blobs, o Options, each func(*Member) error) (Inspected, error) {
	o.Limits = o.Limits.WithDefaults()
	if o.Budget == nil {
		o.Budget = NewBudget(o.Limits)
	}
	if image.ValidateDigest(layer.DiffID) != nil {
		layer.DiffID = digest.SHA256.FromString("")
	}
	var found Inspected
	err := walkLayer(ctx, layer, blobs, &o, func(s *stream, m *members) error {
		err := m.inspect(each)
		found.Compressed, found.Entries = s.result, m.entries
		return err
	}, func(s *stream) error {
		found.Compressed = s.result
		found.DiffID = layer.Descriptor.Digest // of a tar that is the blob
		if s.diff != nil {
			found.DiffID = digest.NewDigest(layer.DiffID.Algorithm(), s.diff)
		}
		return s.proveBlob()
	})
	if err != nil {
		err = Locate(err, layer.Descriptor.Digest, o.Index)
	}
	return found, err
}

// inspect calls each for each header.
func (m *members) inspect(each func(*Member) error) error {
	t := &tap{r: m.stream}
	tr := tar.NewReader(t)
	for {
		h, err := tr.Next()
		if err == io.EOF { //nolint:errorlint // the reader of tars gives it as it is
			return m.drain(t)
		}
		if err != nil {
			return tarError(t, err)
		}
		if m.entries++; m.entries > m.limits.Entries {
			return overrun(h.Name, spec.Clause{}, "entries", m.limits.Entries, m.entries, "the layer has more entries")
		}
		if err := each(m.member(h)); err != nil {
			m.local = true
			return err
		}
	}
}

// member describes a header.
func (m *members) member(h *tar.Header) *Member {
	out := &Member{Name: h.Name, Link: h.Linkname, Type: h.Typeflag}
	e, err := decodeEntry(h, m.limits)
	if err == nil && e.kind == skipped {
		out.Skipped = e.note
		return out
	}
	if err == nil {
		for _, x := range e.xattrs {
			if HostXattr(x.name) {
				out.HostXattrs = append(out.HostXattrs, x.name)
			}
		}
		out.LeftOut = e.odd
		out.Entry, err = publicEntry(e, -1)
	}
	if err != nil {
		out.Entry, out.Err = nil, err
	}
	return out
}
