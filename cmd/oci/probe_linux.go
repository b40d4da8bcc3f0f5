package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// probeCommand is what the demonstration image runs: it prints what a process inside sees.
func probeCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "probe",
		Short:  "Print what a process sees from inside a container",
		Hidden: true,
		Args:   exact(0),
		RunE: func(*cobra.Command, []string) error {
			host, _ := os.Hostname()
			dir, _ := os.Getwd()
			groups, _ := os.Getgroups()
			fmt.Fprintf(a.out, "pid %d, uid %d, gid %d, groups %v, host %s, directory %s\n",
				os.Getpid(), os.Getuid(), os.Getgid(), groups, host, dir)
			fmt.Fprintf(a.out, "root: %s\n", strings.Join(listDir("/"), " "))
			fmt.Fprintf(a.out, "processes: %s\n", strings.Join(processes(), " "))
			fmt.Fprintf(a.out, "open files: %s\n", strings.Join(openFiles(), " "))
			for _, line := range fields("/proc/self/status", "CapEff", "NoNewPrivs", "Seccomp") {
				fmt.Fprintln(a.out, line)
			}
			fmt.Fprintf(a.out, "environment: %s\n", strings.Join(os.Environ(), " "))
			return nil
		},
	}
}

func listDir(dir string) []string {
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func processes() []string {
	return slices.DeleteFunc(listDir("/proc"), func(n string) bool { return n[0] < '0' || n[0] > '9' })
}

// openFiles names the files behind the standard streams and whatever was left open beside them,
// but for the runtime's own: Go's poller, the CPU limit that it watches, and the directory being read.
func openFiles() []string {
	var open []string
	for _, n := range listDir("/proc/self/fd") {
		target, err := os.Readlink(filepath.Join("/proc/self/fd", n))
		if err != nil || strings.HasPrefix(target, "anon_inode:[event") || strings.HasSuffix(target, "/fd") || strings.HasPrefix(target, "/sys/fs/cgroup/") {
			continue
		}
		open = append(open, n)
	}
	return open
}

// fields gives the lines of a file of "name:\tvalue" lines whose name is asked for.
func fields(path string, names ...string) []string {
	b, _ := os.ReadFile(path)
	var lines []string
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		if slices.Contains(names, name) {
			lines = append(lines, name+": "+strings.TrimSpace(value))
		}
	}
	return lines
}
