package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
)

// attestationOf is the annotation by which BuildKit says which image of the index an attestation is of.
const attestationOf = "vnd.docker.reference.digest"

// chosenBelow gives the manifests below an index that are for the platforms.
func chosenBelow(ctx context.Context, s *store.Store, d ispec.Descriptor, platforms []string) (map[digest.Digest]bool, error) {
	chosen := make(map[digest.Digest]bool)
	for _, text := range platforms {
		want, err := image.ParsePlatform(text)
		if err != nil {
			return nil, err
		}
		m, _, err := readManifest(ctx, storeSource{s, ""}, d, &want)
		if err != nil {
			return nil, err
		}
		chosen[m.Digest] = true
	}
	return chosen, nil
}

// keeps tells whether an entry of an index is one of the chosen, or goes with one.
func keeps(chosen map[digest.Digest]bool, d ispec.Descriptor) bool {
	return chosen[d.Digest] || chosen[digest.Digest(d.Annotations[attestationOf])]
}

// subset makes an index, in the store, that has of another one the chosen manifests alone. All else of it
// stays, what is unknown here too. One that loses nothing is given as it is.
func subset(ctx context.Context, s *store.Store, d ispec.Descriptor, chosen map[digest.Digest]bool, depth int) (ispec.Descriptor, error) {
	if depth > image.MaxIndexDepth {
		return d, tooDeep(d)
	}
	raw, err := s.ReadBlob(ctx, d, image.MaxManifestSize)
	if err != nil {
		return d, err
	}
	idx, err := image.DecodeIndex(raw, d.MediaType)
	if err != nil {
		return d, err
	}
	members, entries, err := rawIndex(raw)
	if err != nil || len(entries) != len(idx.Manifests) {
		return d, fmt.Errorf("%s: %w: %w", d.Digest, image.ErrMalformed, err)
	}
	left := []json.RawMessage{}
	changed := false
	for i, m := range idx.Manifests {
		switch {
		case keeps(chosen, m):
			left = append(left, entries[i])
		case image.IsIndex(m.MediaType):
			n, err := subset(ctx, s, m, chosen, depth+1)
			if err != nil {
				return d, err
			}
			changed = changed || n.Digest != m.Digest
			if n.Digest == m.Digest {
				left = append(left, entries[i])
			} else if n.Size > 0 {
				entry, err := json.Marshal(n)
				if err != nil {
					return d, err
				}
				left = append(left, entry)
			}
		default:
			changed = true
		}
	}
	if !changed {
		return d, nil
	}
	if len(left) == 0 {
		return ispec.Descriptor{}, nil // a nested index that has none of them
	}
	if members["manifests"], err = json.Marshal(left); err != nil {
		return d, err
	}
	return putDocument(ctx, s, d, d.MediaType, members)
}

// rawIndex takes an index apart without losing anything.
func rawIndex(raw []byte) (members map[string]json.RawMessage, entries []json.RawMessage, err error) {
	if err = json.Unmarshal(raw, &members); err == nil {
		err = json.Unmarshal(members["manifests"], &entries)
	}
	return members, entries, err
}

// sparseStore is a store of which, below an index, the chosen manifests alone are seen.
type sparseStore struct {
	*store.Store
	root   digest.Digest
	chosen map[digest.Digest]bool
}

// Open implements the sources of package transport and of package distribution.
func (s sparseStore) Open(ctx context.Context, d ispec.Descriptor) (io.ReadCloser, error) {
	if image.IsManifest(d.MediaType) && d.Digest != s.root && !keeps(s.chosen, d) {
		return nil, fmt.Errorf("%s: %w: not of the platforms that were chosen", d.Digest, store.ErrNotFound)
	}
	return s.Store.Open(ctx, d)
}
