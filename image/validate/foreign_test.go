package validate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// images is the directory of real images.
func images(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("OCI_TEST_IMAGES")
	if dir == "" {
		t.Skip("OCI_TEST_IMAGES does not name a directory with real images")
	}
	return dir
}

// peer finds another program.
func peer(t *testing.T, name string) string {
	t.Helper()
	if dir := os.Getenv("OCI_PEERS"); dir != "" {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not there (OCI_PEERS)", name)
	}
	return path
}

// clean asks for a layout without a problem of level MUST.
func clean(t *testing.T, dir string, o Options, layers int) {
	t.Helper()
	r, err := Layout(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Must > 0 || r.Layers < layers {
		t.Errorf("%s: %d MUST, %d layers%s", dir, r.Must, r.Layers, texts(r))
	}
}

// TestRealImages: images that other tools made have no problem of level MUST; of those that are alike but for their wrapping, one has its
// layers looked into.
func TestRealImages(t *testing.T) {
	dir := images(t)
	entries, err := filepath.Glob(filepath.Join(dir, "*", "oci-layout"))
	if err != nil || len(entries) == 0 {
		t.Skipf("no layouts in %s: %v", dir, err)
	}
	for _, e := range entries {
		name := filepath.Base(filepath.Dir(e))
		o, layers := Options{NoContent: true}, 0
		if name == "busybox" || name == "python" {
			o, layers = Options{}, 1
		}
		clean(t, filepath.Dir(e), o, layers)
	}
}

// TestForeignLayouts: layouts that skopeo, umoci and regctl write, directories and archives, have none either.
func TestForeignLayouts(t *testing.T) {
	from := filepath.Join(images(t), "busybox")
	for name, commands := range map[string][]string{
		"skopeo":         {"skopeo copy -q oci:IMAGE:latest oci:l:x", "skopeo copy -q --dest-compress-format zstd oci:IMAGE:latest oci:l:z"},
		"skopeo archive": {"skopeo copy -q oci:IMAGE:latest oci-archive:l"},
		"skopeo all":     {"skopeo copy -q --all oci:IMAGE:latest oci:l:x"},
		"regctl":         {"regctl image copy ocidir://IMAGE:latest ocidir://l:x"},
		"regctl archive": {"regctl image export ocidir://IMAGE:latest l"},
		"umoci": {
			"umoci init --layout l", "umoci new --image l:x", "umoci insert --image l:x f /f", "umoci insert --image l:x --opaque f /d/g",
			"umoci insert --image l:x --whiteout /f", "umoci config --image l:x --config.user 1:1 --config.env A=b --config.volume /v --config.exposedports 80/tcp",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "f"), []byte("text"), 0o644); err != nil {
				t.Fatal(err)
			}
			for _, line := range commands {
				args := strings.Fields(strings.ReplaceAll(line, "IMAGE", from))
				cmd := exec.Command(peer(t, args[0]), args[1:]...)
				cmd.Dir = dir
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Skipf("%s: %v\n%s", line, err, out)
				}
			}
			clean(t, filepath.Join(dir, "l"), Options{}, 1)
		})
	}
}

