package origin

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/internal/rawjson"
)

// parse reads a config. bundle.Decode has its say first: on size, depth, count, and a key that occurs twice.
func parse(config []byte) (rawjson.Value, error) {
	if err := bundle.Decode(config, new(specs.Spec)); err != nil {
		return nil, err
	}
	return rawjson.Value(bytes.TrimSpace(config)), nil
}

// digest is short: it tells a change, and protects from nothing. Only the bytes are compared: another spelling of a number or
// a string is an edit too.
func digest(v rawjson.Value) string {
	sum := sha256.Sum256(v.Compact())
	return hex.EncodeToString(sum[:8])
}
