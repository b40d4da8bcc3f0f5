package image

import (
	"bytes"
	"crypto/sha512"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestVerifier_H70(t *testing.T) {
	const content = "the content of a blob"
	good := describe("a/b", content)
	wide := good
	wide.Digest = digest.SHA512.FromString(content)
	for name, c := range map[string]struct {
		body string
		d    ispec.Descriptor
		want error
	}{
		"good":         {content, good, nil},
		"sha512":       {content, wide, nil},
		"flipped byte": {strings.Replace(content, "b", "c", 1), good, ErrDigestMismatch},
		"short":        {content[:5], good, ErrSizeMismatch},
		"empty":        {"", good, ErrSizeMismatch},
		"long":         {content + "!", good, ErrSizeMismatch},
	} {
		for shape, wrap := range map[string]func(io.Reader) io.Reader{
			"plain": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "eof with data": iotest.DataErrReader,
		} {
			v, err := NewVerifier(wrap(strings.NewReader(c.body)), c.d)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(v)
			if !errors.Is(err, c.want) || err != nil && c.want == nil {
				t.Errorf("%s, %s: %v, want %v", name, shape, err, c.want)
			}
			if errors.Is(err, io.EOF) || len(got) > len(content) {
				t.Errorf("%s, %s: %d bytes and %v", name, shape, len(got), err)
			}
			if err := v.Verify(); !errors.Is(err, c.want) || err != nil && c.want == nil {
				t.Errorf("%s, %s: Verify: %v, want %v", name, shape, err, c.want)
			}
		}
	}
}

func TestIS_D2_absent_digest_is_no_pass(t *testing.T) {
	for d, want := range map[digest.Digest]error{
		"": ErrNoDigest, "sha256": ErrDigestInvalid, "sha256:": ErrDigestInvalid, ":x": ErrDigestInvalid, "sha256:zz": ErrDigestInvalid,
		"sha256:../../x": ErrDigestInvalid, "md5:d41d8cd98f00b204e9800998ecf8427e": ErrAlgorithm, "sha256+b64:x": ErrAlgorithm, "SHA256:x": ErrDigestInvalid,
	} {
		if _, err := NewVerifier(strings.NewReader(""), ispec.Descriptor{Digest: d}); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", d, err, want)
		}
	}
	if _, err := NewVerifier(strings.NewReader(""), ispec.Descriptor{Digest: emptyDigest, Size: -1}); !errors.Is(err, ErrMalformed) {
		t.Errorf("negative size: %v", err)
	}
}

// A body that never ends, and one that never says anything, are both given up.
func TestVerifier_endless(t *testing.T) {
	d := describe("a/b", "abc")
	read := 0
	v, err := NewVerifier(readerFunc(func(p []byte) (int, error) {
		read += len(p)
		return len(p), nil
	}), d)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Verify(); !errors.Is(err, ErrSizeMismatch) || read != 4 {
		t.Errorf("endless body: %v after %d bytes", err, read)
	}
	v, err = NewVerifier(readerFunc(func([]byte) (int, error) { return 0, nil }), describe("a/b", ""))
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Verify(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("silent body: %v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestReadAll_limit_before_reading(t *testing.T) {
	d := describe("a/b", "x")
	d.Size = 1 << 30
	r := readerFunc(func([]byte) (int, error) {
		t.Error("something was read")
		return 0, io.ErrUnexpectedEOF
	})
	if _, err := ReadAll(r, d, MaxConfigSize); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v, want ErrTooLarge", err)
	}
	if got, err := ReadAll(strings.NewReader("x"), describe("a/b", "x"), 1); err != nil || string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
	broken := errors.New("broken")
	if _, err := ReadAll(iotest.ErrReader(broken), describe("a/b", "x"), 1); !errors.Is(err, broken) {
		t.Errorf("%v, want the reader's error", err)
	}
}

func TestIS_C2_ChainIDs(t *testing.T) {
	a, b, c := digest.FromString("a"), digest.FromString("b"), digest.FromString("c")
	got := ChainIDs([]digest.Digest{a, b, c})
	ab := digest.FromString(a.String() + " " + b.String())
	abc := digest.FromString(ab.String() + " " + c.String())
	if len(got) != 3 || got[0] != a || got[1] != ab || got[2] != abc {
		t.Errorf("%v", got)
	}
	if len(ChainIDs(nil)) != 0 {
		t.Error("no layers have no chain")
	}
}

func TestNewHash_sizes(t *testing.T) {
	h, err := NewHash(digest.SHA512.FromString("x"))
	if err != nil || h.Size() != sha512.Size {
		t.Errorf("%v", err)
	}
	if err := VerifyBytes([]byte("x"), digest.SHA512.FromString("x"), 1); err != nil {
		t.Error(err)
	}
	if err := VerifyBytes([]byte("y"), digest.SHA512.FromString("x"), 1); !errors.Is(err, ErrDigestMismatch) {
		t.Error(err)
	}
}

func TestIS_M4_layer_types(t *testing.T) {
	for mt, want := range map[string]Compression{
		ispec.MediaTypeImageLayer: Uncompressed, ispec.MediaTypeImageLayerGzip: Gzip, ispec.MediaTypeImageLayerZstd: Zstd,
		"application/vnd.oci.image.layer.nondistributable.v1.tar": Uncompressed, "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip": Gzip,
		DockerLayer: Uncompressed, DockerLayerGzip: Gzip, DockerLayerZstd: Zstd, DockerForeignGzip: Gzip,
	} {
		if got, err := LayerCompression(mt); got != want || err != nil {
			t.Errorf("%s: %q, %v", mt, got, err)
		}
	}
	if IsForeign(DockerLayerGzip) || !IsForeign(DockerForeignGzip) {
		t.Error("IsForeign")
	}
}

func TestError_text(t *testing.T) {
	err := ValidateDigest("sha256:x")
	if got := err.Error(); !strings.HasPrefix(got, "check digest ") || !strings.HasSuffix(got, "]") || strings.ContainsAny(got, "\n\x1b") {
		t.Error(got)
	}
	if got := ValidateDigest(digest.Digest(bytes.Repeat([]byte("\x1b"), 9999))).Error(); len(got) > 1200 || strings.Contains(got, "\x1b") {
		t.Errorf("hostile digest gives a text of %d bytes", len(got))
	}
}
