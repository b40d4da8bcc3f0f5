package hooks

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/conformance/spec"
)

// MaxFile is the longest file of a hook that is read: 64 KiB. A hook is a path, some arguments and some patterns.
const MaxFile = 64 << 10

// Hook is one file: what runs, when, and for which containers. Only Decode and Load make one.
type Hook struct {
	Hook   specs.Hook
	Stages []string // in the order of the file, as runtime-spec spells them
	File   string   // its path; "" from Decode

	when when
}

// when are the conditions. Those that are absent say nothing; a hook without any fits no container.
type when struct {
	Always        *bool             `json:"always"`
	Annotations   map[string]string `json:"annotations"` // patterns of keys and of values
	Commands      []string          `json:"commands"`
	HasBindMounts *bool             `json:"hasBindMounts"`

	any bool // one that holds is enough: 0.1.0
}

type version100 struct {
	Hook   *specs.Hook `json:"hook"`
	When   *when       `json:"when"`
	Stages []string    `json:"stages"`
}

type version010 struct {
	Hook          *string  `json:"hook"`
	Arguments     []string `json:"arguments"`
	Stages        []string `json:"stages"`
	Stage         []string `json:"stage"`
	Cmds          []string `json:"cmds"`
	Cmd           []string `json:"cmd"`
	Annotations   []string `json:"annotations"`
	Annotation    []string `json:"annotation"`
	HasBindMounts *bool    `json:"hasbindmounts"`
}

// Decode reads the content of one file and checks all of it. The error is a *bundle.Problem.
func Decode(raw []byte) (Hook, error) {
	var head struct {
		Version string `json:"version"`
	}
	if err := bundle.Decode(raw, &head); err != nil {
		return Hook{}, err
	}
	var h Hook
	var err error
	switch head.Version {
	case "1.0.0":
		h, err = decode100(raw)
	case "", "0.1.0":
		h, err = decode010(raw)
	default:
		err = problem("/version", fmt.Errorf("%w: %q", ErrVersion, head.Version), "1.0.0")
	}
	if err != nil {
		return Hook{}, err
	}
	if h.Hook.Timeout != nil && *h.Hook.Timeout <= 0 {
		return Hook{}, problem("/hook/timeout", fmt.Errorf("%w: %d is no time to wait", bundle.ErrInvalid, *h.Hook.Timeout), "seconds, at least 1")
	}
	return h, nil
}

func decode100(raw []byte) (h Hook, err error) {
	var v version100
	if err := bundle.Decode(raw, &v); err != nil {
		return h, err
	}
	switch {
	case v.Hook == nil:
		return h, missing("/hook")
	case v.When == nil:
		return h, missing("/when")
	case v.Stages == nil:
		return h, missing("/stages")
	}
	h = Hook{Hook: *v.Hook, when: *v.When, Stages: v.Stages}
	if err := checkPath("/hook/path", h.Hook.Path); err != nil {
		return h, err
	}
	for key, value := range v.When.Annotations {
		at := "/when/annotations/" + spec.EscapeToken(key)
		if err := errors.Join(checkPattern(at, key), checkPattern(at, value)); err != nil {
			return h, err
		}
	}
	return h, errors.Join(checkPatterns("/when/commands", v.When.Commands), checkStages("/stages", v.Stages))
}

// decode010 turns the old form into the new one: a list of patterns of values stands for annotations of any key.
func decode010(raw []byte) (h Hook, err error) {
	var v version010
	if err := bundle.Decode(raw, &v); err != nil {
		return h, err
	}
	if v.Hook == nil {
		return h, missing("/hook")
	}
	stagesAt, stages, err := either("/stages", v.Stages, "/stage", v.Stage)
	if err != nil {
		return h, err
	}
	if stages == nil {
		return h, missing("/stages")
	}
	cmdsAt, cmds, err := either("/cmds", v.Cmds, "/cmd", v.Cmd)
	if err != nil {
		return h, err
	}
	annotationsAt, annotations, err := either("/annotations", v.Annotations, "/annotation", v.Annotation)
	if err != nil {
		return h, err
	}
	h = Hook{Hook: specs.Hook{Path: *v.Hook}, Stages: stages, when: when{Commands: cmds, HasBindMounts: v.HasBindMounts, any: true}}
	if v.Arguments != nil {
		h.Hook.Args = append([]string{*v.Hook}, v.Arguments...)
	}
	if annotations != nil {
		h.when.Annotations = map[string]string{".*": strings.Join(annotations, "|")}
	}
	for _, check := range []error{
		checkPath("/hook", *v.Hook), checkPatterns(cmdsAt, cmds), checkPatterns(annotationsAt, annotations), checkStages(stagesAt, stages),
	} {
		if check != nil {
			return h, check
		}
	}
	return h, nil
}

// either gives the one of two properties that mean the same which is there.
func either(at string, list []string, otherAt string, other []string) (string, []string, error) {
	switch {
	case other == nil:
		return at, list, nil
	case list != nil:
		return "", nil, problem(otherAt, fmt.Errorf("%w: it means what %s does, and both are there", bundle.ErrDuplicate, at[1:]), at[1:])
	}
	return otherAt, other, nil
}

func missing(pointer string) error { return problem(pointer, bundle.ErrMissing, "") }

// checkPath asks for what a runtime would refuse to run; that the program is there is asked when it runs.
func checkPath(at, p string) error {
	switch {
	case p == "":
		return missing(at)
	case !path.IsAbs(p):
		return &bundle.Problem{Pointer: at, Clause: spec.BundleHooks, Err: fmt.Errorf("%w: %q is not an absolute path", bundle.ErrInvalid, p), Hint: "/" + p}
	}
	return nil
}

func checkPatterns(at string, list []string) error {
	for i, p := range list {
		if err := checkPattern(at+"/"+strconv.Itoa(i), p); err != nil {
			return err
		}
	}
	return nil
}

func checkPattern(at, pattern string) error {
	if _, err := regexp.Compile(pattern); err != nil {
		return problem(at, fmt.Errorf("%w: %w", ErrPattern, err), "")
	}
	return nil
}

// Stages are the stages that a config.json can name, in the order in which they run.
func Stages() []string {
	return []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}
}

func checkStages(at string, stages []string) error {
	for i, s := range stages {
		here := at + "/" + strconv.Itoa(i)
		switch {
		case s == "precreate":
			return problem(here, ErrPrecreate, "createRuntime")
		case !slices.Contains(Stages(), s):
			return problem(here, fmt.Errorf("%w: %q", ErrStage, s), strings.Join(Stages(), ", "))
		}
	}
	return nil
}
