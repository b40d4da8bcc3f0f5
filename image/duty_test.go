package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// layer edits the one layer of the test manifest and decodes it.
func layer(t *testing.T, old, with string) (ispec.Descriptor, error) {
	t.Helper()
	if !strings.Contains(layerJSON, old) {
		t.Fatalf("no %s in the layer", old)
	}
	m, err := DecodeManifest([]byte(strings.Replace(manifestJSON, layerJSON, strings.Replace(layerJSON, old, with, 1), 1)), "")
	if err != nil {
		return ispec.Descriptor{}, err
	}
	return m.Layers[0], nil
}

// TestIS_D1_media_types: the grammar of RFC 6838 section 4.2, wherever a descriptor stands.
func TestIS_D1_media_types(t *testing.T) {
	name := strings.Repeat("a", 127)
	for mt, ok := range map[string]bool{
		"a/b": true, "application/vnd.oci.image.layer.v1.tar+gzip": true, "A/B": true, "x.y-z_1/!#$&-^_.+": false, "9/0!#$&-^_.+": true,
		name + "/" + name: true, name + "a/b": false, "a/" + name + "a": false,
		"": false, "a": false, "a/": false, "/b": false, "a/b/c": false, "a b/c": false, "a/b;c=d": false, "a/é": false, ".a/b": false, "a/+b": false, "a/b\n": false,
	} {
		quoted, err := json.Marshal(mt)
		if err != nil {
			t.Fatal(err)
		}
		_, err = layer(t, `"`+ispec.MediaTypeImageLayer+`"`, string(quoted))
		if ok != (err == nil) || err != nil && !errors.Is(err, ErrMediaType) {
			t.Errorf("%q: %v, want ok %v", mt, err, ok)
		}
	}
	for _, doc := range []string{
		strings.Replace(indexJSON, `{"mediaType":"`+ispec.MediaTypeImageManifest+`",`, `{`, 1),
		strings.Replace(indexJSON, `"manifests"`, `"subject":{"digest":"`+string(emptyDigest)+`","size":0},"manifests"`, 1),
	} {
		if _, err := DecodeIndex([]byte(doc), ""); !errors.Is(err, ErrMediaType) {
			t.Errorf("%s: %v", doc, err)
		}
	}
}

// TestIS_D3_sizes: there, an int64, not negative; content of another size is not believed.
func TestIS_D3_sizes(t *testing.T) {
	for text, ok := range map[string]bool{
		`"size":0`: true, `"size":9223372036854775807`: true,
		`"size":-1`: false, `"size":-9223372036854775808`: false, `"size":9223372036854775808`: false, `"size":1e400`: false, `"size":0.1`: false, `"size":"0"`: false, `"size":[]`: false,
	} {
		if d, err := layer(t, `"size":0`, text); ok != (err == nil) || err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %d, %v", text, d.Size, err)
		}
	}
	// An absent size is that of nothing: every content but the empty one is refused.
	if d, err := layer(t, `,"size":0`, ``); err == nil {
		d.Digest = digest.FromString("x")
		if err := VerifyBytes([]byte("x"), d.Digest, d.Size); !errors.Is(err, ErrSizeMismatch) {
			t.Errorf("an absent size lets content pass: %v", err)
		}
	}
}

