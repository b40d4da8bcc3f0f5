package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"
)

type syncFlags struct {
	dryRun, prune, keepGoing bool
}

// What `oci sync` does, or with --dry-run would do, with one image.
const (
	syncCopy  = "copy"
	syncSame  = "same" // it is there already
	syncPrune = "prune"
	syncFail  = "fail"
)

// syncStep is one line of what `oci sync` prints, and one element of its JSON.
type syncStep struct {
	Action string `json:"action"`
	From   string `json:"from,omitempty"`
	To     string `json:"to"`
	Digest string `json:"digest,omitempty"`
	Error  string `json:"error,omitempty"`
}

func (s syncStep) text() string {
	switch s.Action {
	case syncPrune:
		return fmt.Sprintf("prune %s", s.To)
	case syncFail:
		return fmt.Sprintf("fail  %s: %s", s.To, s.Error)
	}
	return fmt.Sprintf("%-5s %s %s %s", s.Action, s.From, s.To, s.Digest)
}

func syncCommand(a *app) *cobra.Command {
	var t transferFlags
	var f syncFlags
	var format formatFlag
	cmd := &cobra.Command{
		Use:   "sync FILE",
		Short: "Copy the images of a list from registries to registries or layouts",
		Long: `Copy the images of a list, what is there already not again. The list is TOML, or JSON of the same form if
its name ends in .json:

  [[image]]
  from = "docker.io/library/busybox"      # a repository, or oci:DIR
  to = "registry.example.org/hub/busybox" # a repository, or oci:DIR
  tags = ["latest"]                       # these tags, and those that
  regex = '^1\.3\d(\.\d+)?$'              # match this and
  semver = ">=1.36 <2 || ~1.35.1"         # are such versions; without the three, all
  platform = "linux/amd64"                # one image, not the whole index
  referrers = true                        # with signatures, SBOMs and the like

A key that is not known is an error, and nothing is done before the whole list is understood. What is copied
passes through the store, as with ` + "`oci copy`" + `.

--prune deletes the tags of a destination in a registry that the list does not choose; never all of them:
if a list chooses nothing of a repository, nothing is deleted there.`,
		Args: exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			list, err := readSyncList(args[0])
			if err != nil {
				return err
			}
			for _, e := range list.Image {
				if f.prune && !e.to.inRegistry() {
					return usageErrorf(cmd, "--prune: %s is not in a registry", e.To)
				}
			}
			r := &syncRun{a: a, t: t, f: f, steps: []syncStep{}, text: !format.json()}
			err = r.all(ctx, list)
			if format.json() {
				err = errors.Join(format.write(a.out, r.steps), err)
			}
			return err
		},
	}
	t.registerJobs(cmd.Flags())
	t.registerAccess(cmd.Flags())
	t.registerQuiet(cmd.Flags())
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "print what would be done, and do nothing")
	cmd.Flags().BoolVar(&f.prune, "prune", false, "delete the tags of the destinations that the list does not choose")
	cmd.Flags().BoolVarP(&f.keepGoing, "keep-going", "k", false, "go on after a failure; the exit status is that of the first")
	format.registerOutput(cmd.Flags())
	return cmd
}

// syncRun is one run over a list.
type syncRun struct {
	a     *app
	t     transferFlags
	f     syncFlags
	text  bool // print each step at once
	steps []syncStep
	first error // of the failures
}

func (r *syncRun) all(ctx context.Context, list syncList) error {
	for i := range list.Image {
		e := &list.Image[i]
		if err := r.entry(ctx, e); err != nil {
			if err := r.failed(ctx, e.To, err); err != nil {
				return err
			}
		}
	}
	return r.first
}

func (r *syncRun) done(s syncStep) error {
	r.steps = append(r.steps, s)
	if !r.text {
		return nil
	}
	_, err := fmt.Fprintln(r.a.out, s.text())
	return err
}

