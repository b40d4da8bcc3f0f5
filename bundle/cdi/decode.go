package cdi

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	cdispec "tags.cncf.io/container-device-interface/specs-go"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/internal/rawjson"
	"github.com/oci-pipeline/oci/bundle/origin"
	"github.com/oci-pipeline/oci/bundle/yaml"
	"github.com/oci-pipeline/oci/conformance/spec"
)

// MaxFile is the longest file that is read: 4 MiB. A file for eight GPUs with all their libraries has some 100 KiB.
const MaxFile = 4 << 20

// Decode reads the content of a file in JSON and checks all of it. The error is a *bundle.Problem.
func Decode(raw []byte) (*cdispec.Spec, error) {
	s := new(cdispec.Spec)
	if err := bundle.Decode(raw, s); err != nil {
		return nil, err
	}
	if err := checkVersion(&cdispec.Spec{Version: s.Version}); err != nil { // before a property that a later version may have
		return nil, err
	}
	if err := known(rawjson.Value(strings.TrimSpace(string(raw))), reflect.TypeFor[cdispec.Spec](), ""); err != nil {
		return nil, err
	}
	return s, check(s)
}

// DecodeYAML is Decode for YAML, as far as package yaml reads it. The line of what it does not read is in the error, which wraps ErrYAML.
func DecodeYAML(raw []byte) (*cdispec.Spec, error) {
	n, err := yaml.Parse(raw)
	if err != nil {
		return nil, problem("", fmt.Errorf("%w: %w", ErrYAML, err), "")
	}
	doc, err := json.Marshal(plain(n, reflect.TypeFor[cdispec.Spec]()))
	if err != nil {
		return nil, problem("", err, "")
	}
	return Decode(doc)
}

// properties gives the types of the properties of a structure.
func properties(t reflect.Type) map[string]reflect.Type {
	list := make(map[string]reflect.Type, t.NumField())
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		list[name] = t.Field(i).Type
	}
	return list
}

// known refuses a property that no version has: it would be left out without a word, and with it what the vendor wanted.
func known(v rawjson.Value, t reflect.Type, pointer string) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	members, err := v.Members()
	if err != nil {
		return problem(pointer, err, "")
	}
	var names map[string]reflect.Type
	if t.Kind() == reflect.Struct {
		names = properties(t)
	}
	for _, m := range members {
		inner, at := t, pointer+"/"+spec.EscapeToken(m.Key)
		switch t.Kind() {
		case reflect.Struct:
			var ok bool
			if inner, ok = names[m.Key]; !ok {
				return problem(at, ErrUnknown, "")
			}
		case reflect.Slice, reflect.Map:
			inner = t.Elem()
		}
		if err := known(m.Value, inner, at); err != nil {
			return err
		}
	}
	return nil
}

// plain gives a value as package json takes it. A scalar is what the type wants it to be, if it can; else a text, which Decode refuses.
func plain(n *yaml.Node, t reflect.Type) any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case n.Absent():
		return nil
	case n.Kind == yaml.KindList:
		list := make([]any, 0, len(n.List))
		for _, e := range n.List {
			list = append(list, plain(e, elem(t)))
		}
		return list
	case n.Kind == yaml.KindMap:
		object := make(map[string]any, len(n.Keys))
		var names map[string]reflect.Type
		if t.Kind() == reflect.Struct {
			names = properties(t)
		}
		for _, k := range n.Keys {
			inner, ok := names[k.Name]
			if !ok {
				inner = elem(t)
			}
			object[k.Name] = plain(k.Value, inner)
		}
		return object
	case n.Quoted:
		return n.Text
	case t.Kind() == reflect.Bool && (n.Text == "true" || n.Text == "false"):
		return n.Text == "true"
	case reflect.Int <= t.Kind() && t.Kind() <= reflect.Uint64:
		if number, err := strconv.ParseInt(n.Text, 0, 64); err == nil { // 0666 is octal, as every reader of YAML into integers has it
			return number
		}
	}
	return n.Text
}

// elem is the type of what a list or a mapping holds; that of text where it should be neither.
func elem(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		return t.Elem()
	}
	return reflect.TypeFor[string]()
}

// checkVersion asks for a version that is known and has all that the file uses.
func checkVersion(s *cdispec.Spec) error {
	if s.Version == "" {
		return problem("/cdiVersion", bundle.ErrMissing, cdispec.CurrentVersion)
	}
	if err := cdispec.ValidateVersion(s); err != nil {
		return problem("/cdiVersion", fmt.Errorf("%w: %q: %w", ErrVersion, s.Version, err), cdispec.CurrentVersion)
	}
	return nil
}

// check asks of a file what SPEC.md and the library of CDI ask.
func check(s *cdispec.Spec) error {
	if err := checkKind(s.Kind); err != nil {
		return problem("/kind", err, "vendor.com/class")
	}
	if len(s.Devices) == 0 {
		return problem("/devices", bundle.ErrMissing, "at least one device")
	}
	seen := make(map[string]bool, len(s.Devices))
	for i := range s.Devices {
		d, at := &s.Devices[i], origin.At("/devices", i)
		if err := checkName("device", d.Name, true, "_-.:"); err != nil {
			return problem(at+"/name", err, "")
		}
		if seen[d.Name] {
			return problem(at+"/name", fmt.Errorf("%w: %q", bundle.ErrDuplicate, d.Name), "")
		}
		seen[d.Name] = true
		if reflect.ValueOf(d.ContainerEdits).IsZero() {
			return problem(at+"/containerEdits", fmt.Errorf("%w: a device that changes nothing", bundle.ErrMissing), "")
		}
		if err := checkEdits(&d.ContainerEdits, at+"/containerEdits"); err != nil {
			return err
		}
	}
	if err := checkEdits(&s.ContainerEdits, "/containerEdits"); err != nil {
		return err
	}
	return checkVersion(s)
}

// fileProblem wraps the problem of a file.
func fileProblem(path string, err error) error {
	var p *bundle.Problem
	if errors.As(err, &p) && p.Pointer == "" { // it would call the file config.json
		err = p.Err
	}
	return &Error{Op: "read CDI file", Subject: path, Err: err}
}
