package unpack

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"github.com/vbatts/tar-split/tar/asm"
	"github.com/vbatts/tar-split/tar/storage"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/unpack/internal/isocrc"
)

// segmentBytes is the most raw bytes that one segment of a log holds: padding of any length is
// stored in pieces (CVE-2017-14992).
const segmentBytes = 1 << 20

// splitLog writes the tar-split log of a layer: one JSON line for each run of raw tar bytes
// (headers, padding, trailer) and for each entry, as tar-split's storage.NewJSONPacker does. Unlike
// that one it accepts an entry name twice, since such layers exist and positions tell them apart;
// and it does not go through reflection for each of the 100,000 lines of a large image.
//
// The content of an entry is left to the file on disk if there will be one with exactly these
// bytes. Otherwise (sparse files, skipped entries) the bytes go into segments and the entry gets
// size 0, which asks a reader for no file.
type splitLog struct {
	w     *bufio.Writer
	crc   hash.Hash64
	line  []byte
	pos   int
	limit int64
	left  int64 // raw bytes that may still be stored
	sum   [8]byte
	error error
}

// newSplitLog writes to w, uncompressed; nil gives nil: no log.
func newSplitLog(w io.Writer, limit int64) *splitLog {
	if w == nil {
		return nil
	}
	return &splitLog{w: bufio.NewWriterSize(w, 64<<10), crc: isocrc.New(), limit: limit, left: limit}
}

// segment stores raw bytes of the tar.
func (l *splitLog) segment(b []byte) {
	if len(b) == 0 || l.error != nil {
		return
	}
	if l.left -= int64(len(b)); l.left < 0 {
		l.error = Exceeded("log", l.limit, l.limit-l.left, "the layer has more bytes of headers and padding")
		return
	}
	l.line = append(l.line[:0], `{"type":2,"payload":"`...)
	l.line = base64.StdEncoding.AppendEncode(l.line, b)
	l.line = append(l.line, '"')
	l.end()
}

// file stores an entry whose size bytes were written to the crc; it gives the entry's position.
func (l *splitLog) file(name string, size int64) int {
	pos := l.pos
	l.line = append(l.line[:0], `{"type":1`...)
	l.line = appendName(l.line, name)
	if size == 0 {
		l.line = append(l.line, `,"payload":null`...)
	} else {
		l.line = append(l.line, `,"size":`...)
		l.line = strconv.AppendInt(l.line, size, 10)
		l.line = append(l.line, `,"payload":"`...)
		l.line = base64.StdEncoding.AppendEncode(l.line, l.crc.Sum(l.sum[:0]))
		l.line = append(l.line, '"')
	}
	l.crc.Reset()
	l.end()
	return pos
}

// appendName writes a name as tar-split does: as a string if it is UTF-8, else as base64.
func appendName(line []byte, name string) []byte {
	if name == "" {
		return line
	}
	if !utf8.ValidString(name) {
		line = append(line, `,"name_raw":"`...)
		line = base64.StdEncoding.AppendEncode(line, []byte(name))
		return append(line, '"')
	}
	line = append(line, `,"name":`...)
	for i := range len(name) {
		if c := name[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(name)
			if err != nil {
				quoted = []byte(`""`) // cannot happen: a string always marshals
			}
			return append(line, quoted...)
		}
	}
	line = append(line, '"')
	line = append(line, name...)
	return append(line, '"')
}

func (l *splitLog) end() {
	l.line = append(l.line, `,"position":`...)
	l.line = strconv.AppendInt(l.line, int64(l.pos), 10)
	l.line = append(l.line, "}\n"...)
	l.pos++
	if _, err := l.w.Write(l.line); err != nil && l.error == nil {
		l.error = fmt.Errorf("write the tar-split log: %w", err)
	}
}

// crcReset forgets a sum that will not be asked for.
func (l *splitLog) crcReset(keep bool) {
	if !keep {
		l.crc.Reset()
	}
}

