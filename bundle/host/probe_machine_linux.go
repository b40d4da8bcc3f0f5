package host

import (
	"encoding/hex"
	goruntime "runtime"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// filesystems tells which types can be mounted, and which options they refuse.
func (f *Facts) filesystems(s *specs.Spec) {
	text := read("/proc/filesystems")
	if text == "" {
		return
	}
	f.Filesystems = map[string]Filesystem{}
	for line := range strings.Lines(text) {
		nodev, name, ok := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		if ok {
			f.Filesystems[name] = Filesystem{Device: nodev == ""}
		}
	}
	_, resctrl := f.Filesystems["resctrl"]
	f.Resctrl.Kernel = resctrl
	f.OptionRefused = map[int][]string{}
	var modules *string
	left := maxOptions
	for i, m := range s.Mounts {
		if isBind(m) || isRemount(m) || m.Type == "" {
			continue
		}
		if _, ok := f.Filesystems[baseType(m.Type)]; !ok && len(m.Type) < 64 && !strings.ContainsAny(m.Type, " \n") {
			if modules == nil {
				text := loadable()
				modules = &text
			}
			if strings.Contains(*modules, "\nalias fs-"+m.Type+" ") {
				f.Filesystems[m.Type] = Filesystem{Module: true}
			}
		}
		if refused := refusedOptions(m, &left); refused != nil {
			f.OptionRefused[i] = refused
		}
	}
}

// loadable gives the aliases of the modules that the kernel would load when a type is asked for.
func loadable() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil || !exists("/proc/modules") || read("/proc/sys/kernel/modules_disabled") == "1" {
		return ""
	}
	return "\n" + read("/lib/modules/"+unix.ByteSliceToString(u.Release[:])+"/modules.alias")
}

// maxOptions bounds how many options are asked about.
const maxOptions = 1000

// refusedOptions offers the options to the file system without mounting it (fsopen(2)). Only types are asked that are there always and for
// which an option is but parsed.
func refusedOptions(m specs.Mount, left *int) []string {
	switch m.Type {
	case "tmpfs", "proc", "sysfs", "devpts", "mqueue", "overlay":
	default:
		return nil
	}
	var list []string
	for _, o := range m.Options {
		key, value, assigned := strings.Cut(o, "=")
		if kernelOption(o) || key == "" || len(value) > 255 || *left <= 0 || strings.HasPrefix(value, "/") {
			continue // of a path, the file system would look at it, and might wait
		}
		*left--
		fd, err := unix.Fsopen(m.Type, unix.FSOPEN_CLOEXEC)
		if err != nil {
			return nil // not permitted, or not known
		}
		if assigned {
			err = unix.FsconfigSetString(fd, key, value)
		} else {
			err = unix.FsconfigSetFlag(fd, key)
		}
		unix.Close(fd)
		if err == unix.EINVAL {
			list = append(list, o)
		}
	}
	return list
}

// machine tells what there is of processors, memory, devices and parameters.
func (f *Facts) machine(s *specs.Spec) {
	online := func(what string) []Range {
		if list, ok := parseRanges(read("/sys/devices/system/" + what + "/online")); ok && len(list) > 0 {
			return list
		}
		return nil
	}
	f.CPUs, f.Nodes = online("cpu"), online("node")
	f.NrOpen, _ = number(read("/proc/sys/fs/nr_open"))
	f.majors()
	f.Compat32 = compat32()
	f.Sysctls, f.Interfaces = map[string]bool{}, map[string]bool{}
	if s.Linux == nil {
		return
	}
	for key := range s.Linux.Sysctl {
		name := sysctlPath(key)
		f.Sysctls[key] = plain(name) && exists("/proc/sys/"+name)
	}
	device := func(name string) { f.Interfaces[name] = plain(name) && exists("/sys/class/net/"+name) }
	for name := range s.Linux.NetDevices {
		device(name)
	}
	if r := s.Linux.Resources; r != nil && r.Network != nil {
		for _, p := range r.Network.Priorities {
			device(p.Name)
		}
	}
}

// plain tells whether a name of the config leads nowhere else.
func plain(name string) bool {
	return name != "" && !strings.Contains("/"+name+"/", "/../") && !strings.ContainsRune(name, 0)
}

func (f *Facts) majors() {
	text := read("/proc/devices")
	if text == "" {
		return
	}
	f.Majors = map[string]map[int64]bool{"c": {}, "b": {}}
	kind := ""
	for line := range strings.Lines(text) {
		switch v := strings.Fields(line); {
		case strings.HasPrefix(line, "Character"):
			kind = "c"
		case strings.HasPrefix(line, "Block"):
			kind = "b"
		case len(v) == 2 && kind != "":
			if n, err := strconv.ParseInt(v[0], 10, 32); err == nil {
				f.Majors[kind][n] = true
			}
		}
	}
}

// compat32 tells whether programs for the 32-bit sibling of this architecture run.
func compat32() bool {
	switch goruntime.GOARCH {
	case "amd64":
		return exists("/proc/sys/abi/vsyscall32") || !exists("/proc/sys/abi")
	case "arm64": // whose kernel refuses the personality otherwise (arm64_personality)
		ok := make(chan bool)
		go func() {
			goruntime.LockOSThread() // and no unlock: the thread ends with what was changed of it
			const perLinux32 = 8
			_, _, errno := unix.Syscall(unix.SYS_PERSONALITY, perLinux32, 0, 0)
			ok <- errno == 0
		}()
		return <-ok
	}
	return false
}

// formats reads what binfmt_misc runs.
func (f *Facts) formats() {
	const dir = "/proc/sys/fs/binfmt_misc/"
	if read(dir+"status") != "enabled" {
		return
	}
	for name := range names(dir) {
		if name == "status" || name == "register" {
			continue
		}
		var e Format
		enabled := false
		for line := range strings.Lines(read(dir + name)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			switch key {
			case "enabled":
				enabled = true
			case "interpreter":
				e.Interpreter = value
			case "flags:":
				e.Fixed = strings.Contains(value, "F")
			case "offset":
				e.Offset, _ = strconv.Atoi(value)
			case "magic":
				e.Magic, _ = hex.DecodeString(value)
			case "mask":
				e.Mask, _ = hex.DecodeString(value)
			case "extension":
				e.Extension = strings.TrimPrefix(value, ".")
			}
		}
		for len(e.Mask) < len(e.Magic) {
			e.Mask = append(e.Mask, 0xff)
		}
		if enabled && len(f.Formats) < 256 {
			f.Formats = append(f.Formats, e)
		}
	}
}
