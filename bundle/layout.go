package bundle

import (
	"reflect"
	"slices"
	"strings"
)

// layouts remembers the JSON properties of the structures met in one document. Nothing is prepared
// for those that do not occur: encoding/json does so for all that can be reached from specs.Spec,
// zOS and Windows included, which costs more than reading or writing the document.
type layouts map[reflect.Type][]field

// field is one property; index is the path through embedded structures.
type field struct {
	name      string
	index     []int
	omitEmpty bool
}

// of lists the properties of a structure in their order, those of embedded structures included.
func (ls layouts) of(t reflect.Type) []field {
	if fs, ok := ls[t]; ok {
		return fs
	}
	var fs []field
	for i := range t.NumField() {
		sf := t.Field(i)
		name, options, _ := strings.Cut(sf.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case sf.Anonymous && name == "" && sf.Type.Kind() == reflect.Struct:
			for _, f := range ls.of(sf.Type) {
				fs = append(fs, field{f.name, append([]int{i}, f.index...), f.omitEmpty})
			}
		case sf.IsExported():
			if name == "" {
				name = sf.Name
			}
			fs = slices.DeleteFunc(fs, func(f field) bool { return f.name == name })
			fs = append(fs, field{name, []int{i}, strings.Contains(options, "omitempty")})
		}
	}
	ls[t] = fs
	return fs
}
