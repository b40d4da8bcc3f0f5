package transport

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/image"
)

// readable opens everything that a place says it has, and proves that what it gives is what it said.
func readable(t *testing.T, ref string) {
	t.Helper()
	src, err := Open(t.Context(), mustParse(t, ref))
	if err != nil {
		return
	}
	defer src.Close()
	list, err := src.List(t.Context())
	if err != nil {
		return
	}
	if d, err := src.Resolve(t.Context()); err == nil {
		list = append(list, Named{Descriptor: d})
	}
	for _, n := range list {
		if err := image.ValidateDescriptor(n.Descriptor); err != nil {
			t.Fatalf("%q: %v", n.Name, err)
		}
		r, err := src.Open(t.Context(), n.Descriptor)
		if err != nil || n.Descriptor.Size > 1<<20 {
			continue
		}
		if v, err := image.NewVerifier(r, n.Descriptor); err == nil {
			_, _ = io.Copy(io.Discard, v)
		}
		_ = r.Close()
	}
}

// FuzzDirectory: whatever a directory of skopeo's has for version and manifest, reading it opens nothing
// beside it and gives descriptors that are some.
func FuzzDirectory(f *testing.F) {
	const manifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}`
	f.Add("Directory Transport Version: 1.1\n", manifest)
	f.Add("Directory Transport Version: 1.1", `{"schemaVersion":1}`)
	f.Add("", `{"schemaVersion":2,"manifests":[],"layers":[]}`)
	f.Add("\x00", `{"config":{"digest":"sha256:../../../etc/passwd"}}`)
	f.Fuzz(func(t *testing.T, version, manifest string) {
		dir := t.TempDir()
		for name, text := range map[string]string{"version": version, "manifest.json": manifest, "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a": "{}"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		readable(t, "dir:"+dir)
		if list, err := os.ReadDir(dir); err != nil || len(list) != 3 {
			t.Fatalf("%v, %v", list, err)
		}
	})
}

// FuzzLayout: the same of a layout: its marker, its index and one blob.
func FuzzLayout(f *testing.F) {
	f.Add(`{"imageLayoutVersion":"1.0.0"}`, `{"schemaVersion":2,"manifests":[]}`, "{}")
	f.Add(`{"imageLayoutVersion":"2.0.0"}`, `{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"DIGEST","size":2,"annotations":{"org.opencontainers.image.ref.name":"../x"}}]}`, "{}")
	f.Add(`{}`, `{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"sha256:../../index.json","size":1}]}`, "x")
	f.Fuzz(func(t *testing.T, marker, index, blob string) {
		dir := t.TempDir()
		d := digest.FromString(blob)
		if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o700); err != nil {
			t.Fatal(err)
		}
		for i := 0; i+len("DIGEST") <= len(index); i++ { // a corpus cannot know the digest of a blob that changes
			if index[i:i+len("DIGEST")] == "DIGEST" {
				index = index[:i] + d.String() + index[i+len("DIGEST"):]
			}
		}
		for name, text := range map[string]string{"oci-layout": marker, "index.json": index, "blobs/sha256/" + d.Encoded(): blob} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		readable(t, "oci:"+dir)
		if list, err := os.ReadDir(dir); err != nil || len(list) != 3 {
			t.Fatalf("%v, %v", list, err)
		}
	})
}

// FuzzDockerArchive: whatever manifest.json, repositories and the config say, no file but the archive's own
// members is read, and an image that comes out of it has been checked.
func FuzzDockerArchive(f *testing.F) {
	config := `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["` + digest.FromString("layer").String() + `"]}}`
	f.Add(`[{"Config":"c.json","RepoTags":["x:1"],"Layers":["l.tar"]}]`, `{"x":{"1":"id"}}`, config)
	f.Add(`[{"Config":"/etc/passwd","RepoTags":["../x"],"Layers":["../../l.tar","l.tar"]}]`, `null`, config)
	f.Add(`[{"Config":"c.json","Layers":["l.tar","l.tar"]},{"Config":"c.json"}]`, `[]`, `{}`)
	f.Add(`{"Config":"c.json"}`, ``, ``)
	f.Fuzz(func(t *testing.T, manifest, repositories, config string) {
		file := writeFile(t, makeTar(t, member{name: "manifest.json", content: manifest}, member{name: "repositories", content: repositories},
			member{name: "c.json", content: config}, member{name: "l.tar", content: "layer"}))
		readable(t, "docker-archive:"+file)
		src, err := Open(t.Context(), mustParse(t, "docker-archive:"+file))
		if err != nil {
			return
		}
		defer src.Close()
		s := newStore(t)
		if c, err := Copy(t.Context(), src, sink{s}, CopyOptions{Platform: ispec.Platform{OS: "linux", Architecture: "amd64"}}); err == nil && c.Image.Config().RootFS.Type != "layers" {
			t.Fatalf("%+v", c.Image.Config())
		}
	})
}
