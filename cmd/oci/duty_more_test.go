package main

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/registrytest"
	"github.com/oci-pipeline/oci/image"
)

// TestIS_C6_history: each step that made a layer is shown with it, in whatever number they are; times
// are of RFC 3339.
func TestIS_C6_history(t *testing.T) {
	s := served{registrytest.New(t, registrytest.Options{}), t}
	when := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	made, empty := ispec.History{CreatedBy: "made", Created: &when}, ispec.History{CreatedBy: "empty", EmptyLayer: true}
	home := t.TempDir()
	for name, tt := range map[string]struct {
		layers  int
		history []ispec.History
		want    string // newest first: L a layer, - none
	}{
		"as many":            {2, []ispec.History{made, empty, made, empty}, "-L-L"},
		"none":               {2, nil, "LL"},
		"fewer":              {3, []ispec.History{made, empty}, "LL-L"},
		"more":               {1, []ispec.History{made, made, made}, "--L"},
		"empty steps only":   {1, []ispec.History{empty, empty}, "L--"},
		"no layer, one step": {0, []ispec.History{empty}, "-"},
	} {
		config := ispec.Image{Platform: image.HostPlatform(), RootFS: ispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{}}, History: tt.history}
		for range tt.layers {
			config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, emptyTar())
		}
		d := s.image("v", config, nil)
		out, err := program(t, home, "", "history", "--format", "json", s.Host+"/a/b@"+d.Digest.String())
		var rows []historyRow
		if err != nil || json.Unmarshal([]byte(out), &rows) != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		got := ""
		for _, r := range rows {
			if r.Layer != "" {
				got += "L"
			} else {
				got += "-"
			}
			if r.CreatedBy == "made" && (r.Created == nil || !r.Created.Equal(when)) {
				t.Errorf("%s: created %v", name, r.Created)
			}
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
		out, err = program(t, home, "", "history", s.Host+"/a/b@"+d.Digest.String())
		if err != nil || strings.Count(out, "2026-01-02T03:04:05Z") != strings.Count(out, "made") {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
	config := ispec.Image{Platform: image.HostPlatform(), RootFS: ispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{}}}
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	bad := strings.Replace(string(raw), `"architecture"`, `"history":[{"created":"yesterday"}],"architecture"`, 1)
	if _, err := image.DecodeConfig([]byte(bad)); err == nil {
		t.Error("a time that is none was read")
	}
}

// TestIS_M2_artifact_type: what attach makes has an empty config, and so an artifactType; without one
// nothing is made.
func TestIS_M2_artifact_type(t *testing.T) {
	s := served{registrytest.New(t, registrytest.Options{}), t}
	s.image("v", ispec.Image{Platform: image.HostPlatform(), RootFS: ispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{}}}, nil)
	home := t.TempDir()
	file := filepath.Join(home, "file")
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := program(t, home, "", "attach", "-q", "--type", "application/vnd.example", s.Host+"/a/b:v", file)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, name, _ := strings.Cut(strings.TrimSpace(out), "@")
	m, err := s.Backend.Manifest(t.Context(), "a/b", digest.Digest(name))
	if err != nil {
		t.Fatal(err)
	}
	got, err := image.DecodeManifest(m.Raw, ispec.MediaTypeImageManifest)
	if err != nil || got.Config.MediaType != ispec.MediaTypeEmptyJSON || got.ArtifactType != "application/vnd.example" || got.Config.Digest != ispec.DescriptorEmptyJSON.Digest {
		t.Errorf("%v: %s", err, m.Raw)
	}
	s.Forget()
	for _, kind := range []string{"", "nonsense", "a/b; c=d"} {
		if out, err := program(t, home, "", "attach", "-q", "--type", kind, s.Host+"/a/b:v", file); err == nil {
			t.Errorf("--type %q: %s", kind, out)
		}
	}
	if n := s.Count("PUT", "") + s.Count("POST", ""); n != 0 {
		t.Errorf("%d requests that change something", n)
	}
}

// TestH85_no_log_of_libraries: what a registry sends behind its answers is not printed.
func TestH85_no_log_of_libraries(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for buf := make([]byte, 4096); ; {
					if _, err := c.Read(buf); err != nil {
						return
					}
					_, _ = io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
				}
			}()
		}
	}()
	home := t.TempDir()
	for range 5 {
		out, err := program(t, home, "", "pull", l.Addr().String()+"/a/b:v")
		if err == nil || strings.Contains(out, "evil") || strings.Contains(out, "Unsolicited") || !strings.HasPrefix(out, "oci: ") {
			t.Fatalf("%v: %q", err, out)
		}
	}
}
