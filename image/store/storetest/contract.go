package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
)

// Store is a place for content that is proved on its way in.
type Store interface {
	Has(ctx context.Context, d ispec.Descriptor) (bool, error)
	Open(ctx context.Context, d ispec.Descriptor) (io.ReadCloser, error)
	ReadBlob(ctx context.Context, d ispec.Descriptor, limit int64) ([]byte, error)
	Ingest(ctx context.Context, d ispec.Descriptor) (Ingest, error)
}

// Ingest is content on its way in.
type Ingest interface {
	io.Writer
	Offset() int64
	Commit(ctx context.Context) error
	Close() error
	Abort() error
}

// Describe gives the descriptor of content with a sha256 digest.
func Describe(content string) ispec.Descriptor {
	return ispec.Descriptor{MediaType: "application/octet-stream", Digest: digest.FromString(content), Size: int64(len(content))}
}

// Run runs the contract. fresh makes an empty store and gives a function that opens it, each time as
// another process would; missing is what a lookup of absent content must match.
func Run(t *testing.T, fresh func(t *testing.T) (open func() Store), missing error) {
	for name, check := range map[string]func(*testing.T, func() Store, error){
		"round trip":           roundTrip,
		"absent":               absent,
		"nothing but proved":   onlyProved,
		"bad descriptors":      badDescriptors,
		"resume":               resume,
		"abort forgets":        abortForgets,
		"ends once":            endsOnce,
		"limits":               limits,
		"same content at once": sameContent,
		"many at once":         manyAtOnce,
		"waiting ends":         waitingEnds,
	} {
		t.Run(name, func(t *testing.T) { check(t, fresh(t), missing) })
	}
}

func put(t *testing.T, s Store, d ispec.Descriptor, content string) error {
	t.Helper()
	in, err := s.Ingest(t.Context(), d)
	if err != nil {
		return err
	}
	defer in.Close()
	if _, err := io.WriteString(in, content[in.Offset():]); err != nil {
		return err
	}
	return in.Commit(t.Context())
}

