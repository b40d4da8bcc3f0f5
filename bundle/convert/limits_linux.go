package convert

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// hostRlimits are the limits of this process (getrlimit(2)).
func hostRlimits() ([]specs.POSIXRlimit, error) {
	var all []specs.POSIXRlimit
	for _, r := range []struct {
		name string
		id   int
	}{
		{"AS", unix.RLIMIT_AS},
		{"CORE", unix.RLIMIT_CORE},
		{"CPU", unix.RLIMIT_CPU},
		{"DATA", unix.RLIMIT_DATA},
		{"FSIZE", unix.RLIMIT_FSIZE},
		{"LOCKS", unix.RLIMIT_LOCKS},
		{"MEMLOCK", unix.RLIMIT_MEMLOCK},
		{"MSGQUEUE", unix.RLIMIT_MSGQUEUE},
		{"NICE", unix.RLIMIT_NICE},
		{"NOFILE", unix.RLIMIT_NOFILE},
		{"NPROC", unix.RLIMIT_NPROC},
		{"RSS", unix.RLIMIT_RSS},
		{"RTPRIO", unix.RLIMIT_RTPRIO},
		{"RTTIME", unix.RLIMIT_RTTIME},
		{"SIGPENDING", unix.RLIMIT_SIGPENDING},
		{"STACK", unix.RLIMIT_STACK},
	} {
		var l unix.Rlimit
		if err := unix.Getrlimit(r.id, &l); err != nil {
			return nil, fmt.Errorf("getrlimit %s: %w", r.name, err)
		}
		all = append(all, specs.POSIXRlimit{Type: "RLIMIT_" + r.name, Soft: l.Cur, Hard: l.Max})
	}
	return all, nil
}
