package unpack

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/vbatts/tar-split/archive/tar"
	"github.com/vbatts/tar-split/tar/storage"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// logLine is the most bytes in a line of a log that are read into memory. This package writes
// segments of 1 MiB at most; others have written longer ones.
const logLine = 64 << 20

// ReadLog reads the entries of a layer from its tar-split log (compressed or not, as for
// RebuildTar), and calls each as ReadLayer does. There is no content, and no proof: the log is
// trusted as the files beside it are. Of the options Limits, Logger and Index count.
func ReadLog(ctx context.Context, log io.Reader, o Options, each func(*Entry) error) error {
	return ReadLogContent(ctx, log, o, func(e *Entry, _ io.Reader) error { return each(e) })
}

// ReadLogContent is ReadLog for who wants the content that the log itself has: of regular files whose
// Position is -1, as are those with holes. All others have none here.
func ReadLogContent(ctx context.Context, log io.Reader, o Options, each func(*Entry, io.Reader) error) error {
	o.Limits = o.Limits.WithDefaults()
	r, _, err := decompress(log, o.Limits)
	if err != nil {
		return &Error{Op: "read log", Layer: o.Index, Err: notEOF(err)}
	}
	defer r.Close()
	s := newLogStream(r, &o.Limits)
	tr := tar.NewReader(s)
	warn := newWarnings(&o, o.Index)
	for n := int64(1); ; n++ {
		if err := context.Cause(ctx); err != nil {
			return &Error{Op: "read log", Layer: o.Index, Err: err}
		}
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return s.end(o.Index)
		}
		if err != nil {
			if s.err != nil {
				err = s.err
			}
			return &Error{Op: "read log", Layer: o.Index, Clause: spec.LayerTar, Err: fmt.Errorf("%w: %w", ErrTar, notEOF(err))}
		}
		if n > o.Limits.Entries {
			return overrun(h.Name, spec.Clause{}, "entries", o.Limits.Entries, n, "the layer has more entries")
		}
		e, err := decodeEntry(h, &o.Limits)
		if err != nil {
			return err
		}
		out, err := exportEntry(e, warn, s.filePosition())
		if err == nil && out != nil {
			var content io.Reader = eofReader{}
			if out.Kind == Regular && out.Position < 0 {
				content = tr
			}
			err = each(out, content)
		}
		if err != nil {
			return err
		}
	}
}

// logStream gives the bytes of a tar as far as its log holds them; content that is in files is
// zeros, passed over by Seek without being made.
type logStream struct {
	r     *bufio.Reader
	dec   *json.Decoder // of the rest, once a line was not like ours
	left  int64         // raw bytes that may still come, of limit
	limit int64
	bytes int64  // of content that may still come
	buf   []byte // of the segment
	line  []byte // one that is longer than the buffer of r

	segment []byte // what is left of it
	hole    int64  // what is left of content that is not in the log
	peeked  *logItem
	off     int64
	err     error
}

func newLogStream(r io.Reader, limits *Limits) *logStream {
	return &logStream{r: bufio.NewReaderSize(r, 64<<10), left: limits.LogBytes, limit: limits.LogBytes, bytes: limits.LayerBytes}
}

// logItem is a line of a log.
type logItem struct {
	file     bool
	size     int64 // of a file's content, 0 if there is none or the log has it
	position int
	raw      []byte // of a segment
	sum      []byte // of a file's content
}

// Read implements io.Reader.
func (s *logStream) Read(p []byte) (int, error) {
	if err := s.fill(); err != nil {
		return 0, err
	}
	var n int
	if len(s.segment) > 0 {
		n = copy(p, s.segment)
		s.segment = s.segment[n:]
	} else {
		n = int(min(int64(len(p)), s.hole))
		clear(p[:n])
		s.hole -= int64(n)
	}
	s.off += int64(n)
	return n, nil
}

// Seek passes over bytes: tar.Reader does it with the content that nobody reads.
func (s *logStream) Seek(n int64, whence int) (int64, error) {
	if whence != io.SeekCurrent || n < 0 {
		return 0, errors.ErrUnsupported
	}
	for n > 0 {
		if err := s.fill(); err == io.EOF {
			return s.off, nil // the read that follows meets the end
		} else if err != nil {
			return s.off, err
		}
		var m int64
		if len(s.segment) > 0 {
			m = min(n, int64(len(s.segment)))
			s.segment = s.segment[m:]
		} else {
			m = min(n, s.hole)
			s.hole -= m
		}
		n, s.off = n-m, s.off+m
	}
	return s.off, nil
}

// fill makes sure that there are bytes to give.
func (s *logStream) fill() error {
	for len(s.segment) == 0 && s.hole == 0 {
		if s.err != nil {
			return s.err
		}
		item, err := s.next()
		if err != nil {
			if err != io.EOF && s.err == nil {
				s.err = err
			}
			return err
		}
		s.segment, s.hole = item.raw, item.size
	}
	return nil
}

