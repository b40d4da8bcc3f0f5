package unpack_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// FuzzRebuild: whatever a log says, rebuilding ends with the tar or a typed error, asks for no more files
// than the log has entries, and writes nothing that is in neither.
func FuzzRebuild(f *testing.F) {
	header := tartest.Header(tartest.Entry{Name: "f"}, 4)
	segment := func(b []byte) string {
		return fmt.Sprintf(`{"type":2,"payload":"%s","position":%%d}`, base64.StdEncoding.EncodeToString(b)) + "\n"
	}
	good := fmt.Sprintf(segment(header), 0) + `{"type":1,"name":"f","size":4,"payload":"AAAAAAAAAAA=","position":1}` + "\n" + fmt.Sprintf(segment(make([]byte, 508+1024)), 2)
	f.Add([]byte(good))
	f.Add([]byte(strings.Replace(good, `"size":4`, `"size":9223372036854775807`, 1)))
	f.Add([]byte(strings.Replace(good, `"name":"f"`, `"name_raw":"Li4vLi4vZXRjL3Bhc3N3ZA=="`, 1)))
	f.Add([]byte(good + good))
	f.Add([]byte(`{"type":9}`))
	f.Add(tartest.Gzip([]byte(good)))
	f.Add(tartest.Zstd([]byte(good)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, log []byte) {
		const content = "text"
		asked := 0
		var out bytes.Buffer
		err := unpack.RebuildTar(bytes.NewReader(log), func(int, string) (io.ReadCloser, error) {
			asked++
			return io.NopCloser(strings.NewReader(content)), nil
		}, &out)
		var typed *unpack.Error
		if err != nil && (!errors.As(err, &typed) || errors.Is(err, io.EOF)) {
			t.Fatalf("%q: %T %v", log, err, err)
		}
		if plain := log; len(plain) > 0 && plain[0] == '{' {
			if out.Len() > len(plain)+asked*len(content) || asked > bytes.Count(plain, []byte("{")) {
				t.Fatalf("%q: %d bytes, %d files", log, out.Len(), asked)
			}
		}
	})
}
