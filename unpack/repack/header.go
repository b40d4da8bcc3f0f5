package repack

import (
	"archive/tar"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tree"
)

// header gives the tar header of an entry. Plain ustar where that holds everything; archive/tar adds PAX
// records for what does not fit: names that are long or not ASCII, large or negative numbers, xattrs.
func (s *step) header(epoch *time.Time) (*tar.Header, error) {
	n := s.node
	if n == nil {
		name := whiteoutPrefix + base(s.path)
		if d := dir(s.path); d != "" {
			name = d + "/" + name
		}
		return &tar.Header{Typeflag: tar.TypeReg, Name: name, ModTime: time.Unix(0, 0)}, nil
	}
	h := &tar.Header{
		Name: s.path, Mode: int64(n.Mode), Uid: int(n.UID), Gid: int(n.GID),
		ModTime: clamp(time.Unix(n.Sec, int64(n.Nsec)), epoch),
	}
	if h.ModTime.Nanosecond() != 0 {
		h.Format = tar.FormatPAX // else it is rounded
	}
	if s.target != "" {
		h.Typeflag, h.Linkname = tar.TypeLink, s.target
		return h, nil
	}
	switch n.Kind {
	case unpack.Regular:
		h.Typeflag, h.Size = tar.TypeReg, n.Size
	case unpack.Directory:
		h.Typeflag, h.Name = tar.TypeDir, s.path+"/"
		if s.path == "" {
			h.Name = "./"
		}
	case unpack.Symlink:
		h.Typeflag, h.Linkname = tar.TypeSymlink, n.Link
	case unpack.CharDevice:
		h.Typeflag, h.Devmajor, h.Devminor = tar.TypeChar, int64(n.Major), int64(n.Minor)
	case unpack.BlockDevice:
		h.Typeflag, h.Devmajor, h.Devminor = tar.TypeBlock, int64(n.Major), int64(n.Minor)
	case unpack.FIFO:
		h.Typeflag = tar.TypeFifo
	default:
		return nil, fmt.Errorf("%w: it is a %s", ErrEntry, n.Kind)
	}
	if len(n.Xattrs) > 0 {
		h.Format, h.PAXRecords = tar.FormatPAX, records(n)
	}
	return h, nil
}

// records are the PAX records of a file's xattrs: as star and GNU tar name them, since all read that. A name
// with "=" cannot be the key of a record: for such there is libarchive's encoding.
func records(n *tree.Node) map[string]string {
	m := make(map[string]string, len(n.Xattrs))
	for _, x := range n.Xattrs {
		if strings.Contains(x.Name, "=") {
			m["LIBARCHIVE.xattr."+strings.ReplaceAll(url.PathEscape(x.Name), "=", "%3D")] = base64.RawStdEncoding.EncodeToString([]byte(x.Value))
			continue
		}
		m["SCHILY.xattr."+x.Name] = x.Value
	}
	return m
}

// clamp makes times after the epoch the epoch, as GNU tar's --clamp-mtime does and
// https://reproducible-builds.org/specs/source-date-epoch/ asks.
func clamp(t time.Time, epoch *time.Time) time.Time {
	if epoch != nil && t.After(*epoch) {
		return *epoch
	}
	return t
}
