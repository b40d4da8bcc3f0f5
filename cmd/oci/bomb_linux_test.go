package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/unpack/tartest"
)

// bomb is a layer that is made to cost more than it weighs.
type bomb struct {
	mediaType string
	blob      []byte
	diffID    digest.Digest // "" for one that is never reached
	status    int
	text      string // in the error
}

func bombs() map[string]bomb {
	const gz, zst = ispec.MediaTypeImageLayerGzip, ispec.MediaTypeImageLayerZstd
	zip := func(parts ...[]byte) []byte { return tartest.Gzip(bytes.Join(parts, nil)) }
	special := func(e tartest.Entry, size int64, body []byte) []byte {
		return append(tartest.Header(e, size), body...)
	}
	padded := append(tartest.Archive(tartest.File("f", "x")), make([]byte, 128<<20)...)
	sparse := map[string]string{"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "s", "GNU.sparse.realsize": "99"}
	list := "9000000\n" + strings.Repeat("0\n0\n", 4<<20)
	old := tartest.Header(tartest.Entry{Name: "old", Type: 'S', Magic: "ustar  \x00"}, 512)
	old[482] = 1
	tartest.Checksum(old)
	more := bytes.Repeat(append(bytes.Repeat([]byte("00000000000\x00"), 42), 1, 0, 0, 0, 0, 0, 0, 0), 100_000)
	headers := bytes.Repeat(tartest.Entries(tartest.Entry{Name: "f", PAX: map[string]string{"comment": strings.Repeat("c", 900<<10)}}), 100)
	return map[string]bomb{
		"H-42 PAX header of a GiB":      {gz, zip(special(tartest.Entry{Name: "x", Type: 'x'}, 1<<30, make([]byte, 64<<20))), "", statusMalformed, "header"},
		"H-42 GNU name of a GiB":        {gz, zip(special(tartest.Entry{Name: "L", Type: 'L', Magic: "ustar  \x00"}, 1<<30, bytes.Repeat([]byte("n"), 64<<20))), "", statusMalformed, "header"},
		"H-42 sparse map without end":   {gz, zip(tartest.Entries(tartest.Entry{Name: "x", PAX: sparse, Body: list})), "", statusMalformed, "sparse map"},
		"H-42 old sparse map, likewise": {gz, zip(old, more), "", statusMalformed, "sparse map"},
		"H-42 many large headers":       {gz, zip(headers), digest.FromBytes(headers), statusOK, ""},
		"H-51 padding":                  {gz, zip(padded), digest.FromBytes(padded), statusOK, ""},
		"H-62 gzip name without end":    {gz, append([]byte("\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\x03"), bytes.Repeat([]byte("n"), 64<<20)...), "", statusMalformed, "gzip"},
		"H-63 zeros":                    {gz, zip(tartest.Header(tartest.Entry{Name: "z"}, 400<<20), make([]byte, 400<<20)), "", statusMalformed, "decompression bomb"},
		"H-63 zeros after the end":      {gz, zip(make([]byte, 400<<20)), "", statusMalformed, "decompression bomb"},
		"H-64 window of 512 MiB":        {zst, []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 19 << 3, 1, 0, 0, 0, 0, 0, 0, 0}, "", statusMalformed, "limit is window=128M"},
		"H-65 skippable frames":         {zst, append(bytes.Repeat([]byte("\x50\x2a\x4d\x18\x00\x00\x00\x00"), 4<<20), tartest.Zstd(tartest.Archive())...), digest.FromBytes(tartest.Archive()), statusOK, ""},
		"many directories":              manyDirs(50_000),
	}
}

func manyDirs(n int) bomb {
	var b bytes.Buffer
	for i := range n {
		b.Write(tartest.Header(tartest.Dir(fmt.Sprintf("d%d/%d", i%100, i)), 0))
	}
	b.Write(make([]byte, 1024))
	return bomb{ispec.MediaTypeImageLayerGzip, tartest.Gzip(b.Bytes()), digest.FromBytes(b.Bytes()), statusOK, ""}
}

// TestBombs: each ends as it must, leaves nothing if it fails, and costs the real program less than 64 MiB of
// memory at any moment.
func TestBombs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("unpacks as root")
	}
	for name, b := range bombs() {
		t.Run(name, func(t *testing.T) {
			w := &workplace{home: t.TempDir()}
			layout, target := filepath.Join(w.home, "layout"), filepath.Join(w.home, "target")
			b.write(t, layout)
			if out, err := w.command(t, "copy", "-q", "oci:"+layout, "store:b").CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for _, verb := range []string{"unpack", "run"} {
				args := map[string][]string{"unpack": {"unpack", "b", target}, "run": {"run", "--rm", "b", "/none"}}[verb]
				out, status, kib := peak(t, w.command(t, args...))
				if verb == "run" && b.status == statusOK && status >= statusRunFailed { // there is no program in it
					status = statusOK
				}
				if status != b.status || !strings.Contains(out, b.text) {
					t.Errorf("%s: status %d, want %d: %s", verb, status, b.status, out)
				}
				if kib >= 64<<10 {
					t.Errorf("%s: %d KiB of memory", verb, kib)
				}
				t.Logf("%s: %d KiB: %.300s", verb, kib, out)
			}
			if _, err := os.Lstat(target); (err == nil) != (b.status == statusOK) {
				t.Errorf("the target: %v", err)
			}
			if n := filesBelow(filepath.Join(w.home, "store", "layers", "staging")); n > 0 {
				t.Errorf("%d files are left", n)
			}
		})
	}
}

// peak runs a program and gives its most memory, as the kernel tells it while it runs. What wait(2) gives
// starts with what this process has.
func peak(t *testing.T, cmd *exec.Cmd) (out string, status, kib int) {
	t.Helper()
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	path := fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)
	for {
		select {
		case <-ended:
			return b.String(), cmd.ProcessState.ExitCode(), kib
		case <-time.After(time.Millisecond):
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if _, rest, ok := strings.Cut(string(raw), "\nVmHWM:"); ok {
			var n int
			if _, err := fmt.Sscan(rest, &n); err == nil {
				kib = max(kib, n)
			}
		}
	}
}

// write makes an image layout of one layer.
func (b bomb) write(t *testing.T, dir string) {
	t.Helper()
	put := func(mediaType string, raw []byte) ispec.Descriptor {
		d := ispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
		path := filepath.Join(dir, "blobs", "sha256", d.Digest.Encoded())
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		return d
	}
	encode := func(v any) []byte {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	if b.diffID == "" {
		b.diffID = digest.FromString("never reached")
	}
	config := testConfig()
	config.RootFS.DiffIDs = []digest.Digest{b.diffID}
	m := ispec.Manifest{MediaType: ispec.MediaTypeImageManifest, Config: put(ispec.MediaTypeImageConfig, encode(config)), Layers: []ispec.Descriptor{put(b.mediaType, b.blob)}}
	m.SchemaVersion = 2
	idx := ispec.Index{MediaType: ispec.MediaTypeImageIndex, Manifests: []ispec.Descriptor{put(m.MediaType, encode(m))}}
	idx.SchemaVersion = 2
	for name, raw := range map[string][]byte{"index.json": encode(idx), "oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)} {
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
