package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

var (
	emptyDigest  = digest.FromBytes(nil)
	configJSON   = fmt.Sprintf(`{"architecture":"amd64","os":"linux","config":{"Env":["A=b"],"Labels":{"x":"1","X":"2"}},"rootfs":{"type":"layers","diff_ids":[%q]}}`, emptyDigest)
	layerJSON    = fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":0}`, ispec.MediaTypeImageLayer, emptyDigest)
	configDesc   = fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, ispec.MediaTypeImageConfig, digest.FromString(configJSON), len(configJSON))
	manifestJSON = fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, ispec.MediaTypeImageManifest, configDesc, layerJSON)
	childJSON    = fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d,"platform":{"architecture":"amd64","os":"linux"}}`, ispec.MediaTypeImageManifest, digest.FromString(manifestJSON), len(manifestJSON))
	indexJSON    = fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, ispec.MediaTypeImageIndex, childJSON)
)

func describe(mediaType, raw string) ispec.Descriptor {
	return ispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(raw), Size: int64(len(raw))}
}

func TestNew_good_image(t *testing.T) {
	img, err := New(describe(ispec.MediaTypeImageManifest, manifestJSON), []byte(manifestJSON), []byte(configJSON))
	if err != nil {
		t.Fatal(err)
	}
	if len(img.Layers()) != 1 || img.Layers()[0].DiffID != emptyDigest || img.ID() != digest.FromString(configJSON) {
		t.Errorf("layers %v, id %s", img.Layers(), img.ID())
	}
	if string(img.ManifestRaw()) != manifestJSON || string(img.ConfigRaw()) != configJSON {
		t.Error("the raw bytes are not the ones given")
	}
	if l := img.Config().Config.Labels; l["x"] != "1" || l["X"] != "2" {
		t.Errorf("labels that differ in case are two: %v", l)
	}
}

func TestIS_X4_docker_documents_are_equals(t *testing.T) {
	r := strings.NewReplacer(ispec.MediaTypeImageManifest, DockerManifest, ispec.MediaTypeImageIndex, DockerManifestList,
		ispec.MediaTypeImageConfig, DockerConfig, ispec.MediaTypeImageLayer, DockerLayer)
	m := r.Replace(manifestJSON)
	if _, err := New(describe(DockerManifest, m), []byte(m), []byte(configJSON)); err != nil {
		t.Error(err)
	}
	if _, err := DecodeIndex([]byte(r.Replace(indexJSON)), DockerManifestList); err != nil {
		t.Error(err)
	}
}

func TestDecodeManifest_refuses(t *testing.T) {
	edit := func(old, with string) string {
		if !strings.Contains(manifestJSON, old) {
			t.Fatalf("no %s in the manifest", old)
		}
		return strings.Replace(manifestJSON, old, with, 1)
	}
	layers := func(n int) string { return strings.TrimSuffix(strings.Repeat(layerJSON+",", n), ",") }
	sum := emptyDigest.String()
	for name, c := range map[string]struct {
		raw, mediaType string
		want           error
	}{
		"H75_both_kinds":             {edit(`"layers"`, `"manifests":[],"layers"`), "", ErrAmbiguous},
		"H75_duplicate_key":          {edit(`"layers"`, `"layers":[],"layers"`), "", ErrDuplicateKey},
		"H75_duplicate_key_escaped":  {edit(`"layers"`, `"layer\u0073":[],"layers"`), "", ErrDuplicateKey},
		"H75_duplicate_key_deep":     {edit(`"size"`, `"size":1,"size"`), "", ErrDuplicateKey},
		"H75_duplicate_annotation":   {edit(`"layers"`, `"annotations":{"a":"1","a":"2"},"layers"`), "", ErrDuplicateKey},
		"IS_X2_wrong_case_is_absent": {edit(`"layers"`, `"Layers"`), "", ErrMalformed},
		"IS_X3_other_type":           {manifestJSON, DockerManifest, ErrMediaType},
		"IS_X3_index_announced":      {manifestJSON, ispec.MediaTypeImageIndex, ErrMediaType},
		"IS_X3_unknown_announced":    {manifestJSON, "text/html", ErrMediaType},
		"IS_M1_schema_1":             {edit(`"schemaVersion":2`, `"schemaVersion":1`), "", ErrMalformed},
		"IS_M1_own_type_of_index":    {edit(ispec.MediaTypeImageManifest, ispec.MediaTypeImageIndex), "", ErrMediaType},
		"IS_M1_no_config":            {edit(`"config":`+configDesc+`,`, ``), "", ErrNoDigest},
		"IS_D1_no_media_type":        {edit(`"mediaType":"`+ispec.MediaTypeImageLayer+`",`, ``), "", ErrMediaType},
		"IS_D1_type_with_parameter":  {edit(ispec.MediaTypeImageLayer, ispec.MediaTypeImageLayer+"; a=b"), "", ErrMediaType},
		"IS_D2_absent_digest":        {edit(`"digest":"`+sum+`",`, ``), "", ErrNoDigest},
		"IS_D2_upper_case":           {edit(sum, "sha256:"+strings.ToUpper(emptyDigest.Encoded())), "", ErrDigestInvalid},
		"IS_D3_negative_size":        {edit(`"size":0`, `"size":-1`), "", ErrMalformed},
		"IS_D3_size_over_int64":      {edit(`"size":0`, `"size":9223372036854775808`), "", ErrMalformed},
		"IS_D3_fraction":             {edit(`"size":0`, `"size":0.5`), "", ErrMalformed},
		"IS_D5_unknown_algorithm":    {edit(sum, "md5:d41d8cd98f00b204e9800998ecf8427e"), "", ErrAlgorithm},
		"IS_D5_sha384":               {edit(sum, "sha384:"+strings.Repeat("0", 96)), "", ErrAlgorithm},
		"IS_D6_data_is_not_content":  {edit(`"size":0`, `"size":2,"data":"e30="`), "", ErrDigestMismatch},
		"H72_path_in_digest":         {edit(sum, "sha256:../../x"), "", ErrDigestInvalid},
		"H76_many_layers":            {edit(layerJSON, layers(MaxLayers+1)), "", ErrMalformed},
		"H76_deep":                   {edit(`"layers"`, `"x":`+strings.Repeat("[", 100)+strings.Repeat("]", 100)+`,"layers"`), "", ErrMalformed},
		"H76_large":                  {edit(`"layers"`, `"x":"`+strings.Repeat("x", MaxManifestSize)+`","layers"`), "", ErrTooLarge},
		"not_json":                   {"<html>", "", ErrMalformed},
		"empty":                      {"", "", ErrMalformed},
		"null":                       {"null", "", ErrMalformed},
		"array":                      {"[]", "", ErrMalformed},
		"trailing":                   {manifestJSON + "{}", "", ErrMalformed},
		"cut":                        {manifestJSON[:len(manifestJSON)-1], "", ErrMalformed},
		"not_utf8":                   {edit(`"layers"`, "\"a\":\"\xff\",\"layers\""), "", ErrMalformed},
		"layers_of_other_type":       {edit(`[`+layerJSON+`]`, `{}`), "", ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := DecodeManifest([]byte(c.raw), c.mediaType)
			if !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if errors.Is(err, io.EOF) {
				t.Errorf("%v matches io.EOF", err)
			}
			var e *Error
			if !errors.As(err, &e) {
				t.Errorf("%v is no *Error", err)
			}
		})
	}
}

func TestIS_M3_unknown_things_are_no_error(t *testing.T) {
	raw := strings.Replace(manifestJSON, ispec.MediaTypeImageLayer, "application/x-new", 1)
	raw = strings.Replace(raw, `"layers"`, `"new":{"deep":[1,2.5e3,true,null,"\ud83d\ude00"]},"Layers":7,"MEDIATYPE":"x/y","artifactType":"a/b","layers"`, 1)
	m, err := DecodeManifest([]byte(raw), ispec.MediaTypeImageManifest+"; charset=utf-8")
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Layers) != 1 || m.MediaType != ispec.MediaTypeImageManifest {
		t.Errorf("names of another case were taken for known ones: %+v", m)
	}
	if _, err := LayerCompression(m.Layers[0].MediaType); !errors.Is(err, ErrMediaType) {
		t.Errorf("LayerCompression: %v", err)
	}
}

func TestDecodeIndex_refuses(t *testing.T) {
	for name, c := range map[string]struct {
		raw  string
		want error
	}{
		"H75_with_layers":     {strings.Replace(indexJSON, `"manifests"`, `"layers":[],"manifests"`, 1), ErrAmbiguous},
		"H75_with_config":     {strings.Replace(indexJSON, `"manifests"`, `"config":{},"manifests"`, 1), ErrAmbiguous},
		"IS_I1_no_manifests":  {`{"schemaVersion":2}`, ErrMalformed},
		"IS_I1_manifest_type": {strings.Replace(indexJSON, ispec.MediaTypeImageIndex, ispec.MediaTypeImageManifest, 1), ErrMediaType},
		"IS_D2_child":         {strings.Replace(indexJSON, `"digest"`, `"digit"`, 1), ErrNoDigest},
		"H76_many":            {`{"schemaVersion":2,"manifests":[` + strings.Repeat(childJSON+",", MaxManifests) + childJSON + `]}`, ErrMalformed},
	} {
		if _, err := DecodeIndex([]byte(c.raw), ""); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestDecodeConfig_refuses(t *testing.T) {
	edit := func(old, with string) string { return strings.Replace(configJSON, old, with, 1) }
	for name, c := range map[string]struct {
		raw  string
		want error
	}{
		"IS_C1_no_architecture": {edit(`"architecture":"amd64",`, ``), ErrMalformed},
		"IS_C1_no_os":           {edit(`"os":"linux",`, ``), ErrMalformed},
		"IS_C1_rootfs_type":     {edit(`"layers"`, `"tarballs"`), ErrMalformed},
		"IS_C1_no_rootfs":       {edit(`"rootfs"`, `"rootfs2"`), ErrMalformed},
		"IS_C2_bad_diff_id":     {edit(emptyDigest.String(), "sha256:x"), ErrDigestInvalid},
		"IS_C2_algorithm":       {edit(emptyDigest.String(), "md5:x"), ErrAlgorithm},
		"H75_duplicate":         {edit(`"os"`, `"os":"windows","os"`), ErrDuplicateKey},
		"wrong_kind":            {edit(`["A=b"]`, `"A=b"`), ErrMalformed},
		"manifest":              {manifestJSON, ErrMalformed},
	} {
		if _, err := DecodeConfig([]byte(c.raw)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestNew_refuses(t *testing.T) {
	two := strings.Replace(configJSON, `"diff_ids":[`, fmt.Sprintf(`"diff_ids":[%q,`, emptyDigest), 1)
	twoManifest := strings.Replace(manifestJSON, configDesc, mustJSON(t, describe(ispec.MediaTypeImageConfig, two)), 1)
	artifact := strings.Replace(manifestJSON, ispec.MediaTypeImageConfig, ispec.MediaTypeEmptyJSON, 1)
	flipped := []byte(manifestJSON)
	flipped[len(flipped)-1] ^= 1
	for name, c := range map[string]struct {
		d             ispec.Descriptor
		manifest, cfg string
		want          error
	}{
		"H70_manifest_digest": {describe(ispec.MediaTypeImageManifest, manifestJSON), string(flipped), configJSON, ErrDigestMismatch},
		"H70_manifest_size":   {describe(ispec.MediaTypeImageManifest, manifestJSON), manifestJSON + " ", configJSON, ErrSizeMismatch},
		"H70_config_digest":   {describe(ispec.MediaTypeImageManifest, manifestJSON), manifestJSON, strings.Replace(configJSON, "A=b", "A=c", 1), ErrDigestMismatch},
		"H71_diff_ids_count":  {describe(ispec.MediaTypeImageManifest, twoManifest), twoManifest, two, ErrMalformed},
		"IS_M3_artifact":      {describe(ispec.MediaTypeImageManifest, artifact), artifact, "{}", ErrMediaType},
		"IS_X3_descriptor":    {describe(DockerManifest, manifestJSON), manifestJSON, configJSON, ErrMediaType},
	} {
		if _, err := New(c.d, []byte(c.manifest), []byte(c.cfg)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestDetectMediaType(t *testing.T) {
	for raw, want := range map[string]string{
		manifestJSON:                    ispec.MediaTypeImageManifest,
		indexJSON:                       ispec.MediaTypeImageIndex,
		`{"layers":[]}`:                 ispec.MediaTypeImageManifest,
		`{"manifests":[]}`:              ispec.MediaTypeImageIndex,
		`{"manifests":[],"layers":[]}`:  "",
		`{}`:                            "",
		`{"mediaType":"a/b","x":[1,2]}`: "a/b",
	} {
		got, err := DetectMediaType([]byte(raw))
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v, want %q", raw, got, err, want)
		}
	}
}

// FuzzDecode: a document that is accepted means the same to a parser that knows no case, and none is
// accepted both as an index and as a manifest.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{manifestJSON, indexJSON, configJSON, `{"a":{"a":[{}]}}`, `{"Layers":1,"layers":[]}`, `{"\u006cayers":[]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, errM := DecodeManifest(raw, "")
		_, errX := DecodeIndex(raw, "")
		if errM == nil && errX == nil {
			t.Fatal("an index and a manifest")
		}
		if _, err := DecodeConfig(raw); err == nil && !json.Valid(raw) {
			t.Fatal("not JSON")
		}
		if errM != nil {
			return
		}
		var exact map[string]json.RawMessage
		if err := json.Unmarshal(raw, &exact); err != nil {
			t.Fatal(err)
		}
		var layers []json.RawMessage
		if err := json.Unmarshal(exact["layers"], &layers); err != nil || len(layers) != len(m.Layers) {
			t.Fatalf("%d layers, but %d under that exact name", len(m.Layers), len(layers))
		}
		for _, l := range m.Layers {
			if err := ValidateDescriptor(l); err != nil {
				t.Fatal(err)
			}
		}
	})
}
