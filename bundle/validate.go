package bundle

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// Validate judges a config by itself, without a look at the disk or the kernel, by the rules of the
// platform of its sections. It gives all problems of what a runtime refuses (MUST) or could not give
// effect to (SHOULD), in the order of the document's structure; none if it is right. Judge knows more:
// it sees the text.
func Validate(s *specs.Spec) Problems {
	r := &report{s: s, platform: PlatformOf(s)}
	r.musts()
	return r.problems
}

// musts are the checks that Load asks for.
func (r *report) musts() {
	for _, check := range []func(*report){
		(*report).version, (*report).root, (*report).process, (*report).mounts, (*report).hooks, (*report).annotations, (*report).linux,
		(*report).scheduling, (*report).mountRules, (*report).linuxMore, (*report).windows, (*report).solaris, (*report).vm, (*report).freebsd, (*report).zos,
	} {
		check(r)
	}
}

// report collects problems while the checks walk through a config.
type report struct {
	s        *specs.Spec
	platform Platform
	problems Problems
	must     int // problems of level MUST, those beyond maxProblems too
	others   int
}

// oneOf asks for one of some words.
func oneOf[T ~string](r *report, pointer string, c spec.Clause, value T, words ...T) {
	if slices.Contains(words, value) {
		return
	}
	hint := string(words[0])
	for _, w := range words[1:] {
		hint += ", " + string(w)
	}
	if value == "" {
		r.add(pointer, c, "one of "+hint, ErrMissing, "")
		return
	}
	r.add(pointer, c, "one of "+hint, ErrInvalid, "unknown value %q", string(value))
}

func (r *report) add(pointer string, c spec.Clause, hint string, kind error, format string, args ...any) {
	err := kind
	if format != "" {
		err = fmt.Errorf("%w: %s", kind, fmt.Sprintf(format, args...))
	}
	p := &Problem{Pointer: pointer, Clause: c, Err: err, Hint: hint}
	n := &r.others
	if p.Must() {
		n = &r.must
	}
	if *n++; *n <= maxProblems { // 100,000 lines help nobody
		r.problems = append(r.problems, p)
	}
}

// text refuses a NUL, which ends a string for the kernel: what is checked would not be what is used.
func (r *report) text(pointer string, texts ...string) {
	for _, t := range texts {
		if strings.ContainsRune(t, 0) {
			r.add(pointer, spec.Clause{}, "no NUL character", ErrInvalid, "NUL in %q", t)
		}
	}
}

func (r *report) absolute(pointer string, c spec.Clause, path string) {
	r.text(pointer, path)
	switch {
	case path == "":
		r.add(pointer, c, "an absolute path", ErrMissing, "")
	case r.platform == Windows && !windowsAbsolute(path), r.platform != Windows && path[0] != '/':
		r.add(pointer, c, "an absolute path", ErrInvalid, "%q is not an absolute path", path)
	}
}

func (r *report) version() {
	if err := checkVersion(r.s.Version); err != nil {
		r.add("/ociVersion", spec.BundleVersion, MinVersion(r.s), err, "")
	}
}

func (r *report) root() {
	switch root := r.s.Root; {
	case root != nil && root.Path != "":
		r.text("/root/path", root.Path)
	case r.s.Windows != nil || r.s.VM != nil: // the disk may come from elsewhere; Windows's own rule is windowsRoot
	case root == nil:
		r.add("/root", spec.BundleRoot, `{"path": "rootfs"}`, ErrMissing, "")
	default:
		r.add("/root/path", spec.BundleRoot, "rootfs", ErrMissing, "")
	}
}

// process checks what start needs. No process at all is right for a container that is only created.
func (r *report) process() {
	p := r.s.Process
	if p == nil {
		return
	}
	r.absolute("/process/cwd", spec.BundleProcess, p.Cwd)
	if len(p.Args) == 0 && (p.CommandLine == "" || r.platform != Windows && r.s.Windows == nil) {
		r.add("/process/args", spec.BundleProcess, "a program and its arguments", ErrMissing, "")
	}
	r.text("/process/args", p.Args...)
	for i, e := range p.Env {
		r.text(at("/process/env", i, ""), e)
		if !strings.Contains(e, "=") {
			r.add(at("/process/env", i, ""), spec.BundleEnv, "NAME=value", ErrInvalid, "%q has no '='", e)
		}
	}
	if u := p.User.Umask; u != nil && *u > 0o777 {
		r.add("/process/user/umask", spec.BundleUser, "at most 511 (0777)", ErrInvalid, "%#o is no umask", *u)
	}
	r.rlimits(p.Rlimits)
	r.capabilities(p.Capabilities)
	if io := p.IOPriority; io != nil {
		if !slices.Contains([]specs.IOPriorityClass{specs.IOPRIO_CLASS_RT, specs.IOPRIO_CLASS_BE, specs.IOPRIO_CLASS_IDLE}, io.Class) {
			r.add("/process/ioPriority/class", spec.BundleProcess, string(specs.IOPRIO_CLASS_BE), ErrInvalid, "unknown class %q", io.Class)
		}
		if io.Priority < 0 || io.Priority > 7 {
			r.add("/process/ioPriority/priority", spec.BundleProcess, "0 to 7", ErrInvalid, "%d is out of range", io.Priority)
		}
	}
}

