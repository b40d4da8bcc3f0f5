package runtime

import (
	"bytes"
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/runtime/internal/plan"
)

// hostFacts asks the machine what compiling s needs to know, and no more.
func hostFacts(s *specs.Spec) plan.Host {
	h := plan.Host{Kind: fileKind, Own: ownNamespaceFile}
	h.LastCap = -1
	for n := 0; n < 64; n++ {
		in, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0)
		if err != nil {
			break
		}
		h.LastCap = n
		h.Held |= uint64(in) << n
	}
	h.InUserNamespace = inUserNamespace()
	if h.InUserNamespace {
		deny, err := os.ReadFile("/proc/self/setgroups")
		h.SetgroupsDenied = err == nil && bytes.HasPrefix(deny, []byte("deny"))
	}
	if s.Process != nil && s.Process.ApparmorProfile != "" {
		on, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
		h.AppArmor = err == nil && bytes.HasPrefix(on, []byte("Y"))
	}
	if s.Process != nil && s.Process.SelinuxLabel != "" {
		h.SELinux = unix.Access("/sys/fs/selinux/enforce", unix.F_OK) == nil
	}
	return h
}

// inUserNamespace tells whether ids are missing here: the initial namespace maps all of them to themselves (user_namespaces(7)).
func inUserNamespace() bool {
	raw, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false // a kernel without user namespaces
	}
	f := bytes.Fields(raw)
	return len(f) != 3 || string(f[0]) != "0" || string(f[1]) != "0" || string(f[2]) != "4294967295"
}

// ownNamespaceFile tells whether a file names a namespace that this process is in.
func ownNamespaceFile(path string) bool {
	var st, own unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return false
	}
	for _, n := range plan.Namespaces() {
		if unix.Stat("/proc/self/ns/"+n.File, &own) == nil && own.Ino == st.Ino && own.Dev == st.Dev {
			return true
		}
	}
	return false
}

func fileKind(path string) (plan.FileKind, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return plan.Directory, nil
	}
	return plan.NotDirectory, nil
}
