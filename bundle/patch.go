package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle/internal/rawjson"
	"github.com/oci-pipeline/oci/conformance/spec"
)

// Patch gives the text of a config in which what differs between before and after is as it is in after. All else stays as it was
// written: properties that specs.Spec has no field for, the order of members, the spelling of numbers. before is what Decode made of
// raw. Elements of a list are found again by what names them (a mount by its destination, a limit by its type) where they are not equal.
// The white space is that of Marshal.
func Patch(raw []byte, before, after *specs.Spec) ([]byte, error) {
	old, err := Marshal(before)
	if err != nil {
		return nil, err
	}
	wanted, err := Marshal(after)
	if err != nil {
		return nil, err
	}
	out, err := patched("", rawjson.Value(bytes.TrimSpace(raw)), rawjson.Value(bytes.TrimSpace(old)), rawjson.Value(bytes.TrimSpace(wanted)))
	if err != nil {
		return nil, err
	}
	return indent(out)
}

func indent(v rawjson.Value) ([]byte, error) {
	var b bytes.Buffer
	if err := json.Indent(&b, v, "", "\t"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	return append(b.Bytes(), '\n'), nil
}

// patched gives v with the changes from before to after. property is the name of the member that v is.
func patched(property string, v, before, after rawjson.Value) (rawjson.Value, error) {
	switch {
	case bytes.Equal(before, after):
		return v, nil
	case v.IsObject() && before.IsObject() && after.IsObject():
		return patchedObject(v, before, after)
	case v.IsList() && before.IsList() && after.IsList():
		return patchedList(property, v, before, after)
	}
	return after, nil
}

func patchedObject(v, before, after rawjson.Value) (rawjson.Value, error) {
	var parts [3][]rawjson.Member
	for i, o := range []rawjson.Value{v, before, after} {
		var err error
		if parts[i], err = o.Members(); err != nil {
			return nil, err
		}
	}
	var members []rawjson.Member
	for _, m := range parts[0] {
		old, wanted := member(parts[1], m.Key), member(parts[2], m.Key)
		var err error
		switch {
		case wanted != nil:
			m.Value, err = patched(m.Key, m.Value, old, wanted)
		case old != nil:
			continue
		}
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	for _, m := range parts[2] {
		// What Marshal writes also if nobody said it is no change.
		if member(parts[0], m.Key) == nil && !bytes.Equal(member(parts[1], m.Key), m.Value) {
			members = append(members, m)
		}
	}
	return object(members), nil
}

func member(members []rawjson.Member, key string) rawjson.Value {
	for _, m := range members {
		if m.Key == key {
			return m.Value
		}
	}
	return nil
}

func object(members []rawjson.Member) rawjson.Value {
	e := encoder{out: []byte{'{'}}
	for i, m := range members {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		e.key(m.Key)
		e.out = append(e.out, m.Value...)
	}
	return append(e.out, '}')
}

func patchedList(property string, v, before, after rawjson.Value) (rawjson.Value, error) {
	was, err := v.Members()
	if err != nil {
		return nil, err
	}
	old, err := before.Members()
	if err != nil {
		return nil, err
	}
	wanted, err := after.Members()
	if err != nil {
		return nil, err
	}
	if len(was) != len(old) { // cannot be, if before is what v says
		return after, nil
	}
	values := make([]rawjson.Value, len(wanted))
	used := make([]bool, len(old))
	for _, same := range []func(a, b rawjson.Value) bool{
		func(a, b rawjson.Value) bool { return bytes.Equal(a, b) },
		func(a, b rawjson.Value) bool { n := nameOf(property, a); return n != "" && n == nameOf(property, b) },
	} {
		for i, m := range wanted {
			at := slices.IndexFunc(old, func(o rawjson.Member) bool { k, _ := strconv.Atoi(o.Key); return !used[k] && same(o.Value, m.Value) })
			if values[i] != nil || at < 0 {
				continue
			}
			used[at] = true
			if values[i], err = patched("", was[at].Value, old[at].Value, m.Value); err != nil {
				return nil, err
			}
		}
	}
	for i := range values {
		if values[i] == nil {
			values[i] = wanted[i].Value
		}
	}
	return list(values), nil
}

func list(values []rawjson.Value) rawjson.Value {
	out := rawjson.Value{'['}
	for i, v := range values {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, v...)
	}
	return append(out, ']')
}

// naming gives the property that names the elements of a list.
func naming(property string) string {
	switch property {
	case "mounts":
		return "destination"
	case "namespaces", "rlimits":
		return "type"
	case "devices", "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop":
		return "path"
	case "hugepageLimits":
		return "pageSize"
	case "networks", "priorities":
		return "name"
	}
	return ""
}

// nameOf is what names an element of a list; "" if nothing does. A string NAME=value is named by NAME.
func nameOf(property string, v rawjson.Value) string {
	if !v.IsObject() {
		var text string
		if json.Unmarshal(v, &text) != nil {
			return ""
		}
		name, _, found := strings.Cut(text, "=")
		if !found || property != "env" {
			return text
		}
		return name
	}
	members, err := v.Members()
	if err != nil {
		return ""
	}
	var name string
	if raw := member(members, naming(property)); raw == nil || json.Unmarshal(raw, &name) != nil {
		return ""
	}
	return name
}

// Remove gives the text of a config without the value at a JSON pointer (RFC 6901). Instead of its index an element of a list may be
// named: a mount by its destination ("/mounts/~1proc"), a variable by its name ("/process/env/TERM"), a namespace or limit by its
// type, a device or hook by its path, and a string by itself; all that have the name are removed. A pointer to nothing is ErrMissing.
// The text needs to be JSON as Decode takes it, but no config that it could read: what is removed may be what was wrong.
func Remove(raw []byte, pointer string) ([]byte, error) {
	if err := checkSyntax(raw); err != nil {
		return nil, err
	}
	fail := func(kind error, why string) error {
		return &Problem{Pointer: pointer, Err: fmt.Errorf("%w: %s", kind, why)}
	}
	switch {
	case pointer == "" || pointer == "/":
		return nil, fail(ErrInvalid, "the whole document cannot be removed")
	case pointer[0] != '/':
		return nil, fail(ErrInvalid, "not a JSON pointer, such as /process/env/0")
	}
	tokens := strings.Split(pointer[1:], "/")
	for i, t := range tokens {
		tokens[i] = spec.UnescapeToken(t)
	}
	out, ok, err := without("", rawjson.Value(bytes.TrimSpace(raw)), tokens)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, fail(ErrMissing, "there is nothing to remove")
	}
	return indent(out)
}

