package transport

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
)

// saved is what docker save would write for two images that share a layer.
type saved struct {
	base, top        []byte
	config, other    string
	manifest         []archiveImage
	baseID, configID digest.Digest
}

func newSaved(t *testing.T) saved {
	t.Helper()
	var s saved
	s.base, s.top = makeTar(t, member{name: "base", content: "b"}), makeTar(t, member{name: "top", content: "t"})
	s.baseID = digest.FromBytes(s.base)
	s.config = fmt.Sprintf(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[%q,%q]}}`, s.baseID, digest.FromBytes(s.top))
	s.other = fmt.Sprintf(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[%q]}}`, s.baseID)
	s.configID = digest.FromString(s.config)
	s.manifest = []archiveImage{
		{Config: "c.json", RepoTags: []string{"busybox:1", "busybox:latest"}, Layers: []string{"b/layer.tar", "t/layer.tar"}},
		{Config: "d.json", RepoTags: []string{"example.org/other:2"}, Layers: []string{"x/layer.tar"}},
	}
	return s
}

// file writes the archive. extra members come last.
func (s saved) file(t *testing.T, extra ...member) string {
	t.Helper()
	raw, err := json.Marshal(s.manifest)
	if err != nil {
		t.Fatal(err)
	}
	members := append([]member{
		{name: "b/", kind: tar.TypeDir},
		{name: "b/layer.tar", content: string(s.base)},
		{name: "t/layer.tar", content: string(s.top)},
		{name: "x/layer.tar", kind: tar.TypeSymlink, link: "../b/layer.tar"},
		{name: "c.json", content: s.config},
		{name: "d.json", content: s.other},
		{name: "manifest.json", content: string(raw)},
	}, extra...)
	return writeFile(t, makeTar(t, members...))
}

func TestDockerArchive(t *testing.T) {
	file := newSaved(t).file(t)
	want := newSaved(t).configID
	var first digest.Digest
	for _, tag := range []string{":busybox", ":busybox:1", ":docker.io/library/busybox:latest", ":@0"} {
		s := newStore(t)
		c := mustCopy(t, s, "docker-archive:"+file+tag, CopyOptions{Platform: amd64})
		if c.Image.ID() != want || len(c.Image.Layers()) != 2 || c.Image.Layers()[0].Descriptor.Digest != c.Image.Layers()[0].DiffID {
			t.Errorf("%s: %s, %v", tag, c.Image.ID(), c.Image.Layers())
		}
		if first == "" {
			first = c.Resolved.Root.Digest
		}
		if c.Resolved.Root.Digest != first {
			t.Errorf("%s: the manifest is %s and was %s", tag, c.Resolved.Root.Digest, first)
		}
	}
	if c := mustCopy(t, newStore(t), "docker-archive:"+file+":example.org/other:2", CopyOptions{Platform: amd64}); len(c.Image.Layers()) != 1 {
		t.Errorf("a layer that is a link: %v", c.Image.Layers())
	}
	for tag, want := range map[string]error{"": ErrAmbiguous, ":nope": ErrNotFound, ":@2": ErrNotFound} {
		if _, err := copyIn(t, newStore(t), "docker-archive:"+file+tag, CopyOptions{}); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", tag, err, want)
		}
	}
	src, err := Open(t.Context(), mustParse(t, "docker-archive:"+file))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	list, err := src.List(t.Context())
	if err != nil || len(list) != 3 || list[0].Name != "docker.io/library/busybox:1" || list[2].Name != "example.org/other:2" || list[0].Descriptor.Digest != first {
		t.Errorf("%v, %v", list, err)
	}
}

// Layers that docker save left compressed (containerd image store) keep their blobs' digests.
func TestDockerArchive_compressed_layers(t *testing.T) {
	s := newSaved(t)
	gz, z := pack(t, ispec.MediaTypeImageLayerGzip, s.base), pack(t, ispec.MediaTypeImageLayerZstd, s.top)
	s.base, s.top = gz, z
	c := mustCopy(t, newStore(t), "docker-archive:"+s.file(t)+":busybox", CopyOptions{Platform: amd64})
	l := c.Image.Layers()
	if l[0].Descriptor.Digest != digest.FromBytes(gz) || l[0].DiffID != s.baseID || l[0].Descriptor.MediaType != ispec.MediaTypeImageLayerGzip || l[1].Descriptor.MediaType != ispec.MediaTypeImageLayerZstd {
		t.Errorf("%v", l)
	}
}

