package bundle

import (
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestDecodeAgreesWithTheStandardLibrary: on documents that both take, the result is the same.
func TestDecodeAgreesWithTheStandardLibrary(t *testing.T) {
	docs := []string{
		`{}`, ` { "ociVersion" : "1.0.2" } `, `{"process":null,"mounts":[]}`,
		`{"process":{"args":["a","\"\\\/\b\f\n\r\t","\u00e9\ud83d\ude00","ü"],"user":{"uid":4294967295,"gid":0,"umask":18,"additionalGids":[1,2]}}}`,
		`{"process":{"oomScoreAdj":-1000,"rlimits":[{"type":"RLIMIT_CORE","hard":18446744073709551615,"soft":0}],"terminal":true,"noNewPrivileges":false}}`,
		`{"linux":{"devices":[{"path":"/dev/x","type":"c","major":1,"minor":3,"fileMode":438}],"resources":{"blockIO":{"weightDevice":[{"major":8,"minor":0,"weight":10}]}}}}`,
		`{"annotations":{"a":"b","c/d~e":""},"linux":{"sysctl":{},"timeOffsets":{"monotonic":{"secs":-5}}}}`,
		`{"windows":{"layerFolders":["x"],"credentialSpec":{"a":[1,2.5,"x",null,true]}},"unknown":{"deep":[[{}]]}}`,
		`{"hooks":{"prestart":[{"path":"/x","timeout":5}]}}`,
	}
	for _, doc := range docs {
		var got, want specs.Spec
		if err := Decode([]byte(doc), &got); err != nil {
			t.Errorf("%s: %v", doc, err)
			continue
		}
		if err := json.Unmarshal([]byte(doc), &want); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s:\n%s", doc, d)
		}
	}
}

