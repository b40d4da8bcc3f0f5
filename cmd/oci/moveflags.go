package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/image/reference"
)

// moveFlags are the flags of the verbs that write images to other places.
type moveFlags struct {
	referrers, noReferrers bool
	sparse, preserve       bool
	toOCI                  bool // of copy alone
	tags                   []string
	chunk                  byteCount
}

// register adds what every such verb has.
func (m *moveFlags) register(f *pflag.FlagSet) {
	f.BoolVar(&m.referrers, "referrers", false, "also what refers to the image: signatures, SBOMs (default for layouts and their archives)")
	f.BoolVar(&m.noReferrers, "no-referrers", false, "nothing that refers to the image, into layouts neither")
	f.BoolVar(&m.sparse, "sparse", false, "with several --platform, keep the index and its digest, where the destination takes one with holes")
}

// registerPush adds what a verb has that may write to a registry.
func (m *moveFlags) registerPush(f *pflag.FlagSet) {
	m.register(f)
	f.StringArrayVar(&m.tags, "tag", nil, "one more `tag` for the image in the registry; may be given several times")
	f.Var(&m.chunk, "chunk-size", "send blobs that are larger in pieces of so many `bytes` (with K, M or G: times 1024)")
}

// check refuses what contradicts itself, and what the destination cannot hold.
func (m moveFlags) check(cmd *cobra.Command, to place) error {
	if err := writable(to); err != nil {
		return err
	}
	kind := to.ref.Transport
	switch {
	case m.referrers && m.noReferrers:
		return usageErrorf(cmd, "--referrers and --no-referrers exclude each other")
	case m.referrers && m.toOCI:
		return usageErrorf(cmd, "--referrers and --to-oci exclude each other: what refers to an image names its digest")
	case m.referrers && (kind == reference.DockerArchive || kind == reference.Dir):
		return usageErrorf(cmd, "--referrers: %s holds one image, and nothing beside it", to)
	case m.preserve && kind == reference.DockerArchive:
		return usageErrorf(cmd, "--preserve-digests: a docker-archive has no manifests; only the image's ID stays")
	case m.preserve && m.toOCI:
		return usageErrorf(cmd, "--preserve-digests and --to-oci exclude each other")
	case m.sparse && kind == reference.DockerArchive:
		return usageErrorf(cmd, "--sparse: a docker-archive has no index")
	case len(m.tags) > 0 && !to.inRegistry():
		return usageErrorf(cmd, "--tag: %s is not in a registry", to)
	case len(m.tags) > 0 && to.ref.Digest != "":
		return usageErrorf(cmd, "--tag: %s names a digest, and so does not mean a tag", to)
	}
	for _, tag := range m.tags {
		if r, err := reference.Parse("x:" + tag); err != nil || r.Tag != tag {
			return usageErrorf(cmd, "--tag: %q is not a tag", tag)
		}
	}
	return nil
}

// carries tells whether what refers to an image goes along to a place, and whether it must.
func (m moveFlags) carries(to place) (carry, must bool) {
	layout := to.stored == "" && (to.ref.Transport == reference.OCI || to.ref.Transport == reference.OCIArchive)
	return !m.noReferrers && !m.toOCI && (layout || m.referrers), m.referrers
}

// unasked tells whether a place does not answer the question for referrers, which is no reason not to
// copy the image if nobody has asked it: registries older than the question answer it with all kinds of
// refusals.
func unasked(err error) bool {
	var s *distribution.StatusError
	return errors.As(err, &s) && s.Refused()
}

// toRegistry is the options of a push.
func (m moveFlags) toRegistry(o distribution.PushOptions) distribution.PushOptions {
	o.ChunkSize, o.Tags, o.Sparse, o.Absent = int64(m.chunk), m.tags, m.sparse, isAbsent
	return o
}

// changed refuses that the digest of an image changes, if it must not.
func (m moveFlags) changed(from, to ispec.Descriptor) error {
	if m.preserve && from.Digest != to.Digest {
		return usageErrorf(nil, "--preserve-digests: it would be %s in place of %s; with --sparse the index stays", to.Digest, from.Digest)
	}
	return nil
}

// byteCount is a flag for a number of bytes.
type byteCount int64

// String, Set and Type make it a pflag.Value.
func (b *byteCount) String() string { return strconv.FormatInt(int64(*b), 10) }

// Set reads a number with K, M or G behind it, or nothing.
func (b *byteCount) Set(s string) error {
	number := strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(s), "B"), "I")
	shift := 0
	for i, unit := range [...]string{"K", "M", "G"} {
		if digits, ok := strings.CutSuffix(number, unit); ok {
			number, shift = digits, 10*(i+1)
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64>>shift {
		return fmt.Errorf("%q is not a number of bytes", s)
	}
	*b = byteCount(n << shift)
	return nil
}

// Type is the name of the value in help texts.
func (b *byteCount) Type() string { return "bytes" }
