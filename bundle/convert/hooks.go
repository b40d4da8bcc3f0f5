package convert

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle/hooks"
	"github.com/oci-pipeline/oci/bundle/origin"
)

// hooksDirs adds the hooks of HooksDirs that fit the container. Annotations count that the user has set, not labels of the image: an
// image must not choose what runs on the host (H-84). hasBindMounts means what oci-hooks(5) says, directories of the host and volumes; podman
// adds such hooks for a tmpfs too. The command is the program that was asked for, also with an init before it.
func (c *conversion) hooksDirs() error {
	user, err := c.userAnnotations()
	if err != nil {
		return err
	}
	return c.addHooks(user)
}

// hookLists gives the hooks of a config by their stages, apart from it.
func hookLists(s *specs.Spec) map[string][]specs.Hook {
	lists := map[string][]specs.Hook{}
	if s.Hooks != nil {
		for _, stage := range hooks.Stages() {
			lists[stage] = slices.Clone(*hooks.At(s.Hooks, stage))
		}
	}
	return lists
}

// newHooks takes out what an edit has added a second time: nobody wants a program to run twice for having asked twice.
func (c *conversion) newHooks() error {
	if c.spec.Hooks == nil {
		return nil
	}
	for stage, before := range c.found {
		list := hooks.At(c.spec.Hooks, stage)
		added := slices.DeleteFunc(slices.Clone((*list)[len(before):]), func(h specs.Hook) bool {
			return slices.ContainsFunc(before, func(o specs.Hook) bool { return reflect.DeepEqual(o, h) })
		})
		*list = append((*list)[:len(before)], added...)
	}
	return nil
}

// editHooks is hooksDirs for a config that is there: its own annotations count too, as its own hooks do.
func (c *conversion) editHooks() error { return c.addHooks(maps.Clone(c.spec.Annotations)) }

func (c *conversion) addHooks(annotations map[string]string) error {
	if len(c.o.HooksDirs) == 0 {
		return nil
	}
	set, err := hooks.Load(c.o.HooksDirs...)
	if err != nil {
		return &UsageError{Flag: "--hooks-dir", Value: strings.Join(c.o.HooksDirs, " "), Err: err}
	}
	container := hooks.Container{Annotations: annotations}
	if args := Program(c.spec); len(args) > 0 {
		container.Command = args[0]
	}
	mounts, err := parseMounts(c.o)
	if err != nil {
		return err
	}
	container.BindMounts = len(c.o.VolumesFrom) > 0 || slices.ContainsFunc(mounts, func(f mountFlag) bool { return f.kind == kindBind || f.kind == kindVolume })
	set.For(container).AddTo(c.spec, func(pointer string) { c.mark(pointer, "--hooks-dir") })
	return nil
}

// mark notes that a flag made the value at a pointer, for SpecWithOrigins.
func (c *conversion) mark(pointer, flag string) {
	c.marked = append(c.marked, origin.Mark{Pointer: pointer, Kind: origin.Flag, Name: flag})
}
