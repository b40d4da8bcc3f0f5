package tartest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
)

// Entry is one member of a tar. The zero values are those of a regular file of mode 0644 by 0:0.
type Entry struct {
	Name  string
	Type  byte   // '0' if zero
	Link  string // target of a link
	Body  string
	Mode  int64 // 0644, or 0755 for a directory, if zero; -1 for mode 0
	UID   int64
	GID   int64
	Mtime int64 // seconds
	Major int64
	Minor int64
	PAX   map[string]string // records of an extended header put before it
	Raw   []byte            // if not nil, these bytes instead of all the above
	Size  int64             // if not zero, what the header claims instead of len(Body)
	Magic string            // "ustar\x0000" if empty
}

// Dir is a directory.
func Dir(name string) Entry { return Entry{Name: name, Type: '5'} }

// File is a regular file.
func File(name, body string) Entry { return Entry{Name: name, Body: body} }

// Symlink is a symbolic link.
func Symlink(name, target string) Entry { return Entry{Name: name, Type: '2', Link: target} }

// Link is a hardlink.
func Link(name, target string) Entry { return Entry{Name: name, Type: '1', Link: target} }

// Whiteout hides name in its directory.
func Whiteout(path string) Entry {
	i := strings.LastIndexByte(path, '/') + 1
	return Entry{Name: path[:i] + ".wh." + path[i:]}
}

// Opaque hides what lower layers have in dir.
func Opaque(dir string) Entry {
	if dir != "" {
		dir += "/"
	}
	return Entry{Name: dir + ".wh..wh..opq"}
}

// Archive gives the entries and the two zero blocks that end an archive.
func Archive(entries ...Entry) []byte {
	return append(Entries(entries...), make([]byte, 1024)...)
}

// Entries gives the entries without an end of archive.
func Entries(entries ...Entry) []byte {
	var b bytes.Buffer
	for _, e := range entries {
		e.write(&b)
	}
	return b.Bytes()
}

func (e Entry) write(b *bytes.Buffer) {
	if e.Raw != nil {
		b.Write(e.Raw)
		return
	}
	pax := map[string]string{}
	for k, v := range e.PAX {
		pax[k] = v
	}
	name, link := e.Name, e.Link
	if len(name) > 100 {
		pax["path"], name = name, name[:100]
	}
	if len(link) > 100 {
		pax["linkpath"], link = link, link[:100]
	}
	if len(pax) > 0 {
		body := Records(pax)
		b.Write(Header(Entry{Name: "PaxHeaders/x", Type: 'x', Mode: 0o644}, int64(len(body))))
		pad(b, body)
	}
	e.Name, e.Link = name, link
	size := int64(len(e.Body))
	if e.Size != 0 {
		size = e.Size
	}
	b.Write(Header(e, size))
	pad(b, []byte(e.Body))
}

// pad writes body and fills its last block.
func pad(b *bytes.Buffer, body []byte) {
	b.Write(body)
	b.Write(make([]byte, -len(body)&511))
}