// counted counts what is read of it.
type counted struct {
	r io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// TestIS_D4_size_before_digest: of content that is too long no more than one byte too many is read, no
// memory is taken for a size that is only claimed over the limit, and a wrong size is told as that, not
// as a wrong digest.
func TestIS_D4_size_before_digest(t *testing.T) {
	d := describe("a/b", "abc")
	src := &counted{r: bytes.NewReader(make([]byte, 1<<20))}
	if _, err := ReadAll(src, d, 1<<20); !errors.Is(err, ErrSizeMismatch) || errors.Is(err, ErrDigestMismatch) {
		t.Errorf("long: %v", err)
	}
	if src.n > int(d.Size)+1 {
		t.Errorf("%d bytes were read of content of %d", src.n, d.Size)
	}
	src = &counted{r: bytes.NewReader(make([]byte, 1<<20))}
	v, err := NewVerifier(src, d)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, v, make([]byte, 1<<16)); n > d.Size || !errors.Is(err, ErrSizeMismatch) || src.n > int(d.Size)+1 {
		t.Errorf("a Verifier gave %d bytes of %d read, %v", n, src.n, err)
	}
	d.Size = 1 << 40
	src = &counted{r: bytes.NewReader(nil)}
	if _, err := ReadAll(src, d, 1<<20); !errors.Is(err, ErrTooLarge) || src.n != 0 {
		t.Errorf("a claim over the limit: %v after %d bytes", err, src.n)
	}
	if err := VerifyBytes([]byte("abcd"), describe("a/b", "abc").Digest, 3); !errors.Is(err, ErrSizeMismatch) {
		t.Errorf("VerifyBytes: %v", err)
	}
	// Nothing is decoded before it is proved: what New is given is not even JSON.
	if _, err := New(describe(ispec.MediaTypeImageManifest, manifestJSON), []byte("{"), []byte(configJSON)); !errors.Is(err, ErrSizeMismatch) {
		t.Errorf("New: %v", err)
	}
}

// TestIS_D5_algorithms: lower case hex of the length that the algorithm has.
func TestIS_D5_algorithms(t *testing.T) {
	sum := emptyDigest.Encoded()
	wide := digest.SHA512.FromBytes(nil).Encoded()
	for d, want := range map[string]error{
		"sha256:" + sum: nil, "sha512:" + wide: nil,
		"sha256:" + strings.ToUpper(sum): ErrDigestInvalid, "sha256:" + sum[1:]: ErrDigestInvalid, "sha256:" + sum + "0": ErrDigestInvalid,
		"sha512:" + sum: ErrDigestInvalid, "sha256:" + wide: ErrDigestInvalid, "sha256:" + sum[:63] + "g": ErrDigestInvalid,
		"blake3:" + sum: ErrAlgorithm, "sha256+b64u:" + sum: ErrAlgorithm, "sha384:" + strings.Repeat("0", 96): ErrAlgorithm,
	} {
		if err := ValidateDigest(digest.Digest(d)); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: %v, want %v", d, err, want)
		}
	}
}