func TestBadInput_docker_archive(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, s *saved) []member
		want   error
	}{
		"IS_C2_wrong_DiffID": {func(_ *testing.T, s *saved) []member { s.base[600] ^= 1; return nil }, image.ErrDigestMismatch},
		"H71_layer_count": {func(_ *testing.T, s *saved) []member {
			s.manifest[0].Layers = s.manifest[0].Layers[:1]
			return nil
		}, image.ErrMalformed},
		"config_outside": {func(_ *testing.T, s *saved) []member {
			s.manifest[0].Config = "../../etc/passwd"
			return nil
		}, image.ErrMalformed},
		"layer_outside": {func(_ *testing.T, s *saved) []member {
			s.manifest[0].Layers[0] = "/etc/passwd"
			return nil
		}, image.ErrMalformed},
		"config_absent": {func(_ *testing.T, s *saved) []member { s.manifest[0].Config = "z.json"; return nil }, os.ErrNotExist},
		"link_circle": {func(_ *testing.T, s *saved) []member {
			s.manifest[0].Config = "l1"
			return []member{{name: "l1", kind: tar.TypeSymlink, link: "l2"}, {name: "l2", kind: tar.TypeSymlink, link: "l1"}}
		}, os.ErrNotExist},
		"link_outside": {func(_ *testing.T, s *saved) []member {
			s.manifest[0].Config = "l1"
			return []member{{name: "l1", kind: tar.TypeSymlink, link: "../../../../etc/passwd"}}
		}, os.ErrNotExist},
		"absolute_link": {func(_ *testing.T, s *saved) []member {
			s.manifest[0].Config = "l1"
			return []member{{name: "l1", kind: tar.TypeSymlink, link: "/etc/passwd"}}
		}, os.ErrNotExist},
		"device": {func(_ *testing.T, s *saved) []member {
			s.manifest[0].Config = "dev"
			return []member{{name: "dev", kind: tar.TypeChar}}
		}, os.ErrNotExist},
		"H76_config": {func(_ *testing.T, s *saved) []member {
			s.config += strings.Repeat(" ", image.MaxConfigSize)
			return nil
		}, image.ErrTooLarge},
		"manifest_json": {func(_ *testing.T, _ *saved) []member {
			return []member{{name: "manifest.json", content: `{"Config":`}}
		}, image.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			saved := newSaved(t)
			members := c.change(t, &saved)
			s := newStore(t)
			if _, err := copyIn(t, s, "docker-archive:"+saved.file(t, members...)+":@0", CopyOptions{Platform: amd64}); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			mustBeValid(t, s)
		})
	}
}

// The names in an archive are keys and no paths: nothing is written whatever they are.
func TestArchive_hostile_names(t *testing.T) {
	l, _, _, _ := multi(t)
	good, err := os.ReadFile(tarDir(t, l.dir))
	if err != nil {
		t.Fatal(err)
	}
	evil := makeTar(t,
		member{name: "../../evil", content: "x"}, member{name: "/etc/evil", content: "x"}, member{name: "a/../../evil", content: "x"},
		member{name: ".", kind: tar.TypeSymlink, link: "/"}, member{name: "blobs", kind: tar.TypeSymlink, link: "/etc"}, member{name: "index.json/x", content: "x"},
		member{name: strings.Repeat("n/", 2000) + "x", content: "x"}, member{name: "nul", kind: tar.TypeFifo})
	file := writeFile(t, append(evil[:len(evil)-1024], good...))
	before := tree(t, filepath.Dir(file))
	mustCopy(t, newStore(t), "oci-archive:"+file+":amd", CopyOptions{})
	if after := tree(t, filepath.Dir(file)); len(after) != len(before) {
		t.Errorf("files were made: %d, before %d", len(after), len(before))
	}
}

