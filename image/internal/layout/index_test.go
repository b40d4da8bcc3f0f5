package layout

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// FuzzIndex: an index.json that is accepted can be edited and is still accepted, and nothing of its
// other entries is lost.
func FuzzIndex(f *testing.F) {
	const entry = `{"mediaType":"a/b","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0,"annotations":{"org.opencontainers.image.ref.name":"x"},"other":[1]}`
	f.Add([]byte(`{"schemaVersion":2,"manifests":[]}`), "x")
	f.Add([]byte(`{"schemaVersion":2,"manifests":[`+entry+`],"a":{}}`), "x")
	f.Add([]byte(`{"schemaVersion":2,"Manifests":1,"manifests":[`+entry+`,`+entry+`]}`), "y")
	d := ispec.Descriptor{MediaType: "a/b", Digest: digest.FromString("new"), Size: 3}
	f.Fuzz(func(t *testing.T, raw []byte, name string) {
		x, err := DecodeIndex(raw)
		if err != nil || name == "" {
			return
		}
		others := make(map[string]int)
		for _, e := range x.entries {
			if got, ok := e.desc.Annotations[ispec.AnnotationRefName]; !ok || got != name {
				others[string(e.raw)]++
			}
		}
		if err := x.Set(name, d); err != nil {
			t.Fatal(err)
		}
		raw, err = x.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeIndex(raw)
		if err != nil {
			t.Fatalf("%v: %s", err, raw)
		}
		if len(again.entries) != len(x.entries) {
			t.Fatalf("%d entries, want %d", len(again.entries), len(x.entries))
		}
		total := 0
		for _, n := range others {
			total += n
		}
		if total != len(x.entries)-1 {
			t.Fatalf("%d other entries, want %d", len(x.entries)-1, total)
		}
		if _, ok := again.FindDigest(d.Digest); !ok {
			t.Fatal("what was set is not there")
		}
	})
}

// FuzzMarker: what passes for the file oci-layout is one JSON object that names the one version.
func FuzzMarker(f *testing.F) {
	for _, s := range []string{Marker, `{"imageLayoutVersion":"1.0.0","more":[{}]}`, `{"imageLayoutVersion":"2.0.0"}`, `{"ImageLayoutVersion":"1.0.0"}`, `{}`, `[]`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if CheckMarker(raw) != nil {
			return
		}
		var v map[string]any
		if err := json.Unmarshal(raw, &v); err != nil || v["imageLayoutVersion"] != "1.0.0" {
			t.Fatalf("%q: %v, %v", raw, v, err)
		}
	})
}

// A member that is there twice has two meanings, and one in other letters none.
func TestCheckMarker_H75(t *testing.T) {
	for text, ok := range map[string]bool{
		Marker: true, Marker + "\n": true,
		`{"imageLayoutVersion":"1.0.0","imageLayoutVersion":"2.0.0"}`: false,
		`{"imageLayoutVersion":"2.0.0","imageLayoutVersion":"1.0.0"}`: false,
		`{"ImageLayoutVersion":"1.0.0"}`:                              false, `{}`: false, `[]`: false, Marker + Marker: false, "": false,
	} {
		if err := CheckMarker([]byte(text)); (err == nil) != ok || !ok && !errors.Is(err, ErrNotLayout) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestIndex_Add(t *testing.T) {
	x := NewIndex()
	one := ispec.Descriptor{MediaType: "a/b", Digest: digest.FromString("one"), Size: 3}
	two := ispec.Descriptor{MediaType: "a/b", Digest: digest.FromString("two"), Size: 3, Data: []byte("two"), URLs: []string{"https://x"}}
	for _, d := range []ispec.Descriptor{one, one, two} {
		if err := x.Add("", d); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Add("name", one); err != nil {
		t.Fatal(err)
	}
	list := x.Entries()
	if len(list) != 3 || list[1].Data != nil || list[1].URLs != nil || list[2].Annotations[ispec.AnnotationRefName] != "name" {
		t.Errorf("%v", list)
	}
	if _, ok, err := x.Find("name"); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	if n := x.Remove(""); n != 0 {
		t.Errorf("removing no name removed %d", n)
	}
}
