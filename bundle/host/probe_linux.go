package host

import (
	"bytes"
	"context"
	"io"
	"os"
	goruntime "runtime"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/bundle"
)

// patience is how long the files of a config may keep Probe, altogether.
const patience = 3 * time.Second

// maxText bounds what is read of a file of the kernel: a machine with ten thousand mounts has 2 MiB of them.
const maxText = 16 << 20

// Probe looks at this machine for what judging s needs: the kernel, the caller, and the files that s names, relative ones below
// the bundle, "" for none. It waits at most 3 seconds for files, and changes nothing. What cannot be found out is
// left unknown. The error is that of ctx.
func Probe(ctx context.Context, s *specs.Spec, dir string) (Facts, error) {
	f := Facts{Bundle: dir, Arch: goruntime.GOARCH}
	if s == nil {
		return f, ctx.Err()
	}
	mounts := readMounts()
	f.kernel(mounts)
	f.caller()
	f.modules(s)
	f.filesystems(s)
	f.machine(s)
	f.Control = control(s, mounts)
	f.formats()
	known := f
	f.files(ctx, func(ctx context.Context, asked, answers chan<- looked) { look(ctx, s, known, asked, answers) })
	return f, ctx.Err()
}

// read gives the text of a file of the kernel, "" if there is none.
func read(name string) string {
	file, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer file.Close()
	raw, _ := io.ReadAll(io.LimitReader(file, maxText)) // half a text is what can be had
	return strings.TrimSuffix(string(raw), "\n")
}

func exists(name string) bool { return unix.Access(name, unix.F_OK) == nil }

func number(text string) (uint64, bool) {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	return n, err == nil
}

// mount is a line of /proc/self/mountinfo.
type mount struct {
	root, point, kind string
	super             []string
}

func readMounts() []mount {
	var list []mount
	for line := range strings.Lines(read("/proc/self/mountinfo")) {
		before, after, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		a, b := strings.Fields(before), strings.Fields(after)
		if !ok || len(a) < 5 || len(b) < 3 {
			continue
		}
		list = append(list, mount{unescape(a[3]), unescape(a[4]), b[0], strings.Split(b[2], ",")})
	}
	return list
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

func (f *Facts) kernel(mounts []mount) {
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		part := strings.SplitN(unix.ByteSliceToString(u.Release[:]), ".", 3)
		if len(part) > 1 {
			major, _ := strconv.Atoi(part[0])
			minor, _ := strconv.Atoi(strings.TrimRightFunc(part[1], func(r rune) bool { return r < '0' || r > '9' }))
			f.Kernel = [2]int{major, minor}
		}
	}
	f.Namespaces = map[specs.LinuxNamespaceType]int{}
	for _, t := range []specs.LinuxNamespaceType{
		specs.PIDNamespace, specs.NetworkNamespace, specs.MountNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.UserNamespace,
		specs.CgroupNamespace, specs.TimeNamespace,
	} {
		if !exists("/proc/self/ns/" + file(t)) {
			continue
		}
		f.Namespaces[t] = -1
		if n, ok := number(read("/proc/sys/user/max_" + file(t) + "_namespaces")); ok {
			f.Namespaces[t] = int(min(n, 1<<31-1))
		}
	}
	if len(f.Namespaces) == 0 {
		f.Namespaces = nil // no procfs
	}
	switch {
	case read("/proc/sys/kernel/unprivileged_userns_clone") == "0":
		f.UsernsForbidden = "kernel.unprivileged_userns_clone=1"
	case read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
		f.UsernsForbidden = "kernel.apparmor_restrict_unprivileged_userns=0"
	}
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) == nil {
		f.Monotonic = time.Duration(t.Nano())
	}
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) == nil {
		f.Boottime = time.Duration(t.Nano())
	}
	for _, m := range mounts {
		f.ProcCovered = f.ProcCovered || strings.HasPrefix(m.point, "/proc/") && m.point != "/proc/sys/fs/binfmt_misc"
		if m.kind == "resctrl" {
			f.Resctrl = Resctrl{Mounted: true, Info: names(m.point + "/info")}
		}
	}
	// With a descriptor that is none the kernel has nothing to change, and says so if it knows the call.
	f.SetattrMissing = unix.MountSetattr(-1, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NODEV}) == unix.ENOSYS
	_, _, errno := unix.Syscall6(unix.SYS_GET_MEMPOLICY, 0, 0, 0, 0, 0, 0) // asks for nothing
	f.NUMAMissing = errno == unix.ENOSYS
	f.UclampMissing = exists("/proc/sys/kernel") && !exists("/proc/sys/kernel/sched_util_clamp_min")
}