func (r *report) rlimits(limits []specs.POSIXRlimit) {
	seen := map[string]bool{}
	for i, l := range limits {
		pointer := at("/process/rlimits", i, "/type")
		switch {
		case !slices.Contains(Rlimits(), strings.TrimPrefix(l.Type, "RLIMIT_")) || !strings.HasPrefix(l.Type, "RLIMIT_"):
			r.add(pointer, spec.BundleRlimits, "one of getrlimit(2), such as RLIMIT_NOFILE", ErrInvalid, "unknown limit %q", l.Type)
		case seen[l.Type]:
			r.add(pointer, spec.BundleRlimits, "each type once", ErrDuplicate, "%s", l.Type)
		}
		seen[l.Type] = true
		if l.Soft > l.Hard {
			r.add(at("/process/rlimits", i, "/soft"), spec.BundleRlimits, "at most hard", ErrInvalid, "soft limit %d above hard limit %d", l.Soft, l.Hard)
		}
	}
}

// Rlimits are the names of the resource limits of Linux (getrlimit(2)), without "RLIMIT_".
func Rlimits() []string {
	return []string{
		"AS", "CORE", "CPU", "DATA", "FSIZE", "LOCKS", "MEMLOCK", "MSGQUEUE", "NICE", "NOFILE", "NPROC", "RSS", "RTPRIO",
		"RTTIME", "SIGPENDING", "STACK",
	}
}

// Capabilities are the names of the capabilities of Linux (capabilities(7)), in the order of their
// numbers, which begin with 0.
func Capabilities() []string {
	return []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID",
		"CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW",
		"CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT",
		"CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD",
		"CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG",
		"CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
	}
}

func (r *report) capabilities(c *specs.LinuxCapabilities) {
	if c == nil {
		return
	}
	known := Capabilities()
	for _, set := range []struct {
		name string
		caps []string
	}{
		{"bounding", c.Bounding}, {"effective", c.Effective}, {"inheritable", c.Inheritable}, {"permitted", c.Permitted}, {"ambient", c.Ambient},
	} {
		for i, name := range set.caps {
			if !slices.Contains(known, name) {
				r.add(at("/process/capabilities/"+set.name, i, ""), spec.BundleCapabilities, "a name of capabilities(7)", ErrInvalid, "unknown capability %q", name)
			}
		}
	}
}

func (r *report) mounts() {
	for i, m := range r.s.Mounts {
		pointer := at("/mounts", i, "/destination")
		r.text(at("/mounts", i, ""), m.Source, m.Type)
		r.text(at("/mounts", i, "/options"), m.Options...)
		if m.Destination == "" {
			r.add(pointer, spec.BundleMounts, "an absolute path", ErrMissing, "")
			continue
		}
		if r.platform == Linux || r.platform == VM {
			r.absolute(pointer, spec.BundleMountDest, m.Destination)
		} else {
			r.absolute(pointer, spec.MountAbsolute, m.Destination)
		}
	}
}

func (r *report) hooks() {
	h := r.s.Hooks
	if h == nil {
		return
	}
	for _, set := range []struct {
		name  string
		hooks []specs.Hook
	}{
		//lint:ignore SA1019 prestart is deprecated, and engines still write it
		{"prestart", h.Prestart},
		{"createRuntime", h.CreateRuntime},
		{"createContainer", h.CreateContainer},
		{"startContainer", h.StartContainer},
		{"poststart", h.Poststart},
		{"poststop", h.Poststop},
	} {
		for i, hook := range set.hooks {
			pointer := at("/hooks/"+set.name, i, "")
			r.absolute(pointer+"/path", spec.BundleHooks, hook.Path)
			r.text(pointer+"/args", hook.Args...)
			r.text(pointer+"/env", hook.Env...)
			if hook.Timeout != nil && *hook.Timeout <= 0 {
				r.add(pointer+"/timeout", spec.BundleHooks, "seconds, more than 0", ErrInvalid, "%d is not above 0", *hook.Timeout)
			}
		}
	}
}

func (r *report) annotations() {
	if _, ok := r.s.Annotations[""]; ok {
		r.add("/annotations/", spec.BundleAnnotations, "a name in reverse domain notation", ErrInvalid, "empty key")
	}
	for _, key := range []string{"org.opencontainers.image.os", "org.opencontainers.image.architecture"} {
		if v, ok := r.s.Annotations[key]; ok && v == "" {
			r.add("/annotations/"+key, spec.AnnotationReserved, "a value that image-spec allows", ErrInvalid, "empty")
		}
	}
}
