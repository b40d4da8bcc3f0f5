package tree_test

import (
	"fmt"
	"strings"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// opBytes is how many bytes make one entry of a stack. Any bytes are a stack, and one with an entry
// less is one too: that is how failures are made small.
const opBytes = 4

// stack is layers, base first, that came from bytes.
type stack [][]tartest.Entry

// Components of paths: few, so that entries meet; one is not UTF-8.
var components = [...]string{"a", "b", "c", "\xffd"}

func pathOf(b byte) string {
	comps := make([]string, 1+int(b>>6)%3)
	for i := range comps {
		comps[i] = components[b>>(2*i)&3]
	}
	return strings.Join(comps, "/")
}

// decodeStack makes layers of bytes.
func decodeStack(raw []byte) stack {
	d := stackDecoder{layers: stack{nil}}
	for ; len(raw) >= opBytes; raw = raw[opBytes:] {
		d.op(raw[0], raw[1], raw[2], raw[3])
	}
	return d.layers
}

type stackDecoder struct {
	layers stack
	files  []string // paths that entries so far gave to files
	n      int
}

func (d *stackDecoder) op(kind, where, what, how byte) {
	path := pathOf(where)
	d.n++
	var e tartest.Entry
	switch kind % 32 {
	case 0, 1, 2, 3, 4:
		e = tartest.File(path, fmt.Sprintf("content %d", d.n))
	case 5, 6, 7, 8:
		e = tartest.Dir(path)
	case 9, 10, 11, 12:
		e = tartest.Symlink(path, linkTarget(what))
	case 13, 14, 15, 16:
		e = tartest.Link(path, d.target(what))
	case 17, 18, 19, 20:
		e = tartest.Whiteout(path)
		e.Type = "001"[what%3]
		e.Link = map[bool]string{true: ".wh..wh.plnk/1"}[e.Type == '1']
	case 21:
		e = tartest.Opaque(path)
	case 22:
		e = tartest.Opaque([]string{"", path, path}[what%3])
	case 23:
		e = tartest.Entry{Name: path, Type: '6'}
	case 24:
		e = tartest.Entry{Name: path, Type: '3', Major: 1, Minor: 3}
	case 25:
		e = tartest.Dir("./")
	case 26:
		e = tartest.File(fmt.Sprintf(".wh..wh.plnk/%d", what%2), "of many names")
	case 27:
		e = tartest.Link(path, fmt.Sprintf(".wh..wh.plnk/%d", what%2))
	case 28:
		e = d.odd(path, what)
	default:
		d.layers = append(d.layers, nil)
		return
	}
	d.attributes(&e, how)
	if role := e.Name[strings.LastIndexByte(e.Name, '/')+1:]; !strings.HasPrefix(role, ".wh.") && e.Type != '5' {
		d.files = append(d.files, path)
	}
	last := len(d.layers) - 1
	d.layers[last] = append(d.layers[last], e)
}

// odd is what is seldom met, and mostly refused.
func (d *stackDecoder) odd(path string, what byte) tartest.Entry {
	switch what % 8 {
	case 0:
		return tartest.File(".wh..wh.aufs", "AUFS's own")
	case 1:
		return tartest.File(path+"/.wh.", "bare")
	case 2:
		return tartest.File(".wh.a/"+path, "in a whiteout")
	case 3:
		return tartest.Entry{Name: path, Type: '3'}
	case 4:
		return tartest.Dir(".wh." + components[what>>3&3])
	case 5:
		return tartest.Link(path, ".wh."+components[what>>3&3])
	case 6:
		return tartest.Dir(".wh..wh.plnk/0")
	}
	return tartest.Link(path, pathOf(what))
}

// target is mostly a file that there was.
func (d *stackDecoder) target(what byte) string {
	if len(d.files) > 0 && what&7 != 7 {
		return d.files[int(what)%len(d.files)]
	}
	return pathOf(what)
}

func linkTarget(what byte) string {
	path := pathOf(what)
	switch what >> 4 & 7 {
	case 0:
		return "/" + path
	case 1:
		return "../" + path
	case 2:
		return ".."
	case 3:
		return "."
	case 4:
		return "./" + path + "/../" + components[what&3] + "/"
	}
	return path
}

// attributes gives an entry some of its own, and a name written in one of many ways.
func (d *stackDecoder) attributes(e *tartest.Entry, how byte) {
	e.Mtime = int64(1000 + d.n)
	if how&1 != 0 {
		e.Mode = []int64{0o4755, 0o2775, 0o1777, -1}[how>>1&3]
		e.UID, e.GID = 1000, 70000
	}
	e.PAX = map[string]string{}
	switch how >> 3 & 7 {
	case 1:
		e.PAX["SCHILY.xattr.user.x"] = fmt.Sprint(d.n)
	case 2:
		e.PAX["SCHILY.xattr.trusted.t"] = "1"
	case 3:
		e.PAX["LIBARCHIVE.xattr.security.capability"] = "AQAAAgAgAAAAAAAAAAAAAAAAAAA"
	case 4:
		e.PAX["mtime"] = "-3.25"
	case 5:
		e.PAX["SCHILY.xattr.trusted.overlay.opaque"] = "y"
	case 6:
		e.PAX["SCHILY.acl.access"] = "user::rw-,user:1000:r--,group::r--,mask::rw-,other::---"
		e.Mode = 0o660 // what the ACL says of it
	case 7:
		e.PAX["SCHILY.acl.default"] = "user::rwx,user:1000:rwx,group::r-x,mask::rwx,other::r-x"
	}
	switch how >> 6 & 3 {
	case 1:
		e.Name = "./" + e.Name
	case 2:
		e.Name = "/" + strings.ReplaceAll(e.Name, "/", "//")
	}
	if e.Type == '5' && how&0x20 != 0 {
		e.Name += "/"
	}
}

// layersOf gives the layers and their blobs.
func (s stack) layersOf() ([]image.Layer, tartest.Blobs) {
	blobs := tartest.Blobs{}
	var layers []image.Layer
	for _, entries := range s {
		layers = append(layers, blobs.Layer(entries...))
	}
	return layers, blobs
}

// String lists the entries, a line each.
func (s stack) String() string {
	var b strings.Builder
	for i, entries := range s {
		fmt.Fprintf(&b, "layer %d\n", i+1)
		for _, e := range entries {
			fmt.Fprintf(&b, "  %c %q", max(e.Type, '0'), e.Name)
			if e.Link != "" {
				fmt.Fprintf(&b, " -> %q", e.Link)
			}
			fmt.Fprintf(&b, " mode %o owner %d:%d mtime %d %v\n", e.Mode, e.UID, e.GID, e.Mtime, e.PAX)
		}
	}
	return b.String()
}

// shrink leaves out entries, and then simplifies them, as long as the stack fails.
func shrink(raw []byte, fails func([]byte) bool) []byte {
	raw = raw[:len(raw)/opBytes*opBytes]
	for again := true; again; {
		again = false
		for i := 0; i < len(raw); i += opBytes {
			less := append(append([]byte{}, raw[:i]...), raw[i+opBytes:]...)
			if fails(less) {
				raw, again = less, true
				i -= opBytes
			}
		}
		for i := range raw {
			if i%opBytes == 0 || raw[i] == 0 {
				continue
			}
			for _, v := range []byte{0, raw[i] & 0x3f, raw[i] & 0x7} {
				less := append([]byte{}, raw...)
				less[i] = v
				if v != raw[i] && fails(less) {
					raw, again = less, true
					break
				}
			}
		}
	}
	return raw
}
