package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/registrytest"
	"github.com/oci-pipeline/oci/image"
)

// busybox puts the image of that name into a registry, with a change to its config.
func (s served) busybox(change func(*ispec.Image)) ispec.Descriptor {
	s.t.Helper()
	dir := filepath.Join(os.Getenv("OCI_TEST_IMAGES"), "busybox")
	if _, err := os.Stat(filepath.Join(dir, "index.json")); err != nil || os.Getenv("OCI_TEST_IMAGES") == "" {
		s.t.Skipf("needs the image busybox in OCI_TEST_IMAGES (make images): %v", err)
	}
	read := func(name string, v any) []byte {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil && v != nil {
			err = json.Unmarshal(raw, v)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		return raw
	}
	blob := func(d ispec.Descriptor) string { return "blobs/sha256/" + d.Digest.Encoded() }
	var x ispec.Index
	read("index.json", &x)
	d := x.Manifests[0]
	for image.IsIndex(d.MediaType) {
		read(blob(d), &x)
		var err error
		if d, err = image.Select(x, image.HostPlatform()); err != nil {
			s.t.Skipf("the image busybox is for another machine: %v", err)
		}
	}
	var m ispec.Manifest
	var config ispec.Image
	read(blob(d), &m)
	read(blob(m.Config), &config)
	change(&config)
	out := ispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ispec.MediaTypeImageManifest}
	for _, l := range m.Layers {
		s.blob(l.MediaType, read(blob(l), nil))
		out.Layers = append(out.Layers, l)
	}
	raw, err := json.Marshal(config)
	if err != nil {
		s.t.Fatal(err)
	}
	out.Config = s.blob(ispec.MediaTypeImageConfig, raw)
	return s.manifest(out.MediaType, "v", out)
}

// TestH84_labels_act_on_no_host: labels that other runtimes act on are refused for a bundle, with flags
// that there are; our own runs the image, and does nothing that they say.
func TestH84_labels_act_on_no_host(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	home := t.TempDir()
	proof := filepath.Join(home, "proof")
	s := served{registrytest.New(t, registrytest.Options{}), t}
	s.busybox(func(c *ispec.Image) {
		c.Config.Labels = map[string]string{
			"run.oci.hooks.stdout": proof, "run.oci.hooks.stderr": proof, "run.oci.handler": "wasm", "run.oci.keep_original_groups": "1", "run.oci.mount_context_type": "rootcontext",
			"org.systemd.property.ExecStartPre": "'touch " + proof + "'", "org.criu.config": proof, "cdi.k8s.io/gpu": "vendor.com/gpu=all",
			"io.katacontainers.config.hypervisor.path": proof, "note": "kept",
		}
	})
	ref := s.Host + "/a/b:v"
	out, err := program(t, home, "", "bundle", "-q", ref, filepath.Join(home, "refused"))
	if err == nil || !strings.Contains(out, "--allow-annotations") || !strings.Contains(out, "IS-V5") {
		t.Errorf("bundle: %v: %s", err, out)
	}
	if _, err := os.Lstat(filepath.Join(home, "refused")); err == nil {
		t.Error("a refused bundle is there")
	}
	for policy, keys := range map[string]int{"drop": 0, "allow": 9} {
		dir := filepath.Join(home, policy)
		if out, err := program(t, home, "", "bundle", "-q", "--"+policy+"-annotations", ref, dir); err != nil {
			t.Fatalf("%s: %v: %s", policy, err, out)
		}
		raw, err := os.ReadFile(filepath.Join(dir, "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		var c struct {
			Annotations map[string]string `json:"annotations"`
			Hooks       any               `json:"hooks"`
		}
		if err := json.Unmarshal(raw, &c); err != nil {
			t.Fatal(err)
		}
		n := 0
		for k := range c.Annotations {
			if strings.HasPrefix(k, "run.oci.") || strings.HasPrefix(k, "org.systemd.") || strings.HasPrefix(k, "org.criu.") || strings.HasPrefix(k, "cdi.") || strings.HasPrefix(k, "io.kata") {
				n++
			}
		}
		if n != keys || c.Annotations["note"] != "kept" || c.Hooks != nil {
			t.Errorf("%s: %d of them, %v, hooks %v", policy, n, c.Annotations, c.Hooks)
		}
	}
	out, err = program(t, home, "", "run", "--rm", "-q", ref, "sh", "-c", "echo 42; id -G; ls /dev | grep -c gpu")
	if !strings.HasPrefix(out, "42\n0") || !strings.HasSuffix(out, "\n0\n") {
		t.Errorf("run: %v: %s", err, out)
	}
	if _, err := os.Lstat(proof); err == nil {
		t.Error("a label wrote to the host")
	}
}