// TestDecodeDefaultSpec: what we write we read.
func TestDecodeDefaultSpec(t *testing.T) {
	want := DefaultSpec()
	raw, err := Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got := new(specs.Spec)
	if err := Decode(raw, got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestIS_X2_refused: each kind of bad document, with the pointer of the fault.
func TestIS_X2_refused(t *testing.T) {
	deep := strings.Repeat(`[`, 100) + strings.Repeat(`]`, 100)
	for _, tt := range []struct {
		doc, pointer string
		want         error
	}{
		{``, "", ErrType},
		{`[]`, "", ErrType},
		{`"x"`, "", ErrType},
		{`{`, "", ErrSyntax},
		{`{} {}`, "", ErrSyntax},
		{"\xef\xbb\xbf{}", "", ErrType},
		{`{"a":1,}`, "", ErrSyntax},
		{`{a:1}`, "", ErrSyntax},
		{`{"a" 1}`, "/a", ErrSyntax},
		{`{"a":tru}`, "/a", ErrSyntax},
		{`{"a":01}`, "/a", ErrSyntax},
		{`{"a":1.}`, "/a", ErrSyntax},
		{`{"a":-}`, "/a", ErrSyntax},
		{`{"a":1e}`, "/a", ErrSyntax},
		{`{"a":+1}`, "/a", ErrSyntax},
		{`{"a":NaN}`, "/a", ErrSyntax},
		{`{"a":"x`, "/a", ErrSyntax},
		{"{\"a\":\"x\ny\"}", "/a", ErrSyntax},
		{`{"a":"\x"}`, "/a", ErrSyntax},
		{`{"a":"\u12"}`, "/a", ErrSyntax},
		{`{"a":"\ud800"}`, "/a", ErrSyntax},
		{`{"a":"\ud800\u0041"}`, "/a", ErrSyntax},
		{"{\"a\":\"\xff\"}", "/a", ErrSyntax},
		{"{\"a\":\"\\n\xff\"}", "/a", ErrSyntax},
		{`{"ociVersion":"1.0.2","ociVersion":"1.0.2"}`, "/ociVersion", ErrDuplicateKey},
		{`{"process":{"cwd":"/","cwd":"/x"}}`, "/process/cwd", ErrDuplicateKey},
		{`{"unknown":{"a":1,"b":2,"\u0061":3}}`, "/unknown/a", ErrDuplicateKey},
		{`{"annotations":{"a":"1","a":"1"}}`, "/annotations/a", ErrDuplicateKey},
		{`{"x":` + deep + `}`, "", ErrTooDeep},
		{`{"process":[]}`, "/process", ErrType},
		{`{"process":{"args":"sh"}}`, "/process/args", ErrType},
		{`{"process":{"args":["sh",1]}}`, "/process/args/1", ErrType},
		{`{"process":{"terminal":"true"}}`, "/process/terminal", ErrType},
		{`{"process":{"user":{"uid":-1}}}`, "/process/user/uid", ErrType},
		{`{"process":{"user":{"uid":4294967296}}}`, "/process/user/uid", ErrType},
		{`{"process":{"user":{"uid":1.0}}}`, "/process/user/uid", ErrType},
		{`{"process":{"user":{"uid":"0"}}}`, "/process/user/uid", ErrType},
		{`{"process":{"oomScoreAdj":9223372036854775808}}`, "/process/oomScoreAdj", ErrType},
		{`{"annotations":{"a/b~c":1}}`, "/annotations/a~1b~0c", ErrType},
		{`{"annotations":["a"]}`, "/annotations", ErrType},
		{`{"mounts":[{"destination":"/"},7]}`, "/mounts/1", ErrType},
	} {
		err := Decode([]byte(tt.doc), new(specs.Spec))
		var p *Problem
		if !errors.Is(err, tt.want) || !errors.As(err, &p) {
			t.Errorf("%.60s: got %v, want %v", tt.doc, err, tt.want)
		} else if p.Pointer != tt.pointer && tt.want != ErrTooDeep {
			t.Errorf("%.60s: pointer %q, want %q", tt.doc, p.Pointer, tt.pointer)
		}
	}
}

// TestDecodeBounds: size and count, whatever the nesting.
func TestDecodeBounds(t *testing.T) {
	if err := Decode(make([]byte, MaxConfigSize+1), new(specs.Spec)); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	many := `{"mounts":[` + strings.Repeat(`{},`, maxValues) + `{}]}`
	if err := Decode([]byte(many), new(specs.Spec)); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	if err := Decode([]byte(`{}`), specs.Spec{}); !errors.Is(err, ErrType) {
		t.Error(err)
	}
	if err := Decode([]byte(`{}`), (*specs.Spec)(nil)); !errors.Is(err, ErrType) {
		t.Error(err)
	}
}

// TestDecodeManyKeys: duplicates are found in large objects too, wherever they are.
func TestDecodeManyKeys(t *testing.T) {
	for _, again := range []string{"k0", "k15", "k16", "k99"} {
		m := map[string]string{}
		for i := range 100 {
			m["k"+strconv.Itoa(i)] = "v"
		}
		raw, _ := json.Marshal(m)
		doc := `{"annotations":` + string(raw) + `}`
		if err := Decode([]byte(doc), new(specs.Spec)); err != nil {
			t.Fatal(err)
		}
		doc = strings.TrimSuffix(doc, "}}") + `,"` + again + `":""}}`
		if err := Decode([]byte(doc), new(specs.Spec)); !errors.Is(err, ErrDuplicateKey) {
			t.Errorf("%s: %v", again, err)
		}
	}
}

// TestDecodeExactSpelling: "CWD" is an unknown property and not cwd.
func TestDecodeExactSpelling(t *testing.T) {
	var s specs.Spec
	if err := Decode([]byte(`{"Process":{"cwd":"/x"},"OCIVERSION":"9","process":{"CWD":"/y","cwd":"/"}}`), &s); err != nil {
		t.Fatal(err)
	}
	if s.Version != "" || s.Process.Cwd != "/" {
		t.Errorf("%+v", s)
	}
}

// FuzzDecode: what is accepted is JSON, and reading what is written of it gives the same again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"ociVersion":"1.0.2","process":{"args":["\u00e9"],"user":{"uid":1}},"x":[1,2.5e3,null]}`))
	f.Add([]byte(`{"annotations":{"a":"1"},"linux":{"resources":{"devices":[{"allow":true,"major":-1}]}}}`))
	if raw, err := os.ReadFile("convert/testdata/full.golden.json"); err == nil {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var first, second specs.Spec
		if Decode(doc, &first) != nil {
			return
		}
		if !json.Valid(doc) {
			t.Fatalf("accepted what is no JSON: %q", doc)
		}
		raw, err := Marshal(&first)
		if err != nil {
			t.Fatal(err)
		}
		if first.Windows == nil && string(raw) != standard(t, &first) {
			t.Fatalf("%s is not what encoding/json gives", raw)
		}
		if err := Decode(raw, &second); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		again, err := Marshal(&second)
		if err != nil || string(raw) != string(again) {
			t.Fatalf("%s became %s", raw, again)
		}
		Validate(&first)
	})
}
