package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/registrytest"
)

// twoLayers puts an image of an empty layer and one that is bad, which is longer.
func (s served) twoLayers(bad []byte, diffID digest.Digest) (second ispec.Descriptor) {
	config := testConfig()
	config.RootFS.DiffIDs = []digest.Digest{emptyTar(), diffID}
	raw, err := json.Marshal(config)
	if err != nil {
		s.t.Fatal(err)
	}
	second = s.blob(ispec.MediaTypeImageLayer, bad)
	s.manifest(ispec.MediaTypeImageManifest, "v", ispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ispec.MediaTypeImageManifest,
		Config: s.blob(ispec.MediaTypeImageConfig, raw),
		Layers: []ispec.Descriptor{s.blob(ispec.MediaTypeImageLayer, make([]byte, 1024)), second},
	})
	return second
}

// TestRun_unpacks_while_it_pulls: a layer is unpacked before the last blob is there, and stays when the
// pull is broken off.
func TestRun_unpacks_while_it_pulls(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it runs the program itself, without a user namespace")
	}
	r := registrytest.New(t, registrytest.Options{})
	raw := make([]byte, 2048)
	second := served{r, t}.twoLayers(raw, digest.FromBytes(raw))
	r.Inject(registrytest.Rule{Path: "/blobs/" + second.Digest.String(), Fault: registrytest.Hang()})
	home := t.TempDir()
	cmd := exec.Command(binary(t), "run", "--rm", r.Host+"/a/b:v", "/bin/true")
	cmd.Env = append(os.Environ(), "HOME="+home, "OCI_ROOT="+filepath.Join(home, "store"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	layer := filepath.Join(home, "store", "layers", "sha256", emptyTar().Encoded(), "layer.json")
	deadline := time.Now().Add(30 * time.Second)
	for _, err := os.Stat(layer); err != nil && time.Now().Before(deadline); _, err = os.Stat(layer) {
		time.Sleep(5 * time.Millisecond)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) {
		t.Errorf("%v: %s", err, &out)
	}
	if _, err := os.Stat(layer); err != nil {
		t.Errorf("%v: %s", err, &out)
	}
}

// TestRun_bad_layer_is_told_once: what fails while others are fetched is told with its place in the image,
// as it would be afterwards.
func TestRun_bad_layer_is_told_once(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it runs the program itself, without a user namespace")
	}
	r := registrytest.New(t, registrytest.Options{})
	served{r, t}.twoLayers(make([]byte, 2048), digest.FromString("another tar"))
	text, err := program(t, t.TempDir(), "", "run", "--rm", r.Host+"/a/b:v", "/bin/true")
	if err == nil || strings.Count(text, "layer 2") != 1 || !strings.Contains(text, digest.FromString("another tar").String()) {
		t.Errorf("%v: %s", err, text)
	}
}
