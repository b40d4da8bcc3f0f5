package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

const (
	// MaxConfigSize is the largest config.json that is read: 8 MiB. The largest seen in use,
	// with a seccomp profile and a thousand mounts, is below 200 KiB.
	MaxConfigSize = 8 << 20
	// maxDepth is how deep values may nest. runtime-spec's own structures need 8.
	maxDepth = 64
	// maxValues is how many values a document may hold: 3 bytes of JSON can become 200 bytes of a
	// struct, so the size alone does not bound the memory.
	maxValues = 1 << 18
)

// Decode reads one JSON document into v, a pointer to a structure of runtime-spec (specs.Spec,
// specs.Process, specs.LinuxResources, ...). Unlike encoding/json it refuses a key that occurs
// twice, takes a key only in its exact spelling (so that "CWD" is an unknown property, as for
// every runtime written in C), refuses text that is not UTF-8, and bounds depth and count.
// Unknown properties are skipped, null leaves a property absent. Errors are *Problem with the
// pointer of the value at fault.
func Decode(raw []byte, v any) error {
	if len(raw) > MaxConfigSize {
		return &Problem{Err: fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(raw), MaxConfigSize)}
	}
	target := reflect.ValueOf(v)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return &Problem{Err: fmt.Errorf("%w: cannot decode into %T", ErrType, v)}
	}
	return (&decoder{scanner: scanner{data: raw}, layouts: make(layouts)}).document(target.Elem())
}

// document decodes all of the text.
func (d *decoder) document(v reflect.Value) error {
	if err := d.value(v); err != nil {
		return err
	}
	d.space()
	if d.pos != len(d.data) {
		return d.syntax("data after the document")
	}
	return nil
}

// decoder fills values from the tokens that its scanner finds.
type decoder struct {
	scanner
	layouts layouts
}

// value decodes one value. Where problems are noted, one of the wrong type is stepped over as if it were absent.
func (d *decoder) value(v reflect.Value) error {
	d.space()
	start, depth := d.pos, len(d.path)
	err := d.typed(v)
	if d.notes == nil || err == nil || !errors.Is(err, ErrType) {
		return err
	}
	if err := d.wrongType(err); err != nil {
		return err
	}
	d.pos, d.path = start, d.path[:depth]
	v.SetZero()
	return d.skip()
}

func (d *decoder) typed(v reflect.Value) error {
	if d.literal("null") {
		v.SetZero()
		if err := d.null(); err != nil {
			return err
		}
		return d.count()
	}
	switch v.Kind() {
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		if err := d.value(p.Elem()); err != nil {
			return err
		}
		v.Set(p)
		return nil
	case reflect.Struct:
		return d.structure(v)
	case reflect.Map:
		return d.mapping(v)
	case reflect.Slice:
		return d.list(v)
	case reflect.Interface:
		return d.any(v)
	}
	if err := d.count(); err != nil {
		return err
	}
	return d.scalar(v)
}

// structure decodes an object into a structure, and asks for the properties that its zero value cannot miss.
func (d *decoder) structure(v reflect.Value) error {
	want := requiredOf(v.Type())
	var seen uint8
	err := d.object(func(key string) error {
		for i, name := range want.names {
			if name == key && !d.atNull() {
				seen |= 1 << i
			}
		}
		return d.property(v, key)
	})
	for i, name := range want.names {
		if err == nil && seen&(1<<i) == 0 {
			err = d.lacks(v, name, want)
		}
	}
	return err
}

// property decodes the value of one key of an object into the field of that name, or skips it.
func (d *decoder) property(v reflect.Value, key string) error {
	name := key
	if key == hwConfig && v.Type() == reflect.TypeFor[specs.VM]() {
		name = "hwconfig" // as specs-go spells what config-vm.md and the schema call hwConfig
	}
	fields := d.layouts.of(v.Type())
	for _, f := range fields {
		if f.name == name {
			d.uses(v.Type(), name)
			return d.value(v.FieldByIndex(f.index))
		}
	}
	if err := d.unknown(key, fields); err != nil {
		return err
	}
	return d.skip()
}

func (d *decoder) mapping(v reflect.Value) error {
	t := v.Type()
	if t.Key().Kind() != reflect.String {
		return d.fail(ErrType, "cannot decode into "+t.String())
	}
	v.Set(reflect.MakeMap(t))
	return d.object(func(key string) error {
		e := reflect.New(t.Elem()).Elem()
		if err := d.value(e); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(key).Convert(t.Key()), e)
		return nil
	})
}

func (d *decoder) list(v reflect.Value) error {
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	return d.array(func(i int) error {
		v.Grow(1)
		v.SetLen(i + 1)
		return d.value(v.Index(i))
	})
}

// any keeps a value of no fixed type (windows.credentialSpec) as encoding/json would.
func (d *decoder) any(v reflect.Value) error {
	start := d.pos
	if err := d.skip(); err != nil {
		return err
	}
	if err := json.Unmarshal(d.data[start:d.pos], v.Addr().Interface()); err != nil {
		return d.fail(ErrSyntax, err.Error())
	}
	return nil
}

func (d *decoder) scalar(v reflect.Value) error {
	switch kind := v.Kind(); kind {
	case reflect.String:
		if d.peek() != '"' {
			return d.mismatch("a string")
		}
		s, err := d.text()
		if err != nil {
			return err
		}
		v.SetString(s)
		return nil
	case reflect.Bool:
		t := d.literal("true")
		if !t && !d.literal("false") {
			return d.mismatch("true or false")
		}
		v.SetBool(t)
		return nil
	default:
		return d.number(v)
	}
}

func (d *decoder) number(v reflect.Value) error {
	if c := d.peek(); c != '-' && (c < '0' || c > '9') {
		return d.mismatch("a number")
	}
	s, err := d.digits()
	if err != nil {
		return err
	}
	switch {
	case v.CanInt():
		n, err := strconv.ParseInt(s, 10, v.Type().Bits())
		if err != nil {
			return d.fail(ErrType, fmt.Sprintf("%s is not an integer of %d bits", s, v.Type().Bits()))
		}
		v.SetInt(n)
	case v.CanUint():
		n, err := strconv.ParseUint(s, 10, v.Type().Bits())
		if err != nil {
			return d.fail(ErrType, fmt.Sprintf("%s is not an unsigned integer of %d bits", s, v.Type().Bits()))
		}
		v.SetUint(n)
	case v.CanFloat():
		n, err := strconv.ParseFloat(s, v.Type().Bits())
		if err != nil {
			return d.fail(ErrType, s+" is out of range")
		}
		v.SetFloat(n)
	default:
		return d.fail(ErrType, "cannot decode into "+v.Type().String())
	}
	return nil
}

func (d *decoder) mismatch(want string) error {
	return d.fail(ErrType, "want "+want+", found "+d.found())
}

func (d *decoder) fail(kind error, why string) error {
	return &Problem{Pointer: d.pointer(), Clause: spec.BundleJSON, Err: fmt.Errorf("%w: %s", kind, why)}
}
