package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
)

func TestTag(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	ctx := t.Context()
	one, two := putImage(t, s, "one", linuxAMD64), putImage(t, s, "two", linuxAMD64)
	const name = "docker.io/library/x:latest"
	for _, d := range []ispec.Descriptor{one, two, one} {
		if err := s.Tag(ctx, name, d); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Resolve(ctx, name); err != nil || got.Digest != d.Digest || got.Annotations != nil {
			t.Errorf("%v, %v", got, err)
		}
	}
	if err := s.Tag(ctx, "b", two); err != nil {
		t.Fatal(err)
	}
	list, err := s.Tags(ctx)
	if err != nil || len(list) != 2 || list[0].Name != "b" || list[1].Name != name {
		t.Errorf("%v, %v", list, err)
	}
	absent := one
	absent.Digest = digest.FromString("absent")
	for _, c := range []struct {
		name string
		d    ispec.Descriptor
		want error
	}{
		{"x", absent, ErrNotFound},
		{"", one, ErrName},
		{"a b", one, ErrName},
		{"a\x1b[2J", one, ErrName},
		{strings.Repeat("x", 2000), one, ErrName},
		{"x", ispec.Descriptor{MediaType: ispec.MediaTypeImageLayer, Digest: one.Digest, Size: one.Size}, image.ErrMediaType},
		{"x", ispec.Descriptor{MediaType: one.MediaType}, image.ErrNoDigest},
	} {
		if err := s.Tag(ctx, c.name, c.d); !errors.Is(err, c.want) {
			t.Errorf("tag %.20q: %v, want %v", c.name, err, c.want)
		}
	}
	if err := s.Untag(ctx, name); err != nil {
		t.Error(err)
	}
	if err := s.Untag(ctx, name); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
	if _, err := s.Resolve(ctx, name); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
	mustCheck(t, s)
}

// Members of index.json that another tool wrote, and that are unknown here, survive an edit.
func TestTag_IS_X1_keeps_what_others_wrote(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	d := putImage(t, s, "x", linuxAMD64)
	const theirs = `{"schemaVersion":2,"x-new":{"a":1},"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"%s","size":%d,"x-more":[1,2],"annotations":{"org.opencontainers.image.ref.name":"theirs"}}]}`
	write(t, filepath.Join(s.Root(), "index.json"), fmt.Sprintf(theirs, d.Digest, d.Size))
	if err := s.Tag(t.Context(), "ours", d); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(s.Root(), "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"x-new":{"a":1}`, `"x-more":[1,2]`, `"ours"`, `"theirs"`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("no %s in %s", want, raw)
		}
	}
}

func TestResolve_IS_L4_ambiguous(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	one, two := putImage(t, s, "one", linuxAMD64), putImage(t, s, "two", linuxAMD64)
	const entry = `{"mediaType":%q,"digest":%q,"size":%d,"annotations":{"org.opencontainers.image.ref.name":"x"}}`
	e := func(d ispec.Descriptor) string { return fmt.Sprintf(entry, d.MediaType, d.Digest, d.Size) }
	index := filepath.Join(s.Root(), "index.json")
	write(t, index, `{"schemaVersion":2,"manifests":[`+e(one)+","+e(one)+`]}`)
	if d, err := s.Resolve(t.Context(), "x"); err != nil || d.Digest != one.Digest {
		t.Errorf("the same twice: %v, %v", d, err)
	}
	write(t, index, `{"schemaVersion":2,"manifests":[`+e(one)+","+e(two)+`]}`)
	if d, err := s.Resolve(t.Context(), "x"); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("%v, %v, want ErrAmbiguous", d, err)
	}
	for _, bad := range []string{"", "{}", `{"schemaVersion":2,"manifests":[` + strings.Replace(e(one), "sha256:", "sha256:../", 1) + `]}`, strings.Repeat(" ", image.MaxManifestSize) + "{}"} {
		write(t, index, bad)
		if _, err := s.Resolve(t.Context(), "x"); err == nil {
			t.Errorf("index.json %.40q is accepted", bad)
		}
	}
}

// Many processes name images at once: no name is lost.
func TestTag_concurrent(t *testing.T) {
	dir := t.TempDir()
	d := putImage(t, open(t, dir, Options{}), "x", linuxAMD64)
	var wg sync.WaitGroup
	for i := range 20 {
		s := open(t, dir, Options{})
		wg.Go(func() {
			if err := s.Tag(t.Context(), fmt.Sprint("name", i), d); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if list, err := open(t, dir, Options{}).Tags(t.Context()); err != nil || len(list) != 20 {
		t.Errorf("%d names, %v", len(list), err)
	}
}

// An image without a name is kept until it is dropped, whatever names it has besides.
func TestKeep(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	ctx := t.Context()
	d := putImage(t, s, "one", linuxAMD64)
	for range 2 {
		if err := s.Keep(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Tag(ctx, "x", d); err != nil {
		t.Fatal(err)
	}
	list, err := s.Tags(ctx)
	if err != nil || len(list) != 2 || list[0].Name != "" || list[0].Descriptor.Digest != d.Digest {
		t.Fatalf("%v, %v", list, err)
	}
	if err := s.Untag(ctx, "x"); err != nil {
		t.Fatal(err)
	}
	if p, err := s.Prune(ctx, PruneOptions{}); err != nil || len(p.Blobs) != 0 {
		t.Errorf("pruned %v, %v", p.Blobs, err)
	}
	mustCheck(t, s)
	if err := s.Drop(ctx, d.Digest); err != nil {
		t.Fatal(err)
	}
	if err := s.Drop(ctx, d.Digest); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
	if p, err := s.Prune(ctx, PruneOptions{}); err != nil || len(p.Blobs) == 0 {
		t.Errorf("pruned %v, %v", p.Blobs, err)
	}
	if err := s.Keep(ctx, d); !errors.Is(err, ErrNotFound) {
		t.Errorf("kept what is absent: %v", err)
	}
	d.MediaType = ispec.MediaTypeImageLayer
	if err := s.Keep(ctx, d); !errors.Is(err, image.ErrMediaType) {
		t.Errorf("kept a layer: %v", err)
	}
}
