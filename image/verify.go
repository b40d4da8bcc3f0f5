package image

import (
	"errors"
	"fmt"
	"hash"
	"io"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// verifyBuffer is how much Verify reads at a time.
const verifyBuffer = 256 << 10

// Verifier reads content and proves it against a descriptor. It never reads more than one byte over
// the size, and it fails closed: Read gives io.EOF only after size and digest were found right, and
// ErrSizeMismatch or ErrDigestMismatch otherwise. One who stops reading earlier has proved nothing,
// and calls Verify for that.
type Verifier struct {
	src  io.Reader
	want ispec.Descriptor
	sum  hash.Hash
	n    int64
	err  error // what Read will answer from now on; io.EOF once proved
}

// NewVerifier makes a Verifier of r. It checks the descriptor first: one without a digest, or with
// one of an unknown algorithm, gives an error and not a reader that lets everything pass.
func NewVerifier(r io.Reader, want ispec.Descriptor) (*Verifier, error) {
	return (*Hashes)(nil).NewVerifier(r, want)
}

// NewVerifier is the function of that name, with a hash of h.
func (h *Hashes) NewVerifier(r io.Reader, want ispec.Descriptor) (*Verifier, error) {
	sum, err := h.New(want.Digest)
	if err != nil {
		return nil, err
	}
	if want.Size < 0 {
		return nil, &Error{
			Op: "verify", Subject: want.Digest.String(), Clause: spec.DescriptorSize,
			Err: fmt.Errorf("%w: negative size %d", ErrMalformed, want.Size),
		}
	}
	return &Verifier{src: r, want: want, sum: sum}, nil
}

// Read implements io.Reader.
func (v *Verifier) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	left := v.want.Size - v.n
	if left == 0 {
		return 0, v.finish()
	}
	if int64(len(p)) > left {
		p = p[:left]
	}
	n, err := v.src.Read(p)
	v.sum.Write(p[:n])
	v.n += int64(n)
	switch {
	case errors.Is(err, io.EOF):
		if v.n < v.want.Size {
			v.err = errSize(v.want.Digest, v.n, v.want.Size)
		} else {
			v.err = v.check()
		}
		return n, v.err
	case err != nil:
		v.err = err
		return n, err
	}
	return n, nil
}

// finish is called when all bytes are there: nothing may follow, and the digest must match.
func (v *Verifier) finish() error {
	var one [1]byte
	for range 100 { // a reader that gives neither bytes nor an error for ever is broken
		n, err := v.src.Read(one[:])
		switch {
		case n > 0:
			v.err = errSize(v.want.Digest, v.n+1, v.want.Size)
		case errors.Is(err, io.EOF):
			v.err = v.check()
		case err != nil:
			v.err = err
		default:
			continue
		}
		return v.err
	}
	v.err = io.ErrNoProgress
	return v.err
}

func (v *Verifier) check() error {
	if err := checkSum(v.sum, v.want.Digest); err != nil {
		return err
	}
	return io.EOF
}

// Verify reads what is left and tells whether the whole was what the descriptor says. It may be
// called more than once.
func (v *Verifier) Verify() error {
	var buf []byte
	for v.err == nil {
		if buf == nil {
			buf = make([]byte, min(verifyBuffer, v.want.Size-v.n+1))
		}
		if _, err := v.Read(buf); err != nil {
			break // it is v.err now
		}
	}
	if v.err == io.EOF { //nolint:errorlint // set by check, never wrapped
		return nil
	}
	return v.err
}

// ReadAll reads the content of want from r and proves it. A descriptor that claims more than limit
// bytes is refused with ErrTooLarge before anything is read.
func ReadAll(r io.Reader, want ispec.Descriptor, limit int64) ([]byte, error) {
	if want.Size > limit {
		return nil, TooLarge("read", want, limit)
	}
	v, err := NewVerifier(r, want)
	if err != nil {
		return nil, err
	}
	raw := make([]byte, want.Size)
	if n, err := io.ReadFull(v, raw); err != nil && v.err == nil {
		return nil, errSize(want.Digest, int64(n), want.Size)
	}
	if err := v.Verify(); err != nil {
		return nil, err
	}
	return raw, nil
}

// TooLarge is the error for a descriptor that claims more bytes than limit.
func TooLarge(op string, d ispec.Descriptor, limit int64) error {
	return &Error{
		Op: op, Subject: d.Digest.String(),
		Err: fmt.Errorf("%w: %d bytes, at most %d are accepted", ErrTooLarge, d.Size, limit),
	}
}