// TestSharedContent: of two images with one layer and one config each is told once, and what each descriptor says of them is judged.
func TestSharedContent(t *testing.T) {
	b := recipe{Layers: [][]memberRecipe{{{Name: "/a"}}}, Config: json.RawMessage(`{"os": "Linux"}`)}.build(t)
	first := b.files["blobs/sha256/"+b.hex["manifest"]]
	second := b.blob("manifest2", ispec.MediaTypeImageManifest, patched(t, json.RawMessage(first), json.RawMessage(`{"layers": {"0": {"size": 7}}, "annotations": {"a.b": "c"}}`)))
	index := patched(t, json.RawMessage(b.files["index.json"]), json.RawMessage(`{"manifests": {"1": {"annotations": "(absent)"}}}`))
	raw, err := json.Marshal(second)
	if err != nil {
		t.Fatal(err)
	}
	b.files["index.json"] = string(patched(t, json.RawMessage(index), json.RawMessage(`{"manifests": {"1": `+string(raw)+`}}`)))
	rep, err := Layout(t.Context(), b.write(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, p := range rep.Problems {
		got[p.Clause.ID]++
	}
	if got["IS-T14"] != 1 || got["IS-C10"] != 1 || got["IS-D3"] != 1 || rep.Layers != 1 || got["IS-I16"] != 2 {
		t.Errorf("%v%s", got, texts(rep))
	}
}

// toolOnly is what oci-image-tool refuses and is no problem of level MUST, and why.
func toolOnly() map[string]string {
	return map[string]string{
		"invalid descriptor MediaType": "an unknown mediaType MUST NOT generate an error (image-index.md, manifest.md); +zstd came with 1.1",
		"unsupported digest algorithm": "digests of unrecognized algorithms SHOULD pass (descriptor.md#digests)",
		"no such file or directory":    "a layout MAY be missing blobs (image-layout.md#blobs)",
		"/minItems":                    "layers SHOULD have an entry (manifest.md)",
	}
}

// TestImageTool: what oci-image-tool validate refuses of the layouts in the matrix, has a problem of level MUST, or a reason.
func TestImageTool(t *testing.T) {
	tool := peer(t, "oci-image-tool")
	rules, dirs := []rule{}, []string{"validate", "--type", "image"}
	for i, r := range matrix(t) {
		if i%2 == 0 {
			continue // it takes a second for 50, and rules of one clause stand beside each other
		}
		if r.Clause == "IS-L9" || strings.HasPrefix(r.Clause, "IS-T") {
			continue // it follows a link to /dev/zero for ever, and does not look into layers
		}
		rules, dirs = append(rules, r), append(dirs, r.Bad.build(t).write(t)) // of tars it sees the first files only
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, tool, dirs...).CombinedOutput() // its text has a line for each that it refuses
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("%v: %.1000s", err, out)
	}
	both, ours, theirs := 0, 0, 0
	for i, dir := range dirs[3:] {
		_, why, refused := strings.Cut(string(out), `\n`+dir+": ")
		why, _, _ = strings.Cut(why, `\n`)
		rep, err := Layout(t.Context(), dir, Options{NoLayers: true})
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case refused && rep.Must > 0:
			both++
		case rep.Must > 0:
			ours++
		case refused:
			theirs++
			if reason(why) == "" {
				t.Errorf("%s %s: %s%s", rules[i].Clause, rules[i].Says, why, texts(rep))
			}
		}
	}
	if both == 0 || ours <= theirs {
		t.Errorf("both %d, ours %d, theirs %d", both, ours, theirs)
	}
	t.Logf("of %d layouts wrong for both %d, for us alone %d, for oci-image-tool alone %d", len(rules), both, ours, theirs)
}

func reason(out string) string {
	for part, why := range toolOnly() {
		if strings.Contains(out, part) {
			return why
		}
	}
	return ""
}

// TestDocumentsOfTools: documents as tools write them, oddities and all, have no problem of level MUST.
func TestDocumentsOfTools(t *testing.T) {
	const d = `"digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "size": 2`
	for name, raw := range map[string]string{
		"docker build, config": `{"architecture":"amd64","config":{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"Tty":false,
			"Env":["PATH=/bin"],"Cmd":["sh"],"Image":"","Volumes":null,"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":null,"ArgsEscaped":true,
			"Healthcheck":{"Test":["CMD","true"]}},"container_config":{"Cmd":["x"]},"created":"2026-01-31T15:04:05.123456789Z","docker_version":"27.0",
			"history":[{"created":"2026-01-31T15:04:05Z","created_by":"x"},{"empty_layer":true}],"os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:` + strings.Repeat("0", 64) + `"]}}`,
		"buildkit, index with attestations": `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[
			{"mediaType":"application/vnd.oci.image.manifest.v1+json",` + d + `,"platform":{"architecture":"amd64","os":"linux"}},
			{"mediaType":"application/vnd.oci.image.manifest.v1+json",` + d + `,"annotations":{"vnd.docker.reference.type":"attestation-manifest"},"platform":{"architecture":"unknown","os":"unknown"}}]}`,
		"helm, chart": `{"schemaVersion":2,"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json",` + d + `},"layers":[{"mediaType":"application/vnd.cncf.helm.chart.content.v1.tar+gzip",` + d + `}],
			"annotations":{"org.opencontainers.image.created":"2026-01-31T15:04:05+01:00","org.opencontainers.image.title":"x"}}`,
		"cosign, signature": `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json",` + d + `},
			"layers":[{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json",` + d + `,"annotations":{"dev.cosignproject.cosign/signature":"MEQ="}}]}`,
	} {
		rep, known := Document([]byte(raw), "")
		if !known || rep.Must > 0 || !json.Valid([]byte(raw)) {
			t.Errorf("%s: %s", name, fmt.Sprint(known, texts(rep)))
		}
	}
}
