package image

import (
	"fmt"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// DecodeConfig decodes the config of a container image. Its platform, the type of its rootfs and
// all its DiffIDs have been checked.
func DecodeConfig(raw []byte) (ispec.Image, error) {
	const op = "decode config"
	var c ispec.Image
	if _, err := decodeStrict(raw, MaxConfigSize, &c); err != nil {
		return ispec.Image{}, documentError(op, spec.DocumentJSON, err)
	}
	fail := func(format string, a ...any) (ispec.Image, error) {
		err := fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, a...)...)
		return ispec.Image{}, documentError(op, spec.ConfigRequired, err)
	}
	switch {
	case c.Architecture == "":
		return fail("no architecture")
	case c.OS == "":
		return fail("no os")
	case c.RootFS.Type != "layers":
		return fail("rootfs.type is %q, not \"layers\"", clip(c.RootFS.Type))
	case len(c.RootFS.DiffIDs) > MaxLayers:
		return fail("%d DiffIDs, at most %d are accepted", len(c.RootFS.DiffIDs), MaxLayers)
	}
	for i, d := range c.RootFS.DiffIDs {
		if err := ValidateDigest(d); err != nil {
			return ispec.Image{}, documentError(op, spec.ConfigDiffID, fmt.Errorf("diff_ids %d: %w", i, err))
		}
	}
	return c, nil
}
