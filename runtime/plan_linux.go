package runtime

import (
	"os"

	"github.com/oci-pipeline/oci/runtime/internal/cgroup"
	"github.com/oci-pipeline/oci/runtime/internal/plan"
	"github.com/oci-pipeline/oci/runtime/internal/seccomp"
)

// Plan returns the text of the plan that Create would execute: every system call with its arguments, what happens on which errno, the place in
// config.json that asked for it, and why. It needs no privilege and changes nothing. ID, Bundle and Spec are used.
func (r *Runtime) Plan(o CreateOptions) (string, error) {
	c := &creation{CreateOptions: o, Container: &Container{rt: r}, live: &live{}}
	wrap := func(err error) (string, error) {
		return "", &Error{Op: "plan", Subject: o.Bundle, Err: err}
	}
	o.Attached = true // a terminal needs no socket to be planned
	c.Attached = true
	if err := c.check(); err != nil {
		return wrap(err)
	}
	host := hostFacts(o.Spec)
	in := plan.Input{Spec: o.Spec, Bundle: o.Bundle, Host: host, NewKeyring: !o.NoNewKeyring, NoPivot: o.NoPivot}
	in.FDs = plan.FDs{Report: 3, Sync: 4, Start: 4, Console: -1, Root: -1}
	if o.Spec.Process.Terminal {
		in.FDs.Console = 5
	}
	if l := o.Spec.Linux; l != nil && l.Seccomp != nil {
		prog, err := seccomp.Compile(l.Seccomp, seccomp.Native())
		if err != nil {
			return wrap(err)
		}
		in.Seccomp, in.SeccompFlags = prog.Bytes(), uint64(prog.Flags)
	}
	if layout, err := cgroup.Detect(); err == nil {
		cgroupsPath := ""
		if o.Spec.Linux != nil {
			cgroupsPath = o.Spec.Linux.CgroupsPath
		}
		if m, err := cgroup.New(layout, cgroupsPath, o.ID, cgroup.Options{IgnorePermission: os.Geteuid() != 0}); err == nil {
			in.Host.CgroupV2 = layout.Version() == "v2"
			in.Host.Hierarchies = hierarchies(m.Paths())
		}
	}
	p, err := plan.Compile(in)
	if err != nil {
		return wrap(err)
	}
	return p.String(), nil
}
