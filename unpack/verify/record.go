package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
)

// recordVersion changes when older programs would misread a record.
const recordVersion = 1

// maxRecord bounds record.json, which lists layers and xattr names.
const maxRecord = 8 << 20

// Names in a record's directory; the log of layer 3 is 3.tar-split.zst.
const (
	recordFile   = "record.json"
	manifestFile = "manifest.json"
	configFile   = "config.json"
	logSuffix    = ".tar-split.zst"
)

// How says how a root file system was unpacked, as far as that decides what is on disk.
type How struct {
	UIDMap   []unpack.IDMap `json:"uidMap,omitempty"`
	GIDMap   []unpack.IDMap `json:"gidMap,omitempty"`
	SingleID bool           `json:"singleID,omitempty"`
	// LeftOut is what this machine could not represent: "device", or "xattr NAME", all names that begin so if there
	// is a full stop at the end; sorted.
	LeftOut []string `json:"leftOut,omitempty"`
}

// Record tells what a directory was unpacked from. Values come from [Records] only.
type Record struct {
	Version  int              `json:"version"`
	Name     string           `json:"name"`     // of the image, as it was asked for
	Manifest ispec.Descriptor `json:"manifest"` // media type, digest and size
	Config   digest.Digest    `json:"config"`
	DiffIDs  []digest.Digest  `json:"diffIDs"`
	Path     string           `json:"path"` // absolute; where the directory was last
	Created  time.Time        `json:"created"`
	Identity identity         `json:"identity"`
	Handle   string           `json:"handle,omitempty"` // of the directory, as the file system names it
	How      How              `json:"how"`
	image    image.Image      // proved, from manifestFile and configFile
	dir      string           // of the record
}

// identity names a directory, wherever it is moved: an inode number is used again, but not with the same
// time of birth.
type identity struct {
	Inode  uint64 `json:"inode"`
	Sec    int64  `json:"birthSec,omitempty"` // time of birth, 0 where the file system has none
	Nsec   uint32 `json:"birthNsec,omitempty"`
	Device uint64 `json:"device,omitempty"` // only where there is no time of birth
}

// id is the name of the record of a directory.
func (i identity) id() string {
	sum := digest.FromString(fmt.Sprintf("%d %d.%09d %d", i.Inode, i.Sec, i.Nsec, i.Device))
	return sum.Encoded()[:32]
}

// Image is the image that was unpacked: its manifest and config are those of the digests in the record.
func (r *Record) Image() image.Image { return r.image }

// Log opens the tar-split log of a layer of the image, fs.ErrNotExist if it was not kept.
func (r *Record) Log(layer image.Layer) (io.ReadCloser, error) {
	for i, l := range r.image.Layers() {
		if l.DiffID != layer.DiffID {
			continue
		}
		f, err := os.Open(filepath.Join(r.dir, logName(i+1)))
		if errors.Is(err, fs.ErrNotExist) {
			continue // another layer of the same DiffID may have one
		}
		return f, err
	}
	return nil, fs.ErrNotExist
}

func logName(index int) string { return strconv.Itoa(index) + logSuffix }

// Differences tells in what another image differs from the recorded one: "manifest A, not B", and so on; none
// for the same image.
func (r *Record) Differences(img image.Image) []string {
	var list []string
	note := func(what string, got, want digest.Digest) {
		if got != want {
			list = append(list, fmt.Sprintf("%s %s, not %s", what, got, want))
		}
	}
	note("manifest", r.Manifest.Digest, img.Descriptor().Digest)
	note("config", r.Config, img.ID())
	layers := img.Layers()
	if len(layers) != len(r.DiffIDs) {
		return append(list, fmt.Sprintf("%d layers, not %d", len(r.DiffIDs), len(layers)))
	}
	for i, l := range layers {
		note(fmt.Sprintf("layer %d with DiffID", i+1), r.DiffIDs[i], l.DiffID)
	}
	return list
}

// readRecord reads a record and proves that manifest and config are those that it names.
func readRecord(dir string) (*Record, error) {
	fail := func(err error) (*Record, error) {
		if !errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: %w", ErrRecord, err)
		}
		return nil, &Error{Op: "read record", Subject: dir, Err: err}
	}
	raw, err := readBounded(filepath.Join(dir, recordFile), maxRecord)
	if err != nil {
		return fail(err)
	}
	r := &Record{dir: dir}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(r); err != nil {
		return fail(err)
	}
	if r.Version != recordVersion {
		return fail(fmt.Errorf("version %d", r.Version))
	}
	if r.Identity.id() != filepath.Base(dir) {
		return fail(errors.New("it is of another directory"))
	}
	manifest, err := readBounded(filepath.Join(dir, manifestFile), image.MaxManifestSize)
	if err != nil {
		return fail(err)
	}
	config, err := readBounded(filepath.Join(dir, configFile), image.MaxConfigSize)
	if err != nil {
		return fail(err)
	}
	if r.image, err = image.New(r.Manifest, manifest, config); err != nil {
		return fail(err)
	}
	if d := r.Differences(r.image); len(d) > 0 {
		return fail(errors.New(d[0]))
	}
	return r, nil
}

func readBounded(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", filepath.Base(name), limit)
	}
	return raw, err
}