// flush ends the log.
func (l *splitLog) flush() error {
	if err := l.w.Flush(); err != nil && l.error == nil {
		l.error = fmt.Errorf("write the tar-split log: %w", err)
	}
	return l.error
}

// tap is what the tar reader reads from: it sees each byte of the tar once, in order. While it
// records, the bytes go to the log as segments; the payload of a file that lands on disk is read
// with recording off. tar-split's own RawAccounting does not do here: it drops the sparse map of
// a PAX 1.0 sparse file, so that the tar could not be rebuilt.
type tap struct {
	r      io.Reader
	log    *splitLog // nil: nothing is recorded
	record bool
	raw    []byte
	bytes  int64 // read so far
	err    error // the first error of r, io.EOF excepted
}

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.bytes += int64(n)
	if err != nil && err != io.EOF && t.err == nil {
		t.err = err
	}
	if t.log != nil && t.record {
		t.raw = append(t.raw, p[:n]...)
		if len(t.raw) >= segmentBytes {
			t.flush()
		}
	}
	return n, err
}

// flush makes a segment of what was recorded.
func (t *tap) flush() {
	if t.log != nil {
		t.log.segment(t.raw)
		t.raw = t.raw[:0]
	}
}

// A LogWriter compresses a tar-split log with zstd on its way to w. Close ends the log, not w.
type LogWriter struct{ z *zstd.Encoder }

// NewLogWriter gives the writer for [Options.Log]; what it writes, [RebuildTar] reads.
func NewLogWriter(w io.Writer) (*LogWriter, error) {
	z, err := zstd.NewWriter(w,
		zstd.WithEncoderConcurrency(1), // no goroutines
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithWindowSize(512<<10),
		zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, &Error{Op: "open log", Err: err}
	}
	return &LogWriter{z}, nil
}

// Write implements io.Writer.
func (l *LogWriter) Write(p []byte) (int, error) { return l.z.Write(p) }

// Close writes what is left.
func (l *LogWriter) Close() error { return l.z.Close() }

// ContentFunc opens the content of a regular file of a layer: position is that of the entry in the
// tar-split log, name is as the tar has it. It must never open anything but a regular file.
type ContentFunc func(position int, name string) (io.ReadCloser, error)

// RebuildTar writes to w the tar of a layer, byte for byte, from its tar-split log (zstd as
// [LogWriter] writes it, gzip as Docker and containers/storage do, or plain) and its files. The
// log holds CRC-64 sums, which find accidents only: who needs proof compares the digest of what
// was written with the DiffID.
func RebuildTar(log io.Reader, open ContentFunc, w io.Writer) error {
	r, _, err := decompress(log, Limits{}.WithDefaults())
	if err != nil {
		return &Error{Op: "rebuild tar", Err: notEOF(err)}
	}
	defer r.Close()
	u := &logReader{dec: json.NewDecoder(r), open: open}
	if err := asm.WriteOutputTarStream(u, u, w); err != nil {
		return &Error{Op: "rebuild tar", Subject: u.name, Clause: spec.LayerReproducible, Err: notEOF(err)}
	}
	return nil
}

// logReader is tar-split's storage.Unpacker and storage.FileGetter in one: the assembler asks for
// a file only by name, and right after the entry, so the position of that entry is known.
type logReader struct {
	dec  *json.Decoder
	open ContentFunc
	pos  int
	name string
}

// Next implements storage.Unpacker.
func (u *logReader) Next() (*storage.Entry, error) {
	var e storage.Entry
	if err := u.dec.Decode(&e); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("the log is cut short: %w", err)
		}
		return nil, err
	}
	u.pos, u.name = e.Position, e.GetName()
	return &e, nil
}

// Get implements storage.FileGetter. A file may be named as a directory is; to open it so would fail.
func (u *logReader) Get(name string) (io.ReadCloser, error) {
	return u.open(u.pos, strings.TrimRight(name, "/"))
}
