package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
)

// markerVersion changes when older programs would misread a layer directory.
const markerVersion = 2

// maxMarker bounds layer.json: it lists directories, of which a layer has a few thousand.
const maxMarker = 64 << 20

// marker is layer.json: what a layer directory is, and what it leaves to the stack. Names are raw
// bytes, since those of files need not be UTF-8.
type marker struct {
	Version    int           `json:"version"`
	Form       string        `json:"form"`
	DiffID     digest.Digest `json:"diffID"`
	Blob       digest.Digest `json:"blob"`
	BlobSize   int64         `json:"blobSize"`
	MediaType  string        `json:"mediaType"`
	Bytes      int64         `json:"bytes"`
	Entries    int64         `json:"entries"`
	Implicit   [][]byte      `json:"implicit,omitempty"`
	Links      [][2][]byte   `json:"links,omitempty"`    // name, target
	Replaced   [][2][]byte   `json:"replaced,omitempty"` // links that are not there in the end
	Devices    []device      `json:"devices,omitempty"`
	Whiteouts  [][]byte      `json:"whiteouts,omitempty"`
	OpaqueRoot bool          `json:"opaqueRoot,omitempty"`
}

// device is a device of the layer, or the empty file that stands for it.
type device struct {
	Path        []byte `json:"path"`
	Block       bool   `json:"block,omitempty"`
	Major       uint32 `json:"major"`
	Minor       uint32 `json:"minor"`
	Mode        uint32 `json:"mode"`
	UID         uint32 `json:"uid"`
	GID         uint32 `json:"gid"`
	Placeholder bool   `json:"placeholder,omitempty"`
}

func newDevice(d unpack.Device) device {
	return device{[]byte(d.Path), d.Kind == unpack.BlockDevice, d.Major, d.Minor, d.Mode, d.UID, d.GID, d.Placeholder}
}

func (d device) device() unpack.Device {
	kind := unpack.CharDevice
	if d.Block {
		kind = unpack.BlockDevice
	}
	return unpack.Device{
		Path: string(d.Path), Kind: kind, Major: d.Major, Minor: d.Minor, Mode: d.Mode, UID: d.UID, GID: d.GID, Placeholder: d.Placeholder,
	}
}

func newMarker(res unpack.LayerResult, form string) *marker {
	m := &marker{
		Version: markerVersion, Form: form, DiffID: res.Layer.DiffID,
		Blob: res.Layer.Descriptor.Digest, BlobSize: res.Layer.Descriptor.Size, MediaType: res.Layer.Descriptor.MediaType,
		Bytes: res.Bytes, Entries: res.Entries, OpaqueRoot: res.OpaqueRoot,
	}
	for _, p := range res.Implicit {
		m.Implicit = append(m.Implicit, []byte(p))
	}
	for _, p := range res.Whiteouts {
		m.Whiteouts = append(m.Whiteouts, []byte(p))
	}
	for _, l := range res.Links {
		m.Links = append(m.Links, [2][]byte{[]byte(l.Name), []byte(l.Target)})
	}
	for _, l := range res.ReplacedLinks {
		m.Replaced = append(m.Replaced, [2][]byte{[]byte(l.Name), []byte(l.Target)})
	}
	for _, d := range res.Devices {
		m.Devices = append(m.Devices, newDevice(d))
	}
	return m
}

// write writes the marker into a staging directory.
func (m *marker) write(dir string) error {
	raw, err := json.Marshal(m)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, markerFile), raw, 0o600)
	}
	if err != nil {
		return &Error{Op: "write", Subject: filepath.Join(dir, markerFile), Err: err}
	}
	return nil
}

// readMarker reads the marker of a layer directory. Any error means: there is no usable layer.
func readMarker(dir string) (*marker, error) {
	f, err := os.Open(filepath.Join(dir, markerFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxMarker+1))
	if err != nil {
		return nil, err
	}
	var m marker
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, err
	}
	if m.Version != markerVersion {
		return nil, fmt.Errorf("version %d", m.Version)
	}
	if err := image.ValidateDigest(m.DiffID); err != nil { // or Encoded panics
		return nil, err
	}
	if filepath.Base(dir) != m.DiffID.Encoded() {
		return nil, errors.New("it is of another layer")
	}
	return &m, nil
}

// LogPath is where a store in layersDir has the tar-split log of a layer: see unpack.ReadLog.
func LogPath(layersDir string, diffID digest.Digest) string {
	return filepath.Join(layersDir, diffID.Algorithm().String(), diffID.Encoded(), logFile)
}