// names are the entries of a directory, the first 4096.
func names(dir string) map[string]bool {
	list := map[string]bool{}
	if d, err := os.Open(dir); err == nil {
		defer d.Close()
		entries, _ := d.Readdirnames(4096) // what was read counts
		for _, name := range entries {
			list[name] = true
		}
	}
	return list
}

func (f *Facts) caller() {
	c := &f.Caller
	c.UID, c.GID, c.LastCap = uint32(os.Geteuid()), uint32(os.Getegid()), -1
	for line := range strings.Lines(read("/proc/thread-self/status")) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		n, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		switch {
		case err != nil:
		case key == "CapEff":
			c.Effective = n
		case key == "CapBnd":
			c.Bounding = n
		}
	}
	for n := range 64 {
		if _, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0); err != nil {
			break
		}
		c.LastCap = n
	}
	c.UIDs, c.GIDs = mapRanges(read("/proc/self/uid_map")), mapRanges(read("/proc/self/gid_map"))
	c.InUserNamespace = c.UIDs != nil && !(len(c.UIDs) == 1 && strings.Join(strings.Fields(read("/proc/self/uid_map")), " ") == "0 0 4294967295")
	c.SetgroupsDenied = c.InUserNamespace && strings.HasPrefix(read("/proc/self/setgroups"), "deny")
	c.SubUIDs, c.SubGIDs = subIDs("/etc/subuid", c.UID), subIDs("/etc/subgid", c.UID)
	c.MapHelpers = onPath("newuidmap") && onPath("newgidmap")
	c.Limits = map[string]uint64{}
	for _, name := range bundle.Rlimits() {
		var l unix.Rlimit
		if n, ok := rlimit(name); ok && unix.Getrlimit(n, &l) == nil {
			c.Limits["RLIMIT_"+name] = l.Max
		}
	}
	if p, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err == nil {
		c.Nice = 20 - p
	}
	if n, err := strconv.Atoi(read("/proc/self/oom_score_adj")); err == nil {
		c.OOMScoreAdj = n
	}
}

// mapRanges are the ids that a map of /proc/self has in this user namespace; nil without one.
func mapRanges(text string) []Range {
	var list []Range
	for line := range strings.Lines(text) {
		v := strings.Fields(line)
		if len(v) != 3 {
			continue
		}
		first, okFirst := number(v[0])
		size, okSize := number(v[2])
		if okFirst && okSize && size > 0 {
			list = append(list, Range{first, first + size - 1})
		}
	}
	return joined(list)
}

// subIDs reads the ranges of a user, who stands in the file by name or number.
func subIDs(name string, uid uint32) []Range {
	id := strconv.Itoa(int(uid))
	user := id
	for line := range strings.Lines(read("/etc/passwd")) {
		if v := strings.SplitN(line, ":", 4); len(v) == 4 && v[2] == id {
			user = v[0]
			break
		}
	}
	var list []Range
	for line := range strings.Lines(read(name)) {
		v := strings.Split(strings.TrimSpace(line), ":")
		if len(v) != 3 || v[0] != user && v[0] != id {
			continue
		}
		first, okFirst := number(v[1])
		size, okSize := number(v[2])
		if okFirst && okSize && size > 0 {
			list = append(list, Range{first, first + size - 1})
		}
	}
	return joined(list)
}

