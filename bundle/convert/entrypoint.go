package convert

import (
	"encoding/json"
	"strings"
)

// ParseEntrypoint reads the value of --entrypoint: a JSON array of strings, or one program; ""
// is no entrypoint at all, given as an empty slice that is not nil.
func ParseEntrypoint(value string) ([]string, error) {
	switch {
	case value == "":
		return []string{}, nil
	case strings.HasPrefix(value, "["):
		var args []string
		if err := json.Unmarshal([]byte(value), &args); err != nil || args == nil {
			return nil, usage("--entrypoint", value, "want a JSON array of strings, or a program")
		}
		return args, nil
	}
	return []string{value}, nil
}
