package convert

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/internal/regular"
	"github.com/oci-pipeline/oci/conformance/spec"
)

// maxProfile is the most that is read of a seccomp profile: Docker's own takes 20 KiB.
const maxProfile = 1 << 20

// securityOptions are the --security-opt values taken apart.
type securityOptions struct {
	seccomp         string // "builtin", "unconfined", or the path of a profile
	seccompFlag     string // as given, for messages
	apparmor        string
	noNewPrivileges bool
	privileges      bool // no-new-privileges was given
	mask            []string
	unmask          []string // patterns
	unmaskAll       bool
	label           selinuxLabel
	proc            []string // options of the mount of /proc
}

// security sets what confines the process besides namespaces and capabilities.
func (c *conversion) security() error {
	s, err := parseSecurity(c.o.SecurityOpts)
	if err != nil {
		return err
	}
	c.spec.Process.NoNewPrivileges = s.noNewPrivileges
	if s.apparmor != "unconfined" && !c.o.Privileged {
		c.spec.Process.ApparmorProfile = s.apparmor
	}
	c.selinux(s.label)
	c.procOptions(s.proc)
	c.paths(s)
	if s.seccomp == "unconfined" || c.o.Privileged && s.seccompFlag == "" {
		return nil
	}
	if s.seccomp == "builtin" {
		c.spec.Linux.Seccomp, err = defaultSeccomp(c.spec)
		if err != nil {
			return imageError("image", spec.Clause{}, fmt.Errorf("default seccomp profile: %w", err))
		}
		return nil
	}
	return c.seccompFile(s)
}

// seccompFile takes the profile that --security-opt names.
func (c *conversion) seccompFile(s securityOptions) error {
	body, err := readProfile(s.seccomp)
	if err == nil {
		c.spec.Linux.Seccomp, err = loadSeccomp(body, c.spec)
	}
	if err == nil {
		err = checkProfile(c.spec.Linux.Seccomp)
	}
	if err != nil {
		return &UsageError{Flag: "--security-opt", Value: s.seccompFlag, Err: err}
	}
	return nil
}

// checkProfile judges the profile alone, so that the flag is named and not the image.
func checkProfile(p *specs.LinuxSeccomp) error {
	problems := bundle.Validate(&specs.Spec{Linux: &specs.Linux{Seccomp: p}}).Must()
	problems = slices.DeleteFunc(problems, func(p *bundle.Problem) bool { return !strings.HasPrefix(p.Pointer, "/linux/seccomp/") })
	if len(problems) > 0 {
		return problems
	}
	return nil
}

// paths sets what of /proc and /sys is hidden or cannot be written.
func (c *conversion) paths(s securityOptions) {
	l := c.spec.Linux
	if c.o.Privileged || s.unmaskAll {
		l.MaskedPaths, l.ReadonlyPaths = nil, nil
	} else {
		l.MaskedPaths = append(l.MaskedPaths, c.host.ThermalThrottle...)
	}
	unmasked := func(p string) bool {
		return slices.ContainsFunc(s.unmask, func(pattern string) bool {
			ok, err := path.Match(pattern, p)
			return ok && err == nil
		})
	}
	l.MaskedPaths = slices.DeleteFunc(l.MaskedPaths, unmasked)
	l.ReadonlyPaths = slices.DeleteFunc(l.ReadonlyPaths, unmasked)
	for _, p := range s.mask {
		if !slices.Contains(l.MaskedPaths, p) {
			l.MaskedPaths = append(l.MaskedPaths, p)
		}
	}
}

func parseSecurity(values []string) (securityOptions, error) {
	s := securityOptions{seccomp: "builtin"}
	for _, value := range values {
		name, v, hasValue := strings.Cut(value, "=")
		if !hasValue {
			name, v, hasValue = strings.Cut(value, ":") // the form of old
		}
		if err := s.set(value, name, v, hasValue); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *securityOptions) set(value, name, v string, hasValue bool) error {
	const flag = "--security-opt"
	if name == "no-new-privileges" {
		b, err := strconv.ParseBool(v)
		if hasValue && err != nil {
			return usage(flag, value, "want true or false")
		}
		s.noNewPrivileges, s.privileges = !hasValue || b, true
		return nil
	}
	if v == "" {
		return usage(flag, value, "want NAME=VALUE with seccomp, apparmor, label, mask, unmask, proc-opts or systempaths, or no-new-privileges")
	}
	switch name {
	case "seccomp":
		s.seccomp, s.seccompFlag = v, value
	case "apparmor":
		s.apparmor = v
	case "systempaths":
		if v != "unconfined" {
			return usage(flag, value, "want systempaths=unconfined")
		}
		s.unmaskAll = true
	case "mask", "unmask":
		return s.setMask(value, name, v)
	case "label":
		return s.label.set(value, v)
	case "proc-opts":
		return s.setProc(value, v)
	default:
		return usage(flag, value, "unknown option %q", name)
	}
	return nil
}

func (s *securityOptions) setMask(value, name, v string) error {
	if name == "unmask" && strings.EqualFold(v, all) {
		s.unmaskAll = true
		return nil
	}
	for p := range strings.SplitSeq(v, ":") {
		if _, err := path.Match(p, ""); err != nil || !path.IsAbs(p) {
			return usage("--security-opt", value, "%q is no absolute path", p)
		}
		if name == "mask" {
			s.mask = append(s.mask, p)
		} else {
			s.unmask = append(s.unmask, p)
		}
	}
	return nil
}

func readProfile(name string) (string, error) {
	body, err := regular.Read(name, maxProfile)
	if path := (*fs.PathError)(nil); err != nil && !errors.As(err, &path) {
		err = &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return string(body), err
}
