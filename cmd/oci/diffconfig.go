package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// diffConfigs compares the configs of two images, field by field: lists as a whole, but for the environment,
// which is taken by names. Layers and history are left out: the former are told by themselves, the
// latter proves nothing.
func diffConfigs(cmd *cobra.Command, sides []*diffSide) ([]diffedItem, error) {
	var fields [2]map[string]any
	for i, side := range sides {
		if side.dir != nil {
			return nil, usageErrorf(cmd, "--config: %s is no image", oneLine(side.name))
		}
		var doc map[string]any
		if err := json.Unmarshal(side.image.ConfigRaw(), &doc); err != nil {
			return nil, fmt.Errorf("config of %s: %w", oneLine(side.name), err)
		}
		delete(doc, "rootfs")
		delete(doc, "history")
		fields[i] = map[string]any{}
		flattenConfig(fields[i], "", doc)
	}
	a, b := fields[0], fields[1]
	items := []diffedItem{}
	for _, name := range slices.Sorted(maps.Keys(a)) {
		switch v, ok := b[name]; {
		case !ok:
			items = append(items, diffedItem{Field: name, Kind: "removed", Old: a[name]})
		case !reflect.DeepEqual(a[name], v):
			items = append(items, diffedItem{Field: name, Kind: "changed", Old: a[name], New: v})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if _, ok := a[name]; !ok {
			items = append(items, diffedItem{Field: name, Kind: "added", New: b[name]})
		}
	}
	slices.SortStableFunc(items, func(x, y diffedItem) int { return strings.Compare(x.Field, y.Field) })
	return items, nil
}

// flattenConfig gives the fields of an object as "name" and "name.name"; empty ones are as absent.
func flattenConfig(into map[string]any, prefix string, doc map[string]any) {
	for key, v := range doc {
		name := prefix + key
		switch v := v.(type) {
		case map[string]any:
			if len(v) == 0 {
				if strings.Count(prefix, ".") > 1 { // a volume or a port is a name with nothing below
					into[name] = v
				}
				continue
			}
			flattenConfig(into, name+".", v)
		case []any:
			if name == "config.Env" {
				flattenEnv(into, name, v)
			} else if len(v) > 0 {
				into[name] = v
			}
		case nil:
		case string:
			if v != "" {
				into[name] = v
			}
		default:
			into[name] = v
		}
	}
}

func flattenEnv(into map[string]any, name string, list []any) {
	for _, v := range list {
		text, _ := v.(string)
		key, value, _ := strings.Cut(text, "=")
		into[name+"."+key] = value
	}
}

// line is a field with what is different.
func (i diffedItem) line() string {
	switch i.Kind {
	case "added":
		return quote(i.Field) + ": " + jsonText(i.New)
	case "removed":
		return quote(i.Field) + ": " + jsonText(i.Old)
	}
	return quote(i.Field) + ": " + jsonText(i.Old) + " -> " + jsonText(i.New)
}

// jsonText is a value on one line, safe for a terminal.
func jsonText(v any) string {
	raw, err := marshalJSON(v)
	if err != nil {
		return quote(fmt.Sprint(v))
	}
	return string(raw)
}