func has(t *testing.T, s Store, d ispec.Descriptor) bool {
	t.Helper()
	ok, err := s.Has(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func roundTrip(t *testing.T, open func() Store, _ error) {
	wide := Describe("wide")
	wide.Digest = digest.SHA512.FromString("wide")
	for content, d := range map[string]ispec.Descriptor{"": Describe(""), "content": Describe("content"), "wide": wide} {
		if err := put(t, open(), d, content); err != nil {
			t.Fatal(err)
		}
		s := open()
		if !has(t, s, d) {
			t.Errorf("%q is not there", content)
		}
		if got, err := s.ReadBlob(t.Context(), d, 100); err != nil || string(got) != content {
			t.Errorf("%q, %v, want %q", got, err, content)
		}
		r, err := s.Open(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil || string(got) != content {
			t.Errorf("%q, %v, want %q", got, err, content)
		}
		in, err := s.Ingest(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if in.Offset() != d.Size {
			t.Errorf("ingest of what is there starts at %d of %d", in.Offset(), d.Size)
		}
		if err := in.Commit(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func absent(t *testing.T, open func() Store, missing error) {
	s, d := open(), Describe("absent")
	if has(t, s, d) {
		t.Error("what was never put in is there")
	}
	if _, err := s.Open(t.Context(), d); !errors.Is(err, missing) {
		t.Errorf("Open: %v, want %v", err, missing)
	}
	if _, err := s.ReadBlob(t.Context(), d, 100); !errors.Is(err, missing) {
		t.Errorf("ReadBlob: %v, want %v", err, missing)
	}
}

func onlyProved(t *testing.T, open func() Store, missing error) {
	d := Describe("content")
	for content, want := range map[string]error{"c0ntent": image.ErrDigestMismatch, "cont": image.ErrSizeMismatch, "content!": image.ErrSizeMismatch} {
		s := open()
		in, err := s.Ingest(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(in, content[in.Offset():])
		if err == nil {
			err = in.Commit(t.Context())
		} else if in.Commit(t.Context()) == nil {
			t.Errorf("%q: commit after a failed write", content)
		}
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", content, err, want)
		}
		if err := errors.Join(in.Abort(), in.Close()); err != nil {
			t.Error(err)
		}
		if has(t, s, d) {
			t.Errorf("%q got in", content)
		}
		if _, err := s.Open(t.Context(), d); !errors.Is(err, missing) {
			t.Errorf("%q can be opened: %v", content, err)
		}
	}
	if err := put(t, open(), d, "content"); err != nil {
		t.Errorf("the right content after wrong ones: %v", err)
	}
}

func badDescriptors(t *testing.T, open func() Store, _ error) {
	s := open()
	for d, want := range map[digest.Digest]error{
		"": image.ErrNoDigest, "sha256:../../../x": image.ErrDigestInvalid, "sha256:ABC": image.ErrDigestInvalid, "md5:d41d8cd98f00b204e9800998ecf8427e": image.ErrAlgorithm,
	} {
		desc := ispec.Descriptor{Digest: d}
		if _, err := s.Has(t.Context(), desc); !errors.Is(err, want) {
			t.Errorf("Has %q: %v, want %v", d, err, want)
		}
		if _, err := s.Open(t.Context(), desc); !errors.Is(err, want) {
			t.Errorf("Open %q: %v, want %v", d, err, want)
		}
		if _, err := s.Ingest(t.Context(), desc); !errors.Is(err, want) {
			t.Errorf("Ingest %q: %v, want %v", d, err, want)
		}
	}
	d := Describe("x")
	d.Size = -1
	if _, err := s.Ingest(t.Context(), d); !errors.Is(err, image.ErrMalformed) {
		t.Errorf("negative size: %v", err)
	}
}

func resume(t *testing.T, open func() Store, _ error) {
	d := Describe("0123456789")
	in, err := open().Ingest(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "0123"); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	in, err = open().Ingest(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if in.Offset() != 4 {
		t.Fatalf("resumed at %d, want 4", in.Offset())
	}
	if _, err := io.WriteString(in, "456789"); err != nil {
		t.Fatal(err)
	}
	if err := in.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := open().ReadBlob(t.Context(), d, 10); err != nil || string(got) != "0123456789" {
		t.Errorf("%q, %v", got, err)
	}
}

func abortForgets(t *testing.T, open func() Store, _ error) {
	s, d := open(), Describe("content")
	in, err := s.Ingest(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "wrong"); err != nil {
		t.Fatal(err)
	}
	if err := in.Abort(); err != nil {
		t.Fatal(err)
	}
	in, err = s.Ingest(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if in.Offset() != 0 {
		t.Errorf("after an abort it starts at %d", in.Offset())
	}
}

func endsOnce(t *testing.T, open func() Store, _ error) {
	s, d := open(), Describe("content")
	in, err := s.Ingest(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "content"); err != nil {
		t.Fatal(err)
	}
	if err := in.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(in.Close(), in.Close(), in.Abort()); err != nil {
		t.Errorf("close and abort after a commit: %v", err)
	}
	if in.Commit(t.Context()) == nil {
		t.Error("a second commit succeeds")
	}
	if _, err := io.WriteString(in, "x"); err == nil {
		t.Error("a write after the commit succeeds")
	}
	if !has(t, s, d) {
		t.Error("abort after a commit deleted the content")
	}
}

func limits(t *testing.T, open func() Store, _ error) {
	s, d := open(), Describe("content")
	if err := put(t, s, d, "content"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadBlob(t.Context(), d, 6); !errors.Is(err, image.ErrTooLarge) {
		t.Errorf("%v, want ErrTooLarge", err)
	}
	huge := d
	huge.Size = 1 << 30
	if _, err := s.ReadBlob(t.Context(), huge, 8<<20); !errors.Is(err, image.ErrTooLarge) {
		t.Errorf("%v, want ErrTooLarge", err)
	}
	short := d
	short.Size = 3
	if has(t, s, short) {
		t.Error("content of another size is taken for the one described")
	}
	if _, err := s.ReadBlob(t.Context(), short, 10); err == nil {
		t.Error("content of another size is read")
	}
}

// sameContent: several want the same content at once. Each comes to an end, and it is there.
func sameContent(t *testing.T, open func() Store, _ error) {
	content := strings.Repeat("the same ", 10_000)
	d := Describe(content)
	var wg sync.WaitGroup
	for range 8 {
		s := open()
		wg.Go(func() {
			if err := put(t, s, d, content); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got, err := open().ReadBlob(t.Context(), d, d.Size); err != nil || string(got) != content {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func manyAtOnce(t *testing.T, open func() Store, _ error) {
	s := open()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			content := fmt.Sprint("content ", i)
			if err := put(t, s, Describe(content), content); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range 50 {
		if !has(t, open(), Describe(fmt.Sprint("content ", i))) {
			t.Errorf("content %d is not there", i)
		}
	}
}

// waitingEnds: one who waits for content that another is at gives up when its context ends, and
// nothing is lost for the other.
func waitingEnds(t *testing.T, open func() Store, _ error) {
	d := Describe("content")
	in, err := open().Ingest(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	s := open()
	go func() {
		second, err := s.Ingest(ctx, d)
		if err == nil {
			second.Close()
		}
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
	if _, err := io.WriteString(in, "content"); err != nil {
		t.Fatal(err)
	}
	if err := in.Commit(t.Context()); err != nil {
		t.Error(err)
	}
}
