package bundle

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// advice tells what a runtime takes and what is still not as the text would have it: SHOULD and MAY.
// These checks are not part of Validate: many a config that everyone runs breaks one.
func (r *report) advice() {
	for _, check := range []func(*report){
		(*report).sections, (*report).rootAdvice, (*report).processAdvice, (*report).mountAdvice, (*report).filesystems,
		(*report).names, (*report).hookAdvice, (*report).annotationAdvice, (*report).linuxAdvice, (*report).windowsAdvice, (*report).otherAdvice,
	} {
		check(r)
	}
}

// sections notes those of other platforms, which a runtime of this one ignores.
func (r *report) sections() {
	for _, p := range Platforms() {
		beside := p == VM && r.platform == Linux || p == Windows && r.platform == Linux // a Linux container in a virtual machine
		if p != r.platform && !beside && section(r.s, p) && !(r.platform == VM && p == Linux) {
			r.add("/"+string(p), spec.ConfigSection, "leave it out", ErrInvalid, "not of platform %s, and ignored", r.platform)
		}
	}
}

func (r *report) rootAdvice() {
	if r.s.Root != nil && r.platform != Windows && r.s.Root.Path != "" && strings.TrimSuffix(r.s.Root.Path, "/") != "rootfs" {
		r.add("/root/path", spec.RootName, "rootfs", ErrInvalid, "%q is not the conventional name", r.s.Root.Path)
	}
}

// filesystems tells which of the mounts that applications expect are missing.
func (r *report) filesystems() {
	expected, c := []string(nil), spec.Clause{}
	switch r.platform {
	case Linux:
		expected, c = []string{"/proc", "/sys", "/dev/pts", "/dev/shm"}, spec.LinuxFilesystems
	case FreeBSD:
		expected, c = []string{"/dev"}, spec.FreeBSDDevfs
	case ZOS:
		expected, c = []string{"/proc"}, spec.ZOSFilesystems
	}
	for _, path := range expected {
		at := func(m specs.Mount) bool { return strings.TrimSuffix(m.Destination, "/") == path }
		if !slices.ContainsFunc(r.s.Mounts, at) {
			r.add("/mounts", c, "a mount at "+path, ErrMissing, "no file system at %s", path)
		}
	}
}

// names tells that the name would be the host's. runc and crun refuse it.
func (r *report) names() {
	if r.platform != Linux || r.s.Linux == nil || has(r.s.Linux, specs.UTSNamespace) {
		return
	}
	if r.s.Hostname != "" {
		r.add("/hostname", spec.HostnameUTS, "a namespace of type uts", ErrInvalid, "a name without a UTS namespace")
	}
	if r.s.Domainname != "" {
		r.add("/domainname", spec.DomainnameUTS, "a namespace of type uts", ErrInvalid, "a name without a UTS namespace")
	}
}

func (r *report) hookAdvice() {
	h := r.s.Hooks
	if h == nil {
		return
	}
	if r.platform == Windows {
		r.add("/hooks", spec.HookPlatform, "leave it out", ErrInvalid, "hooks are for POSIX platforms")
	}
	//lint:ignore SA1019 what is deprecated is to be told
	if len(h.Prestart) > 0 {
		r.add("/hooks/prestart", spec.HookDeprecated, "createRuntime, createContainer or startContainer", ErrInvalid, "prestart is deprecated")
	}
}

func (r *report) annotationAdvice() {
	for _, key := range sortedKeys(r.s.Annotations) {
		if key != "" && !strings.Contains(key, ".") {
			r.add("/annotations/"+spec.EscapeToken(key), spec.AnnotationName, "a name such as com.example."+strings.ToValidUTF8(key, "?"), ErrInvalid, "%q is not in reverse domain notation", key)
		}
	}
}

// otherAdvice tells what of the sections solaris and freebsd is odd.
func (r *report) otherAdvice() {
	if s := r.s.Solaris; s != nil && s.Milestone != "" && !strings.HasPrefix(s.Milestone, "svc:/") {
		r.add("/solaris/milestone", spec.SolarisMilestone, "such as svc:/milestone/container:default", ErrInvalid, "%q is no FMRI", s.Milestone)
	}
	if f := r.s.FreeBSD; f != nil && f.Jail != nil && f.Jail.Vnet == specs.FreeBSDShareNew && (f.Jail.Ip4 != "" || f.Jail.Ip6 != "") {
		r.add("/freebsd/jail/vnet", spec.FreeBSDNetwork, "ip4 and ip6 unset", ErrInvalid, "a network of its own, with addresses of the host")
	}
}
