package rawjson

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// Value is one JSON value, as it was written. It has been checked by whoever made it: bundle.Decode.
type Value json.RawMessage

// Member is an element of a list, with its index as Key, or a property of an object.
type Member struct {
	Key   string
	Value Value
}

// IsList and IsObject tell what can have members.
func (v Value) IsList() bool { return len(v) > 0 && v[0] == '[' }

// IsObject reports whether the members have names.
func (v Value) IsObject() bool { return len(v) > 0 && v[0] == '{' }

// Members are those of an object or a list, in their order; a scalar has none.
func (v Value) Members() ([]Member, error) {
	if !v.IsList() && !v.IsObject() {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(v))
	_, err := d.Token() // the opening bracket
	var list []Member
	for err == nil && d.More() {
		m := Member{Key: strconv.Itoa(len(list))}
		if v.IsObject() {
			var key json.Token
			if key, err = d.Token(); err != nil {
				break
			}
			m.Key, _ = key.(string)
		}
		var raw json.RawMessage
		err = d.Decode(&raw)
		m.Value = Value(raw)
		list = append(list, m)
	}
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Compact is the value without white space. Numbers and strings stay as they are spelled.
func (v Value) Compact() json.RawMessage {
	var b bytes.Buffer
	if err := json.Compact(&b, v); err != nil {
		return json.RawMessage(v)
	}
	return b.Bytes()
}
