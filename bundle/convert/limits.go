package convert

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle"
)

// limits sets the resource limits and the OOM score of the process.
func (c *conversion) limits() error {
	p := c.spec.Process
	for _, value := range c.o.Ulimits {
		if value == "host" {
			if err := c.hostLimits(); err != nil {
				return err
			}
			continue
		}
		l, err := parseUlimit(value)
		if err != nil {
			return err
		}
		p.Rlimits = slices.DeleteFunc(p.Rlimits, func(o specs.POSIXRlimit) bool { return o.Type == l.Type })
		p.Rlimits = append(p.Rlimits, l)
	}
	if n := c.o.OOMScoreAdj; n != nil {
		if *n < -1000 || *n > 1000 {
			return usage("--oom-score-adj", strconv.Itoa(*n), "want -1000 to 1000")
		}
		p.OOMScoreAdj = n
	}
	return nil
}

// hostLimits are those that this process has, as podman has it. The soft limit of open files is the hard one: the Go runtime has raised
// it.
func (c *conversion) hostLimits() error {
	all, err := hostRlimits()
	if err != nil {
		return &UsageError{Flag: "--ulimit", Value: "host", Err: err}
	}
	c.spec.Process.Rlimits = all
	return nil
}

// parseUlimit takes NAME=SOFT[:HARD]; -1 and "unlimited" are no limit.
func parseUlimit(value string) (specs.POSIXRlimit, error) {
	name, limit, _ := strings.Cut(value, "=")
	name = strings.ToUpper(name)
	if !slices.Contains(bundle.Rlimits(), name) {
		return specs.POSIXRlimit{}, usage("--ulimit", value, "unknown limit %q", strings.ToLower(name))
	}
	soft, hard, ok := strings.Cut(limit, ":")
	if !ok {
		hard = soft
	}
	l := specs.POSIXRlimit{Type: "RLIMIT_" + name}
	var err1, err2 error
	l.Soft, err1 = parseLimit(soft)
	l.Hard, err2 = parseLimit(hard)
	if err := errors.Join(err1, err2); err != nil || l.Soft > l.Hard {
		return l, usage("--ulimit", value, "want NAME=SOFT[:HARD], SOFT at most HARD")
	}
	return l, nil
}

func parseLimit(s string) (uint64, error) {
	if s == "-1" || s == "unlimited" {
		return math.MaxUint64, nil // RLIM_INFINITY
	}
	return strconv.ParseUint(s, 10, 63)
}
