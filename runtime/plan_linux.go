package runtime

import (
	"context"

	"github.com/oci-pipeline/oci/runtime/internal/plan"
)

// Plan returns the text of the plan that Create would execute: every system call with its arguments, what happens on which errno, the place in
// config.json that asked for it, and why. It needs no privilege and changes nothing. ID, Bundle and Spec are used.
func (r *Runtime) Plan(o CreateOptions) (string, error) {
	o.Attached = true // a terminal needs no socket to be planned
	o.OwnStdio = false
	c := &creation{CreateOptions: o, Container: &Container{rt: r}, live: &live{}}
	c.fds = plan.FDs{Report: 3, Sync: 4, Start: 4, Console: -1, Root: -1}
	err := c.check()
	if err == nil {
		if o.Spec.Process.Terminal {
			c.fds.Console = 5
		}
		err = c.facts(context.Background())
	}
	if err == nil {
		err = c.placeMounts(c.fds.Start + 2)
	}
	if err == nil {
		_, _ = c.placeCgroup() // a plan is made without cgroups too
		err = c.compile(context.Background())
	}
	if err != nil {
		return "", &Error{Op: "plan", Subject: o.Bundle, Err: err}
	}
	return c.live.plan.String(), nil
}
