package rawjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"testing"
)

// reference takes a document apart by encoding/json.
func reference(v Value) (list []Member, err error) {
	d := json.NewDecoder(bytes.NewReader(v))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	for d.More() {
		m := Member{Key: strconv.Itoa(len(list))}
		if v.IsObject() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			m.Key, _ = key.(string)
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, err
		}
		m.Value = Value(raw)
		list = append(list, m)
	}
	return list, nil
}

func samples() []string {
	return []string{
		`{}`, `[]`, `{ "a" : 1 , "b":[1,2,{"c":"]}"}] ,"c\"\u0041\/":{"x":null}, "":"" }`, "[ 1.50e+3,\"a\\\\\",true , null,[[]],{}\n]", `{"a":"\ud83d\ude00","b":"{"}`,
	}
}

func TestMembers(t *testing.T) {
	for _, s := range samples() {
		want, err := reference(Value(s))
		if err != nil {
			t.Fatal(err)
		}
		got, err := Value(s).Members()
		if err != nil || !slices.EqualFunc(got, want, func(a, b Member) bool { return a.Key == b.Key && bytes.Equal(a.Value, b.Value) }) {
			t.Errorf("%s: %q, %v; want %q", s, got, err, want)
		}
	}
	for _, s := range []string{`{`, `[`, `[1`, `[1 2]`, `[1,]`, `[,1]`, `{"a"}`, `{"a":}`, `{a:1}`, `{"a":1,}`, `["`, `["\`, `{"a" 1}`, `{"\x":1}`, `[1}`, `{"a":[1`} {
		if got, err := Value(s).Members(); !errors.Is(err, ErrSyntax) {
			t.Errorf("%s: %q, %v", s, got, err)
		}
	}
	for _, s := range []string{``, `1`, `"a"`, `null`} {
		if got, err := Value(s).Members(); err != nil || got != nil {
			t.Errorf("%s: %q, %v", s, got, err)
		}
	}
}

// FuzzMembers: of a document that encoding/json takes, the members are those that it finds.
func FuzzMembers(f *testing.F) {
	for _, s := range samples() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v := Value(bytes.TrimSpace(raw))
		got, err := v.Members()
		if !json.Valid(raw) || !v.IsList() && !v.IsObject() {
			return // it ends, that is all
		}
		if err != nil {
			t.Fatal(err)
		}
		want, err := reference(v)
		if err != nil || !slices.EqualFunc(got, want, func(a, b Member) bool { return a.Key == b.Key && bytes.Equal(a.Value, b.Value) }) {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, v); err != nil || !bytes.Equal(compact.Bytes(), v.Compact()) {
			t.Errorf("%q, %v; want %q", v.Compact(), err, compact.Bytes())
		}
	})
}