// failed notes a failure; the error that it gives ends the run.
func (r *syncRun) failed(ctx context.Context, to string, err error) error {
	if r.first == nil {
		r.first = err
	}
	werr := r.done(syncStep{Action: syncFail, To: to, Error: err.Error()})
	if !r.f.keepGoing || ctx.Err() != nil || werr != nil {
		return r.first
	}
	return nil
}

// entry copies one repository, and prunes it if nothing of it failed.
func (r *syncRun) entry(ctx context.Context, e *syncEntry) error {
	tags, err := r.tags(ctx, e.from)
	if err != nil {
		return err
	}
	chosen := e.choose(tags)
	whole := true
	for _, tag := range chosen {
		if err := r.image(ctx, e, tag); err != nil {
			whole = false
			if err := r.failed(ctx, e.to.tagged(tag).String(), err); err != nil {
				return err
			}
		}
	}
	if !r.f.prune || !whole || len(chosen) == 0 {
		return nil
	}
	return r.prune(ctx, e, chosen)
}

// tags lists what a place has.
func (r *syncRun) tags(ctx context.Context, p place) ([]string, error) {
	if p.inRegistry() {
		c, err := r.a.client(r.t)
		if err != nil {
			return nil, err
		}
		return c.AllTags(ctx, p.ref) // what is not in the list may be deleted
	}
	src, err := r.a.openPlace(ctx, p, r.t)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	list, err := src.List(ctx)
	return namesOf(list), err
}

// image copies one image, unless the destination has it.
func (r *syncRun) image(ctx context.Context, e *syncEntry, tag string) error {
	from, to := e.from.tagged(tag), e.to.tagged(tag)
	if err := errors.Join(from.check(), to.check()); err != nil { // names of a layout may be no tags
		return err
	}
	t := r.t
	t.artifacts, t.platform, t.all = true, e.Platform, e.Platform == ""
	want, err := r.digest(ctx, from, t)
	if err != nil {
		return err
	}
	plain := t
	plain.platform = ""
	have, err := r.digest(ctx, to, plain)
	if err != nil && !absent(err) {
		return err
	}
	step := syncStep{Action: syncCopy, From: from.String(), To: to.String(), Digest: want.String()}
	same := err == nil && have == want
	if same && (!e.Referrers || r.f.dryRun) {
		step.Action = syncSame
		return r.done(step)
	}
	if r.f.dryRun {
		return r.done(step)
	}
	done, err := r.a.copyImage(ctx, from, to, moveFlags{referrers: e.Referrers}, t)
	if err != nil {
		return err
	}
	if step.Digest = done.Digest; same {
		step.Action = syncSame
	}
	return r.done(step)
}

// digest gives what a place means, for the platform if one is asked for.
func (r *syncRun) digest(ctx context.Context, p place, t transferFlags) (digest.Digest, error) {
	src, err := r.a.openPlace(ctx, p, t)
	if err != nil {
		return "", err
	}
	defer src.Close()
	d, err := src.Resolve(ctx)
	if err == nil && t.platform != "" {
		var want ispec.Platform
		if want, err = wantedPlatform(t.platform); err == nil {
			d, _, err = readManifest(ctx, src, d, &want)
		}
	}
	return d.Digest, err
}

// prune deletes the tags of the destination that are not among the chosen.
func (r *syncRun) prune(ctx context.Context, e *syncEntry, chosen []string) error {
	tags, err := r.tags(ctx, e.to)
	if absent(err) && r.f.dryRun {
		return nil // nothing was copied there yet
	}
	if err != nil {
		return err
	}
	c, err := r.a.client(r.t)
	if err != nil {
		return err
	}
	for _, tag := range tags {
		if slices.Contains(chosen, tag) || referrersTag(tag) {
			continue
		}
		to := e.to.tagged(tag)
		if !r.f.dryRun {
			err = c.Delete(ctx, to.ref)
		}
		if err == nil {
			err = r.done(syncStep{Action: syncPrune, To: to.String()})
		} else {
			err = r.failed(ctx, to.String(), err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
