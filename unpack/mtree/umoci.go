package mtree

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/unpack"
)

// umociFile is the file by which umoci knows its bundles; umociVersion is what 0.4 to 0.6 write into it.
const (
	umociFile    = "umoci.json"
	umociVersion = "2"
)

// Umoci says of a bundle what umoci has to know of it.
type Umoci struct {
	// Walk leads from the name in the image layout to the manifest: the manifest's descriptor, or
	// those of indexes and then it.
	Walk           []ispec.Descriptor
	UIDMap, GIDMap []unpack.IDMap // as the root file system was unpacked
	SingleID       bool           // owners are in the xattr user.rootlesscontainers
}

// idMapping is an id map in the words of umoci, which are runtime-spec's.
type idMapping struct {
	ContainerID uint32 `json:"containerID"`
	HostID      uint32 `json:"hostID"`
	Size        uint32 `json:"size"`
}

func mappings(maps []unpack.IDMap) []idMapping {
	var list []idMapping
	for _, m := range maps {
		list = append(list, idMapping(m))
	}
	return list
}

// meta is umoci.json.
type meta struct {
	Version string `json:"umoci_version"`
	From    struct {
		Walk []ispec.Descriptor `json:"descriptor_walk"`
	} `json:"from_descriptor_path"`
	Map struct {
		UIDs     []idMapping `json:"uid_mappings"`
		GIDs     []idMapping `json:"gid_mappings"`
		Rootless bool        `json:"rootless"`
	} `json:"map_options"`
}

// WriteUmoci writes into the directory of a bundle, whose root file system is "rootfs" in it, what makes
// it one of umoci's: umoci.json and sha256_HEX.mtree, which must not be there yet. `umoci repack --image LAYOUT:NAME
// DIR` then makes an image of it, in an image layout that has the blobs of the one it was made from.
func WriteUmoci(ctx context.Context, dir string, u Umoci) (err error) {
	if len(u.Walk) == 0 {
		return fmt.Errorf("write %s: no image is given", umociFile)
	}
	var m meta
	m.Version, m.From.Walk = umociVersion, u.Walk
	m.Map.UIDs, m.Map.GIDs, m.Map.Rootless = mappings(u.UIDMap), mappings(u.GIDMap), u.SingleID
	raw, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write %s: %w", umociFile, err)
	}
	rootfs, err := os.Open(filepath.Join(dir, "rootfs"))
	if err != nil {
		return err
	}
	defer rootfs.Close()
	files, err := OfDir(ctx, rootfs, true)
	if err != nil {
		return err
	}
	name := strings.Replace(u.Walk[len(u.Walk)-1].Digest.String(), ":", "_", 1) + ".mtree"
	manifest, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if err := errors.Join(files.Write(manifest, DirKeywords()), manifest.Close()); err != nil {
		return errors.Join(err, os.Remove(manifest.Name()))
	}
	return os.WriteFile(filepath.Join(dir, umociFile), append(raw, '\n'), 0o644) // last: without it the bundle is none
}
