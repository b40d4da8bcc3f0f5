package unpack_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/vbatts/tar-split/tar/asm"
	"github.com/vbatts/tar-split/tar/storage"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// logged is a tar of all that a log has to do with: content on disk and in the log, long and odd names, a
// file of many segments.
func logged() []byte {
	return tartest.Archive(
		tartest.Dir("./"), tartest.File("a\xff\"b", "odd"), tartest.File(strings.Repeat("long/", 40)+"name", "x"),
		tartest.Entry{Name: "big", Body: strings.Repeat("0123456789", 300_000)}, tartest.File("empty", ""),
		tartest.Symlink("s", "target"), tartest.Link("h", "big"), tartest.Whiteout("gone"), tartest.Opaque("d"),
		tartest.Entry{Name: "V", Type: 'V'}, tartest.Entry{Name: "dev", Type: '3', Major: 1, Minor: 3},
		tartest.Entry{Name: "x", PAX: map[string]string{"SCHILY.xattr.user.z": "2", "SCHILY.xattr.user.a": "1", "mtime": "-1.5"}})
}

// entriesOf reads the entries of a blob, and the log that is written with them.
func entriesOf(tb testing.TB, tar []byte) ([]unpack.Entry, []byte) {
	tb.Helper()
	blobs := tartest.Blobs{}
	var list []unpack.Entry
	var log bytes.Buffer
	_, err := unpack.ReadLayer(tb.Context(), blobs.ZstdTar(tar), blobs, unpack.Options{Log: &log}, func(e *unpack.Entry, _ io.Reader) error {
		list = append(list, *e)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return list, log.Bytes()
}

func readLog(tb testing.TB, log []byte) ([]unpack.Entry, error) {
	tb.Helper()
	var list []unpack.Entry
	err := unpack.ReadLog(tb.Context(), bytes.NewReader(log), unpack.Options{}, func(e *unpack.Entry) error {
		list = append(list, *e)
		return nil
	})
	return list, err
}

// TestReadLog reads the same entries from the log as from the blob, from logs of ours and of tar-split's own,
// compressed or not, and written in another way.
func TestReadLog(t *testing.T) {
	tar := logged()
	want, own := entriesOf(t, tar)
	var other bytes.Buffer
	r, done, err := asm.NewInputTarStreamWithDone(bytes.NewReader(tar), storage.NewJSONPacker(&other), storage.NewDiscardFilePutter())
	if err == nil {
		_, err = io.Copy(io.Discard, r)
		err = errors.Join(err, <-done)
	}
	if err != nil {
		t.Fatal(err)
	}
	var spaced bytes.Buffer
	for dec := json.NewDecoder(bytes.NewReader(own)); ; {
		var line map[string]any
		if err := dec.Decode(&line); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		raw, err := json.MarshalIndent(line, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		spaced.Write(raw)
	}
	for name, log := range map[string][]byte{
		"own": own, "gzip": tartest.Gzip(own), "zstd": tartest.Zstd(own), "tar-split": other.Bytes(), "spaced": spaced.Bytes(),
	} {
		got, err := readLog(t, log)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(got) != len(want) {
			t.Errorf("%s: %d entries, want %d", name, len(got), len(want))
			continue
		}
		for i, e := range got {
			if e.Kind != unpack.Regular || e.Size == 0 || name == "tar-split" {
				e.Position = want[i].Position // counts only where there is content, and tar-split begins its segments elsewhere
			}
			if !reflect.DeepEqual(e, want[i]) {
				t.Errorf("%s: %+v, want %+v", name, e, want[i])
			}
		}
	}
}

// TestReadLogDamaged: what is cut short, or is no log, is an error. (A log that is not compressed and ends
// between two entries cannot be told from that of a tar without an end.)
func TestReadLogDamaged(t *testing.T) {
	_, log := entriesOf(t, logged())
	for name, bad := range map[string][]byte{
		"cut in a line":       log[:len(log)/2],
		"another type":        []byte(`{"type":3,"payload":null,"position":0}` + "\n"),
		"negative size":       append(bytes.Clone(log[:bytes.IndexByte(log, '\n')+1]), `{"type":1,"name":"x","size":-1,"payload":"AAAAAAAAAAA=","position":1}`...),
		"endless file":        bytes.Replace(log, []byte(`"size":3000000`), []byte(`"size":9223372036854775807`), 1),
		"no JSON":             []byte("hello"),
		"compressed, and cut": tartest.Gzip(log)[:200],
	} {
		var typed *unpack.Error
		if _, err := readLog(t, bad); !errors.As(err, &typed) || errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
	}
	stop := errors.New("enough")
	err := unpack.ReadLog(t.Context(), bytes.NewReader(log), unpack.Options{}, func(*unpack.Entry) error { return stop })
	if !errors.Is(err, stop) {
		t.Error(err)
	}
	if err := unpack.ReadLog(t.Context(), bytes.NewReader(log), unpack.Options{Limits: unpack.Limits{Entries: 3}}, func(*unpack.Entry) error { return nil }); !errors.Is(err, unpack.ErrLimit) {
		t.Error(err)
	}
	if err := unpack.ReadLog(t.Context(), bytes.NewReader(log), unpack.Options{Limits: unpack.Limits{LogBytes: 2000}}, func(*unpack.Entry) error { return nil }); !errors.Is(err, unpack.ErrLimit) {
		t.Error(err)
	}
}

// FuzzReadLog: whatever a log says, reading ends with entries or a typed error, and there are no more entries than
// the log has headers.
func FuzzReadLog(f *testing.F) {
	_, log := entriesOf(f, tartest.Archive(tartest.Dir("d"), tartest.File("d/f", "text"), tartest.Link("l", "d/f")))
	f.Add(log)
	f.Add(tartest.Gzip(log))
	f.Add(bytes.ReplaceAll(log, []byte(`"size":4`), []byte(`"size":9223372036854775807`)))
	f.Fuzz(func(t *testing.T, log []byte) {
		list, err := readLog(t, log)
		var typed *unpack.Error
		if err != nil && (!errors.As(err, &typed) || errors.Is(err, io.EOF)) {
			t.Fatal(fmt.Sprintf("%T", err), err)
		}
		if len(log) > 0 && log[0] == '{' && len(list) > len(log)/512 {
			t.Fatalf("%d entries of %d bytes", len(list), len(log))
		}
	})
}
