package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/image/reference"
)

type syncFlags struct {
	dryRun, prune, keepGoing, scoped bool
	images                           int // at once
}

// syncImages is how many images are compared and copied at once.
const syncImages = 3

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
	Bytes  int64  `json:"bytesFetched,omitempty"`
	Error  string `json:"error,omitempty"`

	err error
}

func (s syncStep) text() string {
	switch s.Action {
	case syncPrune:
		return fmt.Sprintf("prune %s", s.To)
	case syncFail:
		return fmt.Sprintf("fail  %s: %s", s.To, safeText(s.Error))
	}
	return fmt.Sprintf("%-5s %s %s %s", s.Action, s.From, s.To, s.Digest)
}

func syncCommand(a *app) *cobra.Command {
	var t transferFlags
	var f syncFlags
	var format formatFlag
	cmd := &cobra.Command{
		Use:   "sync FILE [DESTINATION]",
		Short: "Copy the images of a list from registries to registries or layouts",
		Long:  syncHelp,
		Args:  between(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			into := syncInto{scoped: f.scoped}
			if len(args) == 2 {
				into.base = args[1]
			}
			list, err := readSyncList(args[0], into)
			if err != nil {
				return err
			}
			for _, e := range list.Image {
				if f.prune && !e.to.inRegistry() {
					return usageErrorf(cmd, "--prune: %s is not in a registry", e.To)
				}
			}
			if f.images < 1 {
				return usageErrorf(cmd, "--jobs: at least one image at once")
			}
			if other := list.another(); other != "" && t.secret() != "" {
				return usageErrorf(cmd, "%s would go to every registry of the list, %s too: use --authfile or logins", t.secret(), other)
			}
			t.hosts = list.hosts
			if t.mode == progressAuto || t.mode == "" || t.mode == progressTTY {
				t.mode = progressPlain // bars are for the blobs of one image
			}
			r := &syncRun{a: a, t: t, f: f, steps: []syncStep{}, text: !format.json(), slots: make(chan struct{}, f.images)}
			err = r.all(ctx, list)
			if format.json() {
				err = errors.Join(format.write(a.out, r.steps), err)
			}
			return err
		},
	}
	t.registerAccess(cmd.Flags())
	t.registerQuiet(cmd.Flags())
	cmd.Flags().IntVarP(&f.images, "jobs", "j", syncImages, "`number` of images to copy at once")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "print what would be done, and do nothing")
	cmd.Flags().BoolVar(&f.prune, "prune", false, "delete the tags of the destinations that the list does not choose")
	cmd.Flags().BoolVarP(&f.keepGoing, "keep-going", "k", false, "go on after a failure; the exit status is that of the first")
	cmd.Flags().BoolVar(&f.scoped, "scoped", false, "with a list of skopeo: keep whole names below the destination, and not their last part")
	format.registerOutput(cmd.Flags())
	return cmd
}

const syncHelp = `Copy the images of a list, what is there already not again: then an image costs two HEAD requests. The list is
TOML, or JSON or YAML of the same form if its name ends in .json, .yaml or .yml:

  [[image]]
  from = "docker.io/library/busybox"      # a repository, or oci:DIR
  to = "registry.example.org/hub/busybox" # a repository, or oci:DIR
  tags = ["latest"]                       # these tags, and those that
  regex = '^1\.3\d(\.\d+)?$'              # match this and
  semver = ">=1.36 <2 || ~1.35.1"         # are such versions; without the three, all
  newest = 5                              # of those that match, the five highest versions
  platform = "linux/amd64"                # one image, not the whole index
  referrers = true                        # with signatures, SBOMs and the like

A YAML file of skopeo sync is taken as it is, with images, images-by-tag-regex, images-by-semver, credentials,
tls-verify and cert-dir; DESTINATION then says where to: REGISTRY[/PATH] or oci:DIR.

A key that is not known is an error, and nothing is done before the whole list is understood. What is copied
passes through the store, as with ` + "`oci copy`" + `.

--prune deletes the tags of a destination in a registry that the list does not choose; never all of them:
if a list chooses no tag of a repository, nothing is deleted there. Tags of what is chosen by digest stay, and
those that belong to other manifests: sha256-HEX, and cosign's sha256-HEX.sig and the like.

Credentials and headers that are given by flags are for one registry. For a list with several, files and
helpers have them (--authfile), or a list of skopeo itself.`

// syncRun is one run over a list.
type syncRun struct {
	a     *app
	t     transferFlags
	f     syncFlags
	text  bool          // print each step at once
	slots chan struct{} // as many as images are worked on at once
	steps []syncStep
	first error // of the failures
}

// syncOutcome is what became of one repository.
type syncOutcome struct {
	chosen []string
	err    error           // the tags could not be listed
	steps  []chan syncStep // one of each image, in order
}

// all works on several images at once and tells of them in the order of the list.
func (r *syncRun) all(ctx context.Context, list syncList) error {
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	outcomes := make([]chan syncOutcome, len(list.Image))
	for i := range list.Image {
		outcomes[i] = make(chan syncOutcome, 1)
		work.Go(func() { outcomes[i] <- r.entry(ctx, &list.Image[i], &work) })
	}
	for i := range list.Image {
		e := &list.Image[i]
		if err := r.tell(ctx, e, <-outcomes[i]); err != nil {
			return err
		}
	}
	return r.first
}

