package hooks

import (
	"errors"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/internal/regular"
)

// Set are the hooks of some directories, in the order in which they are to run.
type Set []Hook

// Load reads the files *.json of the directories, each of which must be there. Of files of the same name that of the last directory counts; the
// others of this name are not read. The error is an *Error.
func Load(dirs ...string) (Set, error) {
	files := map[string]string{}
	for _, dir := range dirs {
		names, err := regular.Names(dir)
		if err != nil {
			return nil, &Error{Op: "read hooks", Subject: dir, Err: err}
		}
		for _, name := range names {
			if strings.HasSuffix(name, ".json") {
				files[name] = filepath.Join(dir, name)
			}
		}
	}
	set := make(Set, 0, len(files))
	for _, file := range files {
		h, err := loadFile(file)
		if err != nil {
			return nil, err
		}
		set = append(set, h)
	}
	slices.SortFunc(set, func(a, b Hook) int {
		x, y := filepath.Base(a.File), filepath.Base(b.File)
		if c := strings.Compare(strings.ToLower(x), strings.ToLower(y)); c != 0 {
			return c
		}
		return strings.Compare(x, y) // podman leaves this order to chance
	})
	return set, nil
}

func loadFile(file string) (Hook, error) {
	raw, err := regular.Read(file, MaxFile)
	var h Hook
	if err == nil {
		h, err = Decode(raw)
	}
	h.File = file
	if err == nil {
		return h, nil
	}
	e := &Error{Op: "read hook", Subject: file, Err: err}
	var p *bundle.Problem
	if errors.As(err, &p) {
		e.Clause = p.Clause
		if p.Pointer == "" { // it would call the file config.json
			e.Err = p.Err
		}
	}
	return Hook{}, e
}

// Container is what the conditions of a hook ask about.
type Container struct {
	Command     string            // process.args[0]; "" for a config without a process
	Annotations map[string]string // that the user has set
	BindMounts  bool              // the user asked for mounts of directories of the host
}

// For gives the hooks that fit a container, in their order.
func (s Set) For(c Container) Set {
	return slices.DeleteFunc(slices.Clone(s), func(h Hook) bool { return !h.when.fit(c) })
}

// fit follows podman where oci-hooks(5) leaves a choice: a command that fits decides alone, once no other condition has failed.
func (w *when) fit(c Container) bool {
	var conditions []bool
	if w.Always != nil {
		conditions = append(conditions, *w.Always)
	}
	if w.HasBindMounts != nil {
		conditions = append(conditions, *w.HasBindMounts && c.BindMounts)
	}
	for key, value := range w.Annotations {
		conditions = append(conditions, annotated(c.Annotations, key, value))
	}
	if len(w.Commands) > 0 && c.Command != "" {
		conditions = append(conditions, slices.ContainsFunc(w.Commands, func(p string) bool { return matches(p, c.Command) }))
	}
	if w.any {
		return slices.Contains(conditions, true)
	}
	return len(conditions) > 0 && !slices.Contains(conditions, false)
}

func annotated(annotations map[string]string, key, value string) bool {
	for k, v := range annotations {
		if matches(key, k) && matches(value, v) {
			return true
		}
	}
	return false
}

// matches compiles a pattern that Decode has seen: each is asked once or twice in the life of this program.
func matches(pattern, text string) bool {
	ok, err := regexp.MatchString(pattern, text)
	return ok && err == nil
}

// AddTo puts the hooks into a config at their stages, behind those that are there, and calls done with the JSON pointer of each.
func (s Set) AddTo(config *specs.Spec, done func(pointer string)) {
	if len(s) == 0 {
		return
	}
	if config.Hooks == nil {
		config.Hooks = &specs.Hooks{}
	}
	for _, h := range s {
		for _, stage := range h.Stages {
			done(Add(config.Hooks, stage, h.Hook))
		}
	}
}
