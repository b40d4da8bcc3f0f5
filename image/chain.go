package image

import (
	"github.com/opencontainers/go-digest"
)

// ChainIDs gives for each layer the name of the whole stack up to it, as config.md ("Layer
// ChainID") defines it: the first is the DiffID itself, each further one the SHA256 of the one
// before, a space, and the DiffID. The DiffIDs must have been proved (see ValidateDigest).
func ChainIDs(diffIDs []digest.Digest) []digest.Digest {
	chain := make([]digest.Digest, len(diffIDs))
	for i, d := range diffIDs {
		if i == 0 {
			chain[0] = d
			continue
		}
		chain[i] = digest.SHA256.FromString(string(chain[i-1]) + " " + string(d))
	}
	return chain
}