func onPath(name string) bool {
	for dir := range strings.SplitSeq(os.Getenv("PATH"), ":") {
		if dir != "" && unix.Access(dir+"/"+name, unix.X_OK) == nil {
			return true
		}
	}
	return false
}

func rlimit(name string) (int, bool) {
	n, ok := map[string]int{
		"AS": unix.RLIMIT_AS, "CORE": unix.RLIMIT_CORE, "CPU": unix.RLIMIT_CPU, "DATA": unix.RLIMIT_DATA, "FSIZE": unix.RLIMIT_FSIZE,
		"LOCKS": unix.RLIMIT_LOCKS, "MEMLOCK": unix.RLIMIT_MEMLOCK, "MSGQUEUE": unix.RLIMIT_MSGQUEUE, "NICE": unix.RLIMIT_NICE,
		"NOFILE": unix.RLIMIT_NOFILE, "NPROC": unix.RLIMIT_NPROC, "RSS": unix.RLIMIT_RSS, "RTPRIO": unix.RLIMIT_RTPRIO,
		"RTTIME": unix.RLIMIT_RTTIME, "SIGPENDING": unix.RLIMIT_SIGPENDING, "STACK": unix.RLIMIT_STACK,
	}[name]
	return n, ok
}

// modules asks the security modules and seccomp.
func (f *Facts) modules(s *specs.Spec) {
	f.AppArmor = strings.HasPrefix(read("/sys/module/apparmor/parameters/enabled"), "Y")
	if text := read("/sys/kernel/security/apparmor/profiles"); f.AppArmor && text != "" { // root alone may read it
		f.Profiles = map[string]bool{}
		for line := range strings.Lines(text) {
			if i := strings.LastIndex(line, " ("); i > 0 {
				f.Profiles[line[:i]] = true
			}
		}
	}
	f.SELinux = exists("/sys/fs/selinux/enforce")
	if f.SELinux {
		f.LabelsRefused = map[string]bool{}
		for _, label := range labelsOf(s) {
			f.LabelsRefused[label] = labelRefused(label)
		}
	}
	f.SeccompMissing = exists("/proc/sys/kernel") && !exists("/proc/sys/kernel/seccomp")
	if text := read("/proc/sys/kernel/seccomp/actions_avail"); text != "" { // what SECCOMP_GET_ACTION_AVAIL says
		f.Actions = map[string]bool{}
		for _, name := range strings.Fields(text) {
			f.Actions[name] = true
		}
	}
	f.FlagsRefused = map[specs.LinuxSeccompFlag]bool{}
	for flag, bits := range map[specs.LinuxSeccompFlag]uintptr{
		"SECCOMP_FILTER_FLAG_TSYNC":            unix.SECCOMP_FILTER_FLAG_TSYNC,
		specs.LinuxSeccompFlagLog:              unix.SECCOMP_FILTER_FLAG_LOG,
		specs.LinuxSeccompFlagSpecAllow:        unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW,
		specs.LinuxSeccompFlagWaitKillableRecv: unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV | unix.SECCOMP_FILTER_FLAG_NEW_LISTENER,
	} {
		// Without a filter the kernel goes no further than EFAULT; before that it refuses flags that it does not know.
		_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, bits, 0)
		f.FlagsRefused[flag] = errno == unix.EINVAL
	}
}

func labelsOf(s *specs.Spec) []string {
	var list []string
	if s.Process != nil && s.Process.SelinuxLabel != "" {
		list = append(list, s.Process.SelinuxLabel)
	}
	if s.Linux != nil && s.Linux.MountLabel != "" {
		list = append(list, s.Linux.MountLabel)
	}
	return list
}

// labelRefused asks the policy whether it has a label (security_check_context(3)): what is written is looked up and not kept.
func labelRefused(label string) bool {
	fd, err := unix.Open("/sys/fs/selinux/context", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, append(bytes.Clone([]byte(label)), 0))
	return err == unix.EINVAL
}
