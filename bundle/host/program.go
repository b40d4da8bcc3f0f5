package host

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// candidates are the paths in the root directory where a runtime looks for the program.
func candidates(p *specs.Process) []string {
	if p == nil || len(p.Args) == 0 || p.Args[0] == "" {
		return nil
	}
	name := p.Args[0]
	if strings.Contains(name, "/") {
		return []string{path.Clean(path.Join("/", join(p.Cwd, name)))}
	}
	var list []string
	for _, e := range slices.Backward(p.Env) {
		if dirs, ok := strings.CutPrefix(e, "PATH="); ok {
			for dir := range strings.SplitSeq(dirs, ":") {
				list = append(list, path.Join("/", join(p.Cwd, dir), name))
			}
			break
		}
	}
	return list
}

func join(dir, p string) string {
	if path.IsAbs(p) {
		return p
	}
	return path.Join(dir, p)
}

// program judges whether what is to be executed is there and runs here.
func (j *judge) program() {
	const pointer = "/process/args/0"
	list := candidates(j.s.Process)
	if len(list) == 0 && j.s.Process != nil && len(j.s.Process.Args) > 0 && j.s.Process.Args[0] != "" && !strings.Contains(j.s.Process.Args[0], "/") {
		j.change(pointer, "PATH in process.env, or the path of the program", ErrAbsent, "a PATH to look for %q in (runtimes have their own ideas of one)", j.s.Process.Args[0])
		return
	}
	var unfit string
	for _, p := range list {
		f, known := j.inside(p, -1)
		switch {
		case !known || f.Kind == "" || f.Kind == Denied || f.Kind == Hung:
			return // a mount may have it
		case f.Kind == Absent:
		case f.Kind != Regular:
			unfit = p + " is a " + string(f.Kind)
		case f.Mode&0o111 == 0:
			unfit = p + " is not executable"
		case !j.mayExecute(f):
			unfit = fmt.Sprintf("%s is not executable for user %d (mode %#o of %d:%d)", p, j.s.Process.User.UID, f.Mode, f.Owner[0], f.Owner[1])
		default:
			j.runs(pointer, p, f.Program, 0)
			return
		}
	}
	switch {
	case unfit != "":
		j.refuse(pointer, "the path of a program", ErrKind, "%s", unfit)
	case len(list) > 0:
		j.refuse(pointer, "the path of a program in the root directory", ErrAbsent, "the root directory has no %q", j.s.Process.Args[0])
	}
}

// mayExecute tells whether the user of the process may execute a file, as access(2) decides it. Directories above are not looked at.
func (j *judge) mayExecute(f File) bool {
	p := j.s.Process
	n, mapped := j.namespace(specs.UserNamespace)
	if mapped && n.Path != "" {
		return true // whose ids are not known
	}
	uid, okUID := f.Owner[0], true
	gid, okGID := f.Owner[1], true
	if mapped {
		uid, okUID = inside(j.linux.UIDMappings, uid)
		gid, okGID = inside(j.linux.GIDMappings, gid)
	}
	if c := p.Capabilities; c != nil && okUID && okGID && slices.Contains(c.Effective, "CAP_DAC_OVERRIDE") {
		return true
	}
	switch {
	case okUID && uid == p.User.UID:
		return f.Mode&0o100 != 0
	case okGID && (gid == p.User.GID || slices.Contains(p.User.AdditionalGids, gid)):
		return f.Mode&0o010 != 0
	}
	return f.Mode&0o001 != 0
}

// inside is an id in the container.
func inside(maps []specs.LinuxIDMapping, id uint32) (uint32, bool) {
	for _, m := range maps {
		if id >= m.HostID && id-m.HostID < m.Size {
			return m.ContainerID + (id - m.HostID), true
		}
	}
	return 0, false
}

// maxScripts is how many interpreters of interpreters the kernel follows (BINPRM recursion is 5).
const maxScripts = 5

// runs judges a program by what it begins with.
func (j *judge) runs(pointer, name string, p *Program, depth int) {
	switch {
	case p == nil || depth > maxScripts:
	case j.format(name, p):
	case p.ELF && !j.native(p):
		j.refuse(pointer, "an image for "+j.Arch+", or an interpreter such as qemu-user-static in binfmt_misc", ErrAbsent, "a processor or an interpreter for %s, a program for %s", name, machine(p))
	case p.Loader != "":
		f, known := j.inside(p.Loader, -1)
		switch {
		case !known || f.Kind == "":
		case f.Kind == Absent:
			j.refuse(pointer, "a root directory that has "+p.Loader, ErrAbsent, "%s wants the interpreter %s, which the root directory does not have", name, p.Loader)
		case f.Kind != Regular || f.Mode&0o111 == 0:
			j.refuse(pointer, "a root directory where it can be executed", ErrKind, "the interpreter %s of %s", p.Loader, name)
		case p.Script:
			j.runs(pointer, p.Loader, f.Program, depth+1)
		}
	case !p.ELF:
		j.refuse(pointer, "a program; a script begins with #! and its interpreter", ErrKind, "%s is no program", name)
	}
}

