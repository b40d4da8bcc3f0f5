package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/distribution/registrytest"
	"github.com/oci-pipeline/oci/image"
)

// skopeoExample is the example of skopeo-sync(1) in another order, with what it has.
const skopeoExample = `
registry.example.com:
    images:
        busybox: []
        redis:
            - "1.0"
            - 2.0
            - "sha256:0000000000000000000000000000000011111111111111111111111111111111"
    images-by-tag-regex:
        nginx: ^1\.13\.[12]-alpine-perl$
        redis: ^3
    images-by-semver:
        alpine: ">= 3.12.0"
    credentials:
        username: john
        password: "this is : secret"
    tls-verify: true
    cert-dir: /home/john/certs
quay.io:
    tls-verify: false
    images:
        coreos/etcd:
            - latest
`

func TestSkopeoList(t *testing.T) {
	list, err := decodeYAMLList([]byte(skopeoExample), syncInto{base: "docker://registry.local:5000/mirror/"})
	if err != nil {
		t.Fatal(err)
	}
	tags := []string{"1.0", "2.0", "3.0", "3.12.1", "1.13.1-alpine-perl", "latest"}
	want := map[string]string{
		"registry.local:5000/mirror/busybox": "1.0 1.13.1-alpine-perl 2.0 3.0 3.12.1 latest",
		"registry.local:5000/mirror/redis":   "1.0 2.0 3.0 3.12.1 sha256:0000000000000000000000000000000011111111111111111111111111111111",
		"registry.local:5000/mirror/nginx":   "1.13.1-alpine-perl",
		"registry.local:5000/mirror/alpine":  "3.12.1",
		"registry.local:5000/mirror/etcd":    "latest",
	}
	for i := range list.Image {
		e := &list.Image[i]
		if got := strings.Join(e.choose(tags), " "); got != want[e.To] {
			t.Errorf("%s to %s: got %q, want %q", e.From, e.To, got, want[e.To])
		}
		delete(want, e.To)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
	hosts := []hostAccess{
		{registry: "registry.example.com", creds: "john:this is : secret", certDir: "/home/john/certs"},
		{registry: "quay.io", insecure: true},
	}
	if !reflect.DeepEqual(list.hosts, hosts) {
		t.Errorf("got %+v, want %+v", list.hosts, hosts)
	}
	scoped, err := decodeYAMLList([]byte("quay.io:\n  images:\n    coreos/etcd: [latest]"), syncInto{base: "oci:/air", scoped: true})
	if err != nil || scoped.Image[0].To != "oci:/air/quay.io/coreos/etcd" {
		t.Errorf("got %+v, %v", scoped.Image, err)
	}
	for text, status := range map[string]int{
		"quay.io:\n  image:\n    a: []":        statusMalformed,
		"quay.io:\n  images:\n    a: {b: c}":   statusMalformed,
		"quay.io:\n  tls-verify: perhaps":      statusMalformed,
		"q.io:\n  images: {a/x: [], b/x: []}":  statusMalformed, // the same place
		"image:\n- from: a.io/x\n  to: b.io/x": statusUsage,     // says itself where to
	} {
		if _, err := decodeYAMLList([]byte(text), syncInto{base: "b.io"}); exitStatus(err) != status {
			t.Errorf("%q: %v, want status %d", text, err, status)
		}
	}
	if _, err := decodeYAMLList([]byte(skopeoExample), syncInto{}); exitStatus(err) != statusUsage {
		t.Errorf("no destination: %v", err)
	}
}

// TestSyncOwnYAML: our own form in YAML says what the TOML says.
func TestSyncOwnYAML(t *testing.T) {
	a, err := decodeYAMLList([]byte("image:\n- from: a.io/x\n  to: b.io/x\n  tags: [1.20]\n  regex: ^2\n  semver: <3\n  newest: 2\n  platform: linux/arm64\n  referrers: true\n"), syncInto{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := decodeSyncList([]byte("[[image]]\nfrom='a.io/x'\nto='b.io/x'\ntags=['1.20']\nregex='^2'\nsemver='<3'\nnewest=2\nplatform='linux/arm64'\nreferrers=true\n"), false)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("got %+v, want %+v", a, b)
	}
	if got := a.Image[0].choose([]string{"2.0", "2.1", "2.2", "1.9"}); strings.Join(got, " ") != "1.20 2.1 2.2" {
		t.Errorf("got %v", got)
	}
}

// TestSyncSecondRunMovesNothing: an image that is there costs one HEAD at the source and one at the
// destination, and a repository one list of its tags.
func TestSyncSecondRunMovesNothing(t *testing.T) {
	from, to := registrytest.New(t, registrytest.Options{}), registrytest.New(t, registrytest.Options{})
	s := served{from, t}
	for _, tag := range []string{"1.0", "1.1", "2.0"} {
		s.image(tag, testConfig(), map[string]string{"tag": tag})
	}
	home := t.TempDir()
	file := filepath.Join(home, "list.yaml")
	if err := os.WriteFile(file, []byte(from.Host+":\n  images-by-semver:\n    a/b: '>=1'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := program(t, home, "", "sync", "--scoped", file, to.Host); err == nil {
		t.Errorf("a port in the middle of a name: %s", out)
	}
	if out, err := program(t, home, "", "sync", "-q", file, to.Host); err != nil || strings.Count(out, "copy ") != 3 {
		t.Fatalf("%v\n%s", err, out)
	}
	seenFrom, seenTo := len(from.Requests()), len(to.Requests())
	if out, err := program(t, home, "", "sync", "-q", file, to.Host); err != nil || strings.Count(out, "same ") != 3 {
		t.Fatalf("%v\n%s", err, out)
	}
	methods := map[string]int{}
	for _, r := range from.Requests()[seenFrom:] {
		methods["from "+r.Method]++
	}
	for _, r := range to.Requests()[seenTo:] {
		methods["to "+r.Method]++
	}
	if want := map[string]int{"from GET": 1, "from HEAD": 3, "to HEAD": 3}; !reflect.DeepEqual(methods, want) {
		t.Errorf("got %v, want %v", methods, want)
	}
}

// testConfig is the config of an image for this machine with one layer.
func testConfig() (c ispec.Image) {
	host := image.HostPlatform()
	c.OS, c.Architecture, c.Variant = host.OS, host.Architecture, host.Variant
	c.RootFS.Type, c.RootFS.DiffIDs = "layers", append(c.RootFS.DiffIDs, emptyTar())
	return c
}