// Records encodes PAX records, sorted by key.
func Records(pax map[string]string) []byte {
	keys := make([]string, 0, len(pax))
	for k := range pax {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var b bytes.Buffer
	for _, k := range keys {
		b.WriteString(Record(k, pax[k]))
	}
	return b.Bytes()
}

// Record encodes one PAX record.
func Record(k, v string) string {
	n := len(k) + len(v) + 3
	for l := n + len(fmt.Sprint(n)); ; l++ {
		if s := fmt.Sprintf("%d %s=%s\n", l, k, v); len(s) == l {
			return s
		}
	}
}

// Global is a PAX global header.
func Global(pax map[string]string) Entry {
	var b bytes.Buffer
	body := Records(pax)
	b.Write(Header(Entry{Name: "pax_global_header", Type: 'g', Mode: 0o644}, int64(len(body))))
	pad(&b, body)
	return Entry{Raw: b.Bytes()}
}

// GNULong is GNU's way to a long name ('L') or link target ('K') of the entry that follows it.
func GNULong(flag byte, name string) Entry {
	var b bytes.Buffer
	body := append([]byte(name), 0)
	b.Write(Header(Entry{Name: "././@LongLink", Type: flag, Mode: 0o644, Magic: "ustar  \x00"}, int64(len(body))))
	pad(&b, body)
	return Entry{Raw: b.Bytes()}
}

// Header gives a header block with a right checksum.
func Header(e Entry, size int64) []byte {
	h := make([]byte, 512)
	if e.Type == 0 {
		e.Type = '0'
	}
	switch {
	case e.Mode == -1:
		e.Mode = 0
	case e.Mode == 0 && e.Type == '5':
		e.Mode = 0o755
	case e.Mode == 0:
		e.Mode = 0o644
	}
	if e.Magic == "" {
		e.Magic = "ustar\x0000"
	}
	copy(h[0:100], e.Name)
	Number(h[100:108], e.Mode)
	Number(h[108:116], e.UID)
	Number(h[116:124], e.GID)
	Number(h[124:136], size)
	Number(h[136:148], e.Mtime)
	h[156] = e.Type
	copy(h[157:257], e.Link)
	copy(h[257:265], e.Magic)
	Number(h[329:337], e.Major)
	Number(h[337:345], e.Minor)
	Checksum(h)
	return h
}

// Number writes n in octal, or in base 256 if it does not fit or is negative.
func Number(b []byte, n int64) {
	if s := fmt.Sprintf("%0*o", len(b)-1, n); n >= 0 && len(s) < len(b) {
		copy(b, s)
		return
	}
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte(n)
		n >>= 8
	}
	b[0] |= 0x80
}

// Checksum sets the checksum of a header block.
func Checksum(h []byte) {
	copy(h[148:156], "        ")
	sum := 0
	for _, c := range h[:512] {
		sum += int(c)
	}
	copy(h[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

// Gzip compresses in one member.
func Gzip(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

// Zstd compresses in one frame.
func Zstd(b []byte) []byte {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err)
	}
	defer z.Close()
	return z.EncodeAll(b, nil)
}

// Blobs holds layer blobs by digest; it implements unpack.Blobs.
type Blobs map[digest.Digest][]byte

// Open implements unpack.Blobs.
func (b Blobs) Open(_ context.Context, d ispec.Descriptor) (io.ReadCloser, error) {
	raw, ok := b[d.Digest]
	if !ok {
		return nil, errors.New("no such blob")
	}
	return file{bytes.NewReader(raw)}, nil
}

// file is a blob that can be read at any place, as a local file can.
type file struct{ *bytes.Reader }

func (file) Close() error { return nil }

// Add adds a blob and describes it as a layer whose uncompressed form is tar.
func (b Blobs) Add(mediaType string, blob, tar []byte) image.Layer {
	d := digest.FromBytes(blob)
	b[d] = blob
	return image.Layer{
		Descriptor: ispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(blob))},
		DiffID:     digest.FromBytes(tar),
	}
}

// Layer adds an uncompressed layer with these entries.
func (b Blobs) Layer(entries ...Entry) image.Layer {
	return b.Tar(Archive(entries...))
}

// Tar adds an uncompressed layer.
func (b Blobs) Tar(tar []byte) image.Layer { return b.Add(ispec.MediaTypeImageLayer, tar, tar) }

// GzipTar adds a layer compressed with gzip.
func (b Blobs) GzipTar(tar []byte) image.Layer {
	return b.Add(ispec.MediaTypeImageLayerGzip, Gzip(tar), tar)
}

// ZstdTar adds a layer compressed with zstd.
func (b Blobs) ZstdTar(tar []byte) image.Layer {
	return b.Add(ispec.MediaTypeImageLayerZstd, Zstd(tar), tar)
}