func TestBadInput_archive(t *testing.T) {
	l, _, _, _ := multi(t)
	good, err := os.ReadFile(tarDir(t, l.dir))
	if err != nil {
		t.Fatal(err)
	}
	many := bytes.Repeat(makeTar(t, member{name: "x"})[:512], maxEntries+1)
	sparse := bytes.Clone(makeTar(t, member{name: "index.json", content: "{}"}))
	for name, c := range map[string]struct {
		raw  []byte
		want error
	}{
		"empty":     {nil, image.ErrMalformed},
		"no_tar":    {bytes.Repeat([]byte("x"), 2048), image.ErrMalformed},
		"cut":       {good[:len(good)/2], nil},
		"many":      {many, image.ErrMalformed},
		"no_layout": {sparse, ErrNotLayout},
		"bzip2":     {[]byte("BZh91AY&SY"), ErrCompressed},
		"xz":        {[]byte("\xfd7zXZ\x00\x00"), ErrCompressed},
		"gzip_cut":  {pack(t, ispec.MediaTypeImageLayerGzip, good)[:500], image.ErrMalformed},
		"gzip_head": {[]byte(gzipMagic), image.ErrMalformed},
		"zstd_cut":  {pack(t, ispec.MediaTypeImageLayerZstd, good)[:500], image.ErrMalformed},
	} {
		s := newStore(t)
		_, err := copyIn(t, s, "oci-archive:"+writeFile(t, c.raw)+":amd", CopyOptions{})
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		mustBeValid(t, s)
	}
}

// docker save | gzip is how archives are passed on.
func TestArchive_compressed(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	raw, err := os.ReadFile(newSaved(t).file(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, mt := range []string{ispec.MediaTypeImageLayerGzip, ispec.MediaTypeImageLayerZstd} {
		c := mustCopy(t, newStore(t), "docker-archive:"+writeFile(t, pack(t, mt, raw))+":busybox", CopyOptions{Platform: amd64})
		if c.Image.ID() != newSaved(t).configID {
			t.Errorf("%s: %s", mt, c.Image.ID())
		}
	}
	if list, err := os.ReadDir(tmp); err != nil || len(list) != 0 {
		t.Errorf("left behind: %v, %v", list, err)
	}
}

// H-63: what inflates out of all proportion is given up.
func TestH63_archive_bomb(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var buf bytes.Buffer
	w, err := zstd.NewWriter(&buf, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 8<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(writeFile(t, buf.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := spool(t.Context(), f, image.Zstd, 1<<20); !errors.Is(err, image.ErrTooLarge) {
		t.Errorf("%d bytes: %v, want ErrTooLarge", buf.Len(), err)
	}
}

// FuzzArchive: whatever an archive is, opening and listing it ends with an answer and touches no
// other file.
func FuzzArchive(f *testing.F) {
	f.Add(makeTar(f, member{name: "oci-layout", content: `{"imageLayoutVersion":"1.0.0"}`}, member{name: "index.json", content: `{"schemaVersion":2,"manifests":[]}`}))
	f.Add(makeTar(f, member{name: "manifest.json", content: `[{"Config":"c","Layers":["l"]}]`}, member{name: "c", content: `{}`}, member{name: "l", kind: tar.TypeSymlink, link: "c"}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		file := writeFile(t, raw)
		for _, kind := range []string{"oci-archive:", "docker-archive:"} {
			src, err := Open(t.Context(), mustParse(t, kind+file))
			if err != nil {
				continue
			}
			list, err := src.List(t.Context())
			if err == nil {
				for _, n := range list {
					if err := image.ValidateDescriptor(n.Descriptor); err != nil {
						t.Fatal(err)
					}
				}
			}
			src.Close()
		}
		if list, err := os.ReadDir(filepath.Dir(file)); err != nil || len(list) != 1 {
			t.Fatalf("%v, %v", list, err)
		}
	})
}
