package store

import (
	"encoding/json"

	"github.com/opencontainers/go-digest"
)

// An upload that a later process may go on with lies beside the ingests, and is swept with them.
const (
	uploadPrefix = "upload-"
	maxUpload    = 16 << 10 // bytes; locations carry the state of the registry
)

// Upload is how far the upload of a blob to a registry came. Location may be a secret.
type Upload struct {
	Location string `json:"location"`
	Offset   int64  `json:"offset"` // bytes that the registry has taken
}

// uploadFile names the file of an upload by what key says of it.
func uploadFile(key string) string {
	return ingestDir + "/" + uploadPrefix + digest.FromString(key).Encoded() + checkpointSuffix
}

// SaveUpload remembers an upload under a key, in place of what was remembered before.
func (s *Store) SaveUpload(key string, u Upload) error {
	if err := s.writable("save upload", key); err != nil {
		return err
	}
	raw, err := json.Marshal(u)
	if err == nil {
		err = s.dir.Replace(uploadFile(key), raw, 0o600)
	}
	return failed("save upload", key, err)
}

// TakeUpload gives what is remembered of a key, and forgets it. Of several who take at once one gets it.
func (s *Store) TakeUpload(key string) (Upload, bool) {
	name := uploadFile(key)
	raw, err := s.dir.ReadFile(name, maxUpload)
	var u Upload
	if err != nil || json.Unmarshal(raw, &u) != nil {
		return Upload{}, false
	}
	if err := s.dir.Root().Remove(name); err != nil {
		return Upload{}, false // another was faster, or nothing can be written here
	}
	return u, true
}
