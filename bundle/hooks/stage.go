package hooks

import (
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Add puts a hook behind those of a stage and gives the JSON pointer at which it is; "" for a stage that is none of Stages.
func Add(to *specs.Hooks, stage string, h specs.Hook) string {
	list := At(to, stage)
	if list == nil {
		return ""
	}
	*list = append(*list, h)
	return "/hooks/" + stage + "/" + strconv.Itoa(len(*list)-1)
}

// At gives the list of the hooks of a stage; nil for a stage that is none of Stages.
func At(h *specs.Hooks, stage string) *[]specs.Hook {
	switch stage {
	case "prestart":
		//lint:ignore SA1019 prestart is deprecated, and what most files say
		return &h.Prestart
	case "createRuntime":
		return &h.CreateRuntime
	case "createContainer":
		return &h.CreateContainer
	case "startContainer":
		return &h.StartContainer
	case "poststart":
		return &h.Poststart
	case "poststop":
		return &h.Poststop
	}
	return nil
}