// tell waits for the images of a repository, tells of each, and prunes if nothing failed.
func (r *syncRun) tell(ctx context.Context, e *syncEntry, o syncOutcome) error {
	if o.err != nil {
		return r.failed(ctx, e.To, o.err)
	}
	whole := true
	for _, c := range o.steps {
		s := <-c
		var err error
		if s.err != nil {
			whole = false
			err = r.failed(ctx, s.To, s.err)
		} else {
			err = r.done(s)
		}
		if err != nil {
			return err
		}
	}
	if !r.f.prune || !whole || len(o.chosen) == 0 {
		return nil
	}
	return r.prune(ctx, e, o.chosen)
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

// slot waits for one of the slots; the caller gives it back.
func (r *syncRun) slot(ctx context.Context) error {
	select {
	case r.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// entry starts to copy the images of one repository.
func (r *syncRun) entry(ctx context.Context, e *syncEntry, work *sync.WaitGroup) syncOutcome {
	var tags []string
	if e.lists() {
		if err := r.slot(ctx); err != nil {
			return syncOutcome{err: err}
		}
		list, err := r.tags(ctx, e.from)
		<-r.slots
		if err != nil {
			return syncOutcome{err: err}
		}
		tags = list
	}
	o := syncOutcome{chosen: e.choose(tags)}
	for _, tag := range o.chosen {
		c := make(chan syncStep, 1)
		o.steps = append(o.steps, c)
		work.Go(func() {
			s := syncStep{Action: syncFail, To: e.to.tagged(tag).String()}
			if s.err = r.slot(ctx); s.err == nil {
				s, s.err = r.image(ctx, e, tag)
				<-r.slots
			}
			c <- s
		})
	}
	return o
}

// tags lists what a place has, and of a registry what no mirror stands in for: what is not in the list may
// be deleted.
func (r *syncRun) tags(ctx context.Context, p place) ([]string, error) {
	if p.inRegistry() {
		c, err := r.a.client(r.t)
		if err != nil {
			return nil, err
		}
		return c.AllTags(ctx, p.ref)
	}
	list, err := r.a.listTags(ctx, p.ref, r.t)
	return list.Tags, err
}

// image copies one image, unless the destination has it.
func (r *syncRun) image(ctx context.Context, e *syncEntry, tag string) (syncStep, error) {
	from, to := e.from.tagged(tag), e.to.tagged(tag)
	step := syncStep{Action: syncCopy, From: from.String(), To: to.String()}
	if err := errors.Join(from.check(), to.check()); err != nil { // names of a layout may be no tags
		return step, err
	}
	t := r.t
	t.artifacts, t.platform, t.all = true, e.Platform, e.Platform == ""
	want, err := r.digest(ctx, from, t)
	if err != nil {
		return step, err
	}
	have, err := r.targetDigest(ctx, to, t)
	if err != nil && !absent(err) {
		return step, err
	}
	step.Digest = want.String()
	same := err == nil && have == want
	if same {
		step.Action = syncSame
	}
	if r.f.dryRun || same && !e.Referrers {
		return step, nil
	}
	done, err := r.a.copyImage(ctx, from, to, moveFlags{referrers: e.Referrers}, t)
	step.Bytes = done.Fetched
	if err == nil {
		step.Digest = done.Digest
	}
	return step, err
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

// means tells whether a tag of the destination means one of the digests.
func means(ctx context.Context, c *distribution.Client, ref reference.Ref, digests []digest.Digest) (bool, error) {
	if len(digests) == 0 {
		return false, nil
	}
	d, err := c.ResolveTarget(ctx, ref)
	return err == nil && slices.Contains(digests, d.Digest), err
}

// targetDigest gives what a destination means, asked where the copy would go: a mirror may have what the
// registry lacks.
func (r *syncRun) targetDigest(ctx context.Context, to place, t transferFlags) (digest.Digest, error) {
	if !to.inRegistry() {
		t.platform = ""
		return r.digest(ctx, to, t)
	}
	c, err := r.a.client(t)
	if err != nil {
		return "", err
	}
	d, err := c.ResolveTarget(ctx, to.ref)
	return d.Digest, err
}

// prune deletes the tags of the destination that are not among the chosen, listed where they are deleted.
func (r *syncRun) prune(ctx context.Context, e *syncEntry, chosen []string) error {
	c, err := r.a.client(r.t)
	if err != nil {
		return err
	}
	tags, err := c.TargetTags(ctx, e.to.ref)
	if absent(err) && r.f.dryRun {
		return nil // nothing was copied there yet
	}
	if err != nil {
		return err
	}
	digests := chosenDigests(chosen)
	if len(digests) == len(chosen) {
		return nil // no tag is chosen
	}
	for _, tag := range tags {
		if slices.Contains(chosen, tag) || ofAnotherManifest(tag) {
			continue
		}
		to := e.to.tagged(tag)
		keep, err := means(ctx, c, to.ref, digests)
		if keep {
			continue
		}
		if err == nil && !r.f.dryRun {
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