// checkSyntax refuses what Decode would refuse as JSON, whatever it says.
func checkSyntax(raw []byte) error {
	if len(raw) > MaxConfigSize {
		return &Problem{Err: fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(raw), MaxConfigSize)}
	}
	s := scanner{data: raw}
	if err := s.skip(); err != nil {
		return err
	}
	if s.space(); s.pos != len(s.data) {
		return s.syntax("data after the document")
	}
	return nil
}

// without gives v without what the tokens lead to; ok is false if that is nothing.
func without(property string, v rawjson.Value, tokens []string) (out rawjson.Value, ok bool, err error) {
	members, err := v.Members()
	if err != nil {
		return nil, false, err
	}
	token := tokens[0]
	var kept []rawjson.Member
	for _, m := range members {
		switch {
		case m.Key != token && !(v.IsList() && !isIndex(token) && nameOf(property, m.Value) == token):
		case len(tokens) == 1:
			ok = true
			continue
		default:
			var found bool
			if m.Value, found, err = without(m.Key, m.Value, tokens[1:]); err != nil {
				return nil, false, err
			}
			ok = ok || found
		}
		kept = append(kept, m)
	}
	switch {
	case !ok:
		return v, false, nil
	case v.IsObject():
		return object(kept), true, nil
	}
	values := make([]rawjson.Value, len(kept))
	for i, m := range kept {
		values[i] = m.Value
	}
	return list(values), true, nil
}

func isIndex(token string) bool {
	_, err := strconv.ParseUint(token, 10, 31)
	return err == nil && (token == "0" || token[0] != '0')
}