// filePosition is the position of the entry whose header was just read: its line is the next one.
func (s *logStream) filePosition() int {
	if len(s.segment) > 0 || s.hole > 0 {
		return -1
	}
	item, err := s.next()
	if err != nil {
		if err != io.EOF && s.err == nil {
			s.err = err
		}
		return -1
	}
	s.peeked = item
	if !item.file {
		return -1
	}
	return item.position
}

// end reads what follows the archive: a log that breaks there is broken.
func (s *logStream) end(index int) error {
	if _, err := s.Seek(math.MaxInt64, io.SeekCurrent); err != nil {
		return &Error{Op: "read log", Layer: index, Err: notEOF(err)}
	}
	return nil
}

// next gives the next line.
func (s *logStream) next() (*logItem, error) {
	if s.peeked != nil {
		item := s.peeked
		s.peeked = nil
		return item, nil
	}
	if s.dec != nil {
		return s.decode()
	}
	line, err := s.readLine()
	if err != nil {
		return nil, err
	}
	if item := s.parse(line); item != nil {
		return item, s.account(item)
	}
	s.dec = json.NewDecoder(io.MultiReader(bytes.NewReader(bytes.Clone(line)), s.r))
	return s.decode()
}

// account bounds what comes out of a log.
func (s *logStream) account(item *logItem) error {
	if s.left -= int64(len(item.raw)); s.left < 0 {
		return Exceeded("log", s.limit, s.limit-s.left, "headers and padding of the layer")
	}
	if item.size < 0 {
		return errors.New("a file has a negative size")
	}
	if s.bytes -= item.size; s.bytes < 0 {
		return fmt.Errorf("%w: files of more bytes than a layer may have", ErrLimit)
	}
	return nil
}

// readLine gives a line without its end, valid until the next call.
func (s *logStream) readLine() ([]byte, error) {
	line, err := s.r.ReadSlice('\n')
	s.line = s.line[:0]
	for err == bufio.ErrBufferFull {
		if s.line = append(s.line, line...); len(s.line) > logLine {
			return nil, fmt.Errorf("%w: a line of the log is longer than %d bytes", ErrLimit, logLine)
		}
		line, err = s.r.ReadSlice('\n')
	}
	if len(s.line) > 0 {
		s.line = append(s.line, line...)
		line = s.line
	}
	if err == io.EOF && len(line) > 0 {
		err = nil
	}
	return bytes.TrimSuffix(line, []byte("\n")), err
}

// parse reads a line as splitLog and tar-split itself write it, without reflection: a large image
// has 100,000. It gives nil for anything else. In a JSON string each quote has a backslash before it, so that
// what is looked for here is not in a name.
func (s *logStream) parse(line []byte) *logItem {
	at := bytes.LastIndex(line, []byte(`,"position":`))
	if at < 0 || line[len(line)-1] != '}' {
		return nil
	}
	position, err := strconv.Atoi(string(line[at+len(`,"position":`) : len(line)-1]))
	if err != nil {
		return nil
	}
	if raw, ok := bytes.CutPrefix(line[:at], []byte(`{"type":2,"payload":"`)); ok {
		raw, ok = bytes.CutSuffix(raw, []byte(`"`))
		if s.buf, err = base64.StdEncoding.AppendDecode(s.buf[:0], raw); !ok || err != nil {
			return nil
		}
		return &logItem{raw: s.buf, position: position}
	}
	if !bytes.HasPrefix(line, []byte(`{"type":1`)) {
		return nil
	}
	item := &logItem{file: true, position: position}
	if _, size, ok := bytes.Cut(line[:at], []byte(`,"size":`)); ok {
		digits, _, _ := bytes.Cut(size, []byte(","))
		if item.size, err = strconv.ParseInt(string(digits), 10, 64); err != nil {
			return nil
		}
	}
	if _, sum, ok := bytes.Cut(line[:at], []byte(`,"payload":"`)); ok {
		encoded, _, _ := bytes.Cut(sum, []byte(`"`))
		if item.sum, err = base64.StdEncoding.DecodeString(string(encoded)); err != nil {
			return nil
		}
	}
	return item
}

// decode reads an item however it is written.
func (s *logStream) decode() (*logItem, error) {
	var e storage.Entry
	if err := s.dec.Decode(&e); err != nil {
		return nil, err
	}
	var item *logItem
	switch e.Type {
	case storage.SegmentType:
		item = &logItem{raw: e.Payload, position: e.Position}
	case storage.FileType:
		item = &logItem{file: true, size: e.Size, position: e.Position, sum: e.Payload}
	default:
		return nil, fmt.Errorf("a line of type %d", e.Type)
	}
	return item, s.account(item)
}
