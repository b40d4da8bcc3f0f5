package mtree

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/oci-pipeline/oci/unpack"
)

// ErrKeyword is a keyword that this package does not write.
var ErrKeyword = errors.New("no such keyword")

// keywords are those that can be written, in the order in which they are.
var keywords = [...]string{"size", "type", "uid", "gid", "mode", "link", "nlink", "time", "tar_time", "sha256digest", "xattr"}

// DirKeywords are what the manifest of a directory has: those of umoci.
func DirKeywords() []string {
	return []string{"size", "type", "uid", "gid", "mode", "link", "nlink", "tar_time", "sha256digest", "xattr"}
}

// TreeKeywords are what the manifest of an image has: those of umoci that do not depend on a file system.
func TreeKeywords() []string {
	return []string{"type", "uid", "gid", "mode", "link", "tar_time", "sha256digest", "xattr"}
}

// ParseKeywords reads a list of keywords, with commas or spaces between; "sha256" and "xattrs" are other names.
func ParseKeywords(text string) ([]string, error) {
	var list []string
	for _, k := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		switch k {
		case "sha256":
			k = "sha256digest"
		case "xattrs":
			k = "xattr"
		}
		if !slices.Contains(keywords[:], k) {
			return nil, fmt.Errorf("%w: %q; there are %s", ErrKeyword, k, strings.Join(keywords[:], ", "))
		}
		list = append(list, k)
	}
	return list, nil
}

// append writes a keyword with its value, as go-mtree computes it, if the file has one.
func (f *File) append(line []byte, keyword string) []byte {
	set := func(value string) []byte {
		line = append(append(append(line, ' '), keyword...), '=')
		return append(line, value...)
	}
	switch keyword {
	case "size":
		if f.size >= 0 {
			return set(strconv.FormatInt(f.size, 10))
		}
	case "type":
		return set(typeName(f.kind))
	case "uid":
		return set(strconv.FormatUint(uint64(f.uid), 10))
	case "gid":
		return set(strconv.FormatUint(uint64(f.gid), 10))
	case "mode":
		return set(fmt.Sprintf("%#o", f.mode))
	case "link":
		if f.kind == unpack.Symlink {
			return set(Vis(f.target))
		}
	case "nlink":
		if f.links > 0 {
			return set(strconv.FormatUint(f.links, 10))
		}
	case "time":
		return set(fmt.Sprintf("%d.%09d", f.sec, f.nsec))
	case "tar_time":
		return set(fmt.Sprintf("%d.%09d", f.sec, 0))
	case "sha256digest":
		if f.digest != "" {
			return set(f.digest.Encoded())
		}
	case "xattr":
		return f.appendXattrs(line)
	}
	return line
}

// appendXattrs writes the xattrs of the kinds of files of which go-mtree looks at them.
func (f *File) appendXattrs(line []byte) []byte {
	if f.kind != unpack.Regular && f.kind != unpack.Directory {
		return line
	}
	for _, x := range f.xattrs {
		line = append(append(append(line, " xattr."...), Vis(x.Name)...), '=')
		line = base64.StdEncoding.AppendEncode(line, []byte(x.Value))
	}
	return line
}

func typeName(k unpack.Kind) string {
	switch k {
	case unpack.Directory:
		return "dir"
	case unpack.Symlink:
		return "link"
	case unpack.CharDevice:
		return "char"
	case unpack.BlockDevice:
		return "block"
	case unpack.FIFO:
		return "fifo"
	case unpack.Socket:
		return "socket"
	}
	return "file"
}
