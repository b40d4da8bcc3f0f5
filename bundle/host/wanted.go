package host

import (
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// maxPaths bounds how many files are looked at.
const maxPaths = 10000

// wanted are the files that Judge asks for: those of the host, and those in the root directory.
func wanted(s *specs.Spec, dir string) (files, inside []string) {
	host := func(p string) {
		if p = hostPath(dir, p); path.IsAbs(p) && !strings.ContainsRune(p, 0) {
			files = append(files, p)
		}
	}
	within := func(p string) {
		if !strings.ContainsRune(p, 0) {
			inside = append(inside, path.Clean("/"+p))
		}
	}
	if s.Root != nil {
		host(s.Root.Path)
	}
	for _, m := range s.Mounts {
		within(m.Destination)
		if isBind(m) || path.IsAbs(m.Source) {
			host(m.Source)
		}
		if m.Type == "overlay" {
			for _, o := range m.Options {
				files = append(files, overlayDirs(o)...)
			}
		}
	}
	for _, p := range candidates(s.Process) {
		within(p)
	}
	if s.Process != nil && s.Process.Terminal {
		within("/dev/pts/ptmx")
	}
	if s.Hooks != nil {
		for _, set := range hookSets(s.Hooks) {
			for _, h := range set.hooks {
				if set.inside {
					within(h.Path)
				} else if path.IsAbs(h.Path) {
					host(h.Path)
				}
			}
		}
	}
	if l := s.Linux; l != nil {
		for _, n := range l.Namespaces {
			host(n.Path)
		}
		for _, d := range l.Devices {
			host(d.Path)
		}
		if l.Seccomp != nil {
			host(l.Seccomp.ListenerPath)
		}
	}
	return once(files), once(inside)
}

func once(list []string) []string {
	seen := map[string]bool{}
	list = slices.DeleteFunc(list, func(p string) bool {
		dup := seen[p]
		seen[p] = true
		return dup
	})
	return list[:min(len(list), maxPaths)]
}

// kernelOption tells whether an option is for the mount and not for its file system, or for runtimes.
func kernelOption(o string) bool {
	base := strings.TrimPrefix(o, "r")
	return slices.Contains([]string{
		"", "defaults", "bind", "rbind", "remount", "idmap", "ridmap", "tmpcopyup", "copy-symlink", "src-nofollow", "dest-nofollow",
		"ro", "rw", "nosuid", "suid", "nodev", "dev", "noexec", "exec", "sync", "async", "nosync", "dirsync", "mand", "nomand", "noatime", "atime",
		"nodiratime", "diratime", "relatime", "norelatime", "strictatime", "nostrictatime", "lazytime", "nolazytime", "iversion", "noiversion",
		"silent", "loud", "symfollow", "nosymfollow",
	}, o) || recursive(o) || slices.Contains([]string{"private", "shared", "slave", "unbindable"}, base)
}
