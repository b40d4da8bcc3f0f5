package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestOrigins(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	ctx := t.Context()
	origin := func(i int) Origin {
		return Origin{fmt.Sprintf("h.io/a%d", i), ispec.Descriptor{
			MediaType: ispec.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint(i)), Size: 7, Data: nil, Annotations: map[string]string{"a": "b"},
		}}
	}
	for i := range 3 {
		for range 2 {
			if err := s.AddOrigin(ctx, origin(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	list := s.Origins(ctx)
	if len(list) != 3 || list[0].Repository != "h.io/a2" || list[0].Descriptor.Annotations != nil {
		t.Errorf("%v", list)
	}
	// What cannot be read helps nobody, and harms nobody.
	name := filepath.Join(s.Root(), originsFile)
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	write(t, name, "nonsense\n{}\n"+`{"repository":"x","descriptor":{"mediaType":"a/b","digest":"sha256:../../x","size":1}}`+"\n"+string(raw)+strings.Repeat("x", 9000))
	if list := s.Origins(ctx); len(list) != 3 {
		t.Errorf("%v", list)
	}
	write(t, name, strings.Repeat("x", maxOriginsSize+1))
	if list := s.Origins(ctx); len(list) != 0 {
		t.Errorf("%v", list)
	}
	var lines strings.Builder
	for i := range maxOrigins {
		fmt.Fprintf(&lines, `{"repository":"h.io/b%d","descriptor":{"mediaType":"a/b","digest":%q,"size":1}}`+"\n", i, digest.FromString(fmt.Sprint("b", i)))
	}
	write(t, name, lines.String())
	if err := s.AddOrigin(ctx, origin(9)); err != nil {
		t.Fatal(err)
	}
	if list := s.Origins(ctx); len(list) != maxOrigins || list[0].Repository != "h.io/a9" || list[maxOrigins-1].Repository != "h.io/b1" {
		t.Errorf("%d, %v", len(list), list[:1])
	}
	mustCheck(t, s)
}

func TestUploads(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	const key = "h.io/a@sha256:0"
	if _, ok := s.TakeUpload(key); ok {
		t.Error("there is something before the first")
	}
	for i := range 3 {
		if err := s.SaveUpload(key, Upload{"https://h.io/x?state=secret", int64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(s.Root(), ingestDir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	mustCheck(t, s)
	var wg sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	for range 8 {
		wg.Go(func() {
			if u, ok := s.TakeUpload(key); ok && u.Offset == 2 {
				mu.Lock()
				taken++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if taken != 1 {
		t.Errorf("taken %d times", taken)
	}
	if err := s.SaveUpload("old", Upload{"https://h.io/x", 1}); err != nil {
		t.Fatal(err)
	}
	if p, err := s.Prune(t.Context(), PruneOptions{PartialAge: time.Hour}); err != nil || len(p.Partial) != 0 {
		t.Errorf("%v, %v", p, err)
	}
	if p, err := s.Prune(t.Context(), PruneOptions{PartialAge: -1}); err != nil || len(p.Partial) != 1 {
		t.Errorf("%v, %v", p, err)
	}
	r := open(t, s.Root(), Options{ReadOnly: true})
	if err := r.SaveUpload(key, Upload{}); err == nil {
		t.Error("saved in a store that is read only")
	}
}