// format tells whether binfmt_misc runs a program. An interpreter that was not opened before is looked for in the container.
func (j *judge) format(name string, p *Program) bool {
	return slices.ContainsFunc(j.Formats, func(f Format) bool {
		if in, known := j.inside(f.Interpreter, -1); !f.Fixed && known && in.Kind == Absent {
			return false
		}
		if f.Extension != "" {
			return strings.HasSuffix(name, "."+f.Extension)
		}
		if len(f.Magic) == 0 || len(f.Magic) != len(f.Mask) || f.Offset < 0 || len(p.Head)-f.Offset < len(f.Magic) {
			return false
		}
		head := bytes.Clone(p.Head[f.Offset : f.Offset+len(f.Magic)])
		for i := range head {
			if (head[i]^f.Magic[i])&f.Mask[i] != 0 {
				return false
			}
		}
		return true
	})
}

// machine names what a program is for.
func machine(p *Program) string {
	if name := map[uint16]string{3: "386", 8: "mips", 21: "ppc64", 22: "s390x", 40: "arm", 62: "amd64", 183: "arm64", 243: "riscv", 258: "loong64"}[p.Machine]; name != "" {
		return name
	}
	return "ELF machine " + strconv.Itoa(int(p.Machine))
}

// native tells whether the processor runs a program. What is not known is taken for native.
func (j *judge) native(p *Program) bool {
	const emNone = 0
	own := map[string][]uint16{ // the machine, then its 32-bit sibling
		"amd64": {62, 3}, "386": {3}, "arm64": {183, 40}, "arm": {40}, "riscv64": {243}, "s390x": {22}, "ppc64le": {21}, "loong64": {258},
	}[j.Arch]
	switch i := slices.Index(own, p.Machine); {
	case len(own) == 0 || p.Machine == emNone:
		return true
	case i == 0 && j.Arch == "amd64" && p.Bits == 32:
		return true // the x32 ABI: no fact tells of it
	case i == 1:
		return j.Compat32
	default:
		return i == 0
	}
}

// hooks judges their programs. Those of startContainer are in the container.
func (j *judge) hooks() {
	h := j.s.Hooks
	if h == nil {
		return
	}
	for _, set := range hookSets(h) {
		for i, hook := range set.hooks {
			pointer := "/hooks/" + set.name + "/" + strconv.Itoa(i) + "/path"
			f, known := j.Files[hook.Path]
			if set.inside {
				f, known = j.inside(hook.Path, -1)
			}
			switch {
			case !known || f.Kind == "":
			case f.Kind == Absent && set.late:
				j.change(pointer, "the path of a program", ErrAbsent, "the hook's program %s (runtimes warn of it)", hook.Path)
			case f.Kind == Absent:
				j.refuse(pointer, "the path of a program", ErrAbsent, "the hook's program %s", hook.Path)
			case f.Kind == Denied || f.Kind == Hung:
				j.there(pointer, hook.Path, "the path of a program")
			case (f.Kind != Regular || f.Mode&0o111 == 0) && set.late:
				j.change(pointer, "the path of a program", ErrKind, "the hook's program %s: a %s that cannot be executed (runtimes warn of it)", hook.Path, f.Kind)
			case f.Kind != Regular || f.Mode&0o111 == 0:
				j.refuse(pointer, "the path of a program", ErrKind, "the hook's program %s: a %s that cannot be executed", hook.Path, f.Kind)
			case !set.inside:
			default:
				j.runs(pointer, hook.Path, f.Program, 0)
			}
		}
	}
}

// hookSet is one of the lists of hooks.
type hookSet struct {
	name   string
	hooks  []specs.Hook
	inside bool // its programs are in the container
	late   bool // it runs when the container does, and a failure is logged alone (runtime.md#lifecycle)
}

func hookSets(h *specs.Hooks) []hookSet {
	return []hookSet{
		//lint:ignore SA1019 prestart is deprecated, and engines still write it
		{name: "prestart", hooks: h.Prestart},
		{name: "createRuntime", hooks: h.CreateRuntime},
		{name: "createContainer", hooks: h.CreateContainer},
		{name: "startContainer", hooks: h.StartContainer, inside: true},
		{name: "poststart", hooks: h.Poststart, late: true},
		{name: "poststop", hooks: h.Poststop, late: true},
	}
}
