package origin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle"
)

// value is a JSON value that is taken apart where that is asked for, and keeps the order of its members.
type value struct{ raw json.RawMessage }

type member struct {
	key string // of a list, the index
	value
}

// parse reads a config. bundle.Decode has its say first: on size, depth, count, and a key that occurs twice.
func parse(config []byte) (value, error) {
	if err := bundle.Decode(config, new(specs.Spec)); err != nil {
		return value{}, err
	}
	return value{bytes.TrimSpace(config)}, nil
}

func (v value) isList() bool { return v.raw[0] == '[' }

// members are those of an object or a list; a scalar has none.
func (v value) members() ([]member, error) {
	if v.raw[0] != '{' && v.raw[0] != '[' {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(v.raw))
	token, err := d.Token()
	var list []member
	for err == nil && d.More() {
		m := member{key: strconv.Itoa(len(list))}
		if !v.isList() {
			if token, err = d.Token(); err != nil {
				break
			}
			m.key, _ = token.(string)
		}
		err = d.Decode(&m.raw)
		list = append(list, m)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", bundle.ErrSyntax, err)
	}
	return list, nil
}

// compact is the value without white space. Only the bytes are compared: another spelling of a number or a string is an
// edit too.
func (v value) compact() json.RawMessage {
	var b bytes.Buffer
	if err := json.Compact(&b, v.raw); err != nil {
		return v.raw
	}
	return b.Bytes()
}