// TestIS_D6_data_and_urls: data is base64 and the content; urls are kept and change nothing.
func TestIS_D6_data_and_urls(t *testing.T) {
	for text, want := range map[string]error{
		`,"data":""`:      nil,
		`,"data":"!"`:     ErrMalformed,
		`,"data":"e30="`:  ErrSizeMismatch, // two bytes of a blob of none
		`,"data":7`:       ErrMalformed,
		`,"urls":[7]`:     ErrMalformed,
		`,"urls":"x"`:     ErrMalformed,
		`,"urls":["%zz"]`: nil, // whoever fetches decides; copying must not fail
	} {
		if _, err := layer(t, `,"size":0`, `,"size":0`+text); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
	d := ispec.DescriptorEmptyJSON
	if err := ValidateDescriptor(d); err != nil {
		t.Error(err)
	}
	d.Data = []byte("[]")
	if err := ValidateDescriptor(d); !errors.Is(err, ErrDigestMismatch) {
		t.Errorf("data that is not the content: %v", err)
	}
}

// TestIS_D7_artifact_type_and_platform: one of RFC 6838, and the other kept whole.
func TestIS_D7_artifact_type_and_platform(t *testing.T) {
	for at, ok := range map[string]bool{"application/spdx+json": true, "": true, "x": false, "a/b; c=d": false, "a/\u001b": false} {
		quoted, err := json.Marshal(at)
		if err != nil {
			t.Fatal(err)
		}
		d, err := layer(t, `,"size":0`, `,"size":0,"artifactType":`+string(quoted))
		if ok != (err == nil) || ok && d.ArtifactType != at || !ok && !errors.Is(err, ErrMediaType) {
			t.Errorf("%q: %+v, %v", at, d, err)
		}
	}
	doc := strings.Replace(indexJSON, `"platform":{"architecture":"amd64","os":"linux"}`,
		`"platform":{"architecture":"arm","os":"windows","os.version":"10.0.1","os.features":["win32k"],"variant":"v7","features":["sse4"]}`, 1)
	x, err := DecodeIndex([]byte(doc), "")
	if err != nil {
		t.Fatal(err) // IS-I3: "features" is reserved, and no error
	}
	p := x.Manifests[0].Platform
	if p == nil || p.OS != "windows" || p.OSVersion != "10.0.1" || len(p.OSFeatures) != 1 || p.Variant != "v7" || p.Architecture != "arm" {
		t.Errorf("%+v", p)
	}
}

// TestIS_M6_the_empty_descriptor: type, size, digest and content as the text has them.
func TestIS_M6_the_empty_descriptor(t *testing.T) {
	const sum = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
	one := `{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` + sum + `","size":2,"data":"e30="}`
	raw := `{"schemaVersion":2,"mediaType":"` + ispec.MediaTypeImageManifest + `","artifactType":"a/b","config":` + one + `,"layers":[` + one + `]}`
	m, err := DecodeManifest([]byte(raw), "")
	if err != nil {
		t.Fatal(err)
	}
	if string(m.Config.Data) != "{}" || m.Config.Digest != ispec.DescriptorEmptyJSON.Digest || m.Layers[0].Size != 2 {
		t.Errorf("%+v", m)
	}
	// It is the config of no image, and not run as one.
	if _, err := New(describe(ispec.MediaTypeImageManifest, raw), []byte(raw), []byte("{}")); !errors.Is(err, ErrMediaType) {
		t.Errorf("New: %v", err)
	}
	for _, bad := range []string{strings.Replace(one, `"size":2`, `"size":3`, 1), strings.Replace(one, "e30=", "e30K", 1), strings.Replace(one, sum, string(emptyDigest), 1)} {
		if _, err := DecodeManifest([]byte(strings.Replace(raw, one, bad, 1)), ""); err == nil {
			t.Errorf("accepted: %s", bad)
		}
	}
}

// TestIS_I1_indexes: manifests is there, if empty; what it lists may be of any type.
func TestIS_I1_indexes(t *testing.T) {
	nested := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":9}`, ispec.MediaTypeImageIndex, digest.FromString("nested"))
	odd := fmt.Sprintf(`{"mediaType":"application/vnd.example+json","digest":%q,"size":9}`, digest.FromString("odd"))
	for raw, n := range map[string]int{
		`{"schemaVersion":2,"manifests":[]}`:                                      0,
		`{"schemaVersion":2,"manifests":[` + nested + `]}`:                        1,
		`{"schemaVersion":2,"manifests":[` + odd + `,` + nested + `]}`:            2,
		`{"schemaVersion":2}`:                                                     -1,
		`{"manifests":[]}`:                                                        -1,
		`{"schemaVersion":1,"manifests":[]}`:                                      -1,
		`{"schemaVersion":"2","manifests":[]}`:                                    -1,
		`{"schemaVersion":2,"manifests":{}}`:                                      -1,
		`{"schemaVersion":2,"manifests":[null]}`:                                  -1,
		`{"schemaVersion":2,"mediaType":"` + DockerManifest + `","manifests":[]}`: -1,
	} {
		x, err := DecodeIndex([]byte(raw), "")
		if (n < 0) != (err != nil) || err == nil && len(x.Manifests) != n {
			t.Errorf("%s: %d, %v; want %d", raw, len(x.Manifests), err, n)
		}
	}
}

// TestIS_I3_what_an_index_may_have: annotations, subject and artifactType, none of them acted on.
func TestIS_I3_what_an_index_may_have(t *testing.T) {
	raw := strings.Replace(indexJSON, `"manifests"`, `"artifactType":"a/b","annotations":{"k":"v"},"subject":`+childJSON+`,"manifests"`, 1)
	x, err := DecodeIndex([]byte(raw), "")
	if err != nil {
		t.Fatal(err)
	}
	if x.ArtifactType != "a/b" || x.Annotations["k"] != "v" || x.Subject == nil || len(x.Manifests) != 1 {
		t.Errorf("%+v", x)
	}
	if got, err := Select(x, ispec.Platform{OS: "linux", Architecture: "amd64"}); err != nil || got.Digest != x.Manifests[0].Digest {
		t.Errorf("%v, %v", got, err)
	}
}

// TestIS_A1_annotations: strings to strings, each key once; an unknown key is kept.
func TestIS_A1_annotations(t *testing.T) {
	const key = "org.opencontainers.image.no-such-key"
	for text, want := range map[string]error{
		`{}`: nil, `null`: nil, `{"` + key + `":""}`: nil, `{"a":"1","A":"2"}`: nil, `{"":"x"}`: nil, `{"mediaType":"x","MEDIATYPE":"y"}`: nil,
		`{"a":1}`: ErrMalformed, `{"a":{}}`: ErrMalformed, `["a"]`: ErrMalformed, `"a"`: ErrMalformed, `{"a":"1","a":"2"}`: ErrDuplicateKey, `{"a":"1","\u0061":"1"}`: ErrDuplicateKey,
	} {
		m, err := DecodeManifest([]byte(strings.Replace(manifestJSON, `"layers"`, `"annotations":`+text+`,"layers"`, 1)), "")
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
		var exact map[string]string
		if want == nil && json.Unmarshal([]byte(text), &exact) == nil && len(exact) != len(m.Annotations) {
			t.Errorf("%s: %v", text, m.Annotations)
		}
	}
}

// TestIS_C1_config: what every config has to have.
func TestIS_C1_config(t *testing.T) {
	for name, edit := range map[string][2]string{
		"architecture": {`"architecture":"amd64"`, `"architecture":""`}, "os": {`"os":"linux"`, `"os":null`},
		"type": {`"type":"layers"`, `"type":"Layers"`}, "no type": {`"type":"layers",`, ``}, "rootfs": {`"rootfs":{`, `"rootfs":null,"x":{`},
	} {
		raw := strings.Replace(configJSON, edit[0], edit[1], 1)
		if _, err := DecodeConfig([]byte(raw)); raw == configJSON || !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestIS_C3_unknown_and_reserved: neither is an error, nor kept from the bytes; null is absent.
func TestIS_C3_unknown_and_reserved(t *testing.T) {
	raw := strings.Replace(configJSON, `"config":{`, `"x-new":{"deep":[1]},"history":null,"created":null,"author":null,"variant":null,`+
		`"config":{"Memory":1,"MemorySwap":-1,"CpuShares":8,"Healthcheck":{"Test":["NONE"]},"OnBuild":["RUN x"],"Cmd":null,"User":null,"Volumes":null,"New":1,`, 1)
	m := strings.Replace(manifestJSON, configDesc, mustJSON(t, describe(ispec.MediaTypeImageConfig, raw)), 1)
	img, err := New(describe(ispec.MediaTypeImageManifest, m), []byte(m), []byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := img.Config()
	if c.Config.Cmd != nil || c.Config.User != "" || c.Created != nil || c.History != nil || c.Config.Env[0] != "A=b" {
		t.Errorf("%+v", c)
	}
	if string(img.ConfigRaw()) != raw {
		t.Error("the bytes were changed")
	}
}

// TestIS_X3_media_types_in_conflict: what was expected decides, where the digest proves the content;
// where two say different things about the same bytes, none is believed.
func TestIS_X3_media_types_in_conflict(t *testing.T) {
	for _, c := range []struct {
		announced string
		ok        bool
	}{{"", true}, {ispec.MediaTypeImageManifest, true}, {ispec.MediaTypeImageManifest + "; charset=utf-8", true}, {DockerManifest, false}, {ispec.MediaTypeImageIndex, false}, {"application/json", false}} {
		if _, err := DecodeManifest([]byte(manifestJSON), c.announced); c.ok != (err == nil) || err != nil && !errors.Is(err, ErrMediaType) {
			t.Errorf("%q: %v", c.announced, err)
		}
	}
	bare := strings.Replace(manifestJSON, `"mediaType":"`+ispec.MediaTypeImageManifest+`",`, ``, 1)
	if _, err := DecodeManifest([]byte(bare), DockerManifest); err != nil {
		t.Errorf("nothing inside: what was expected is used: %v", err)
	}
}
