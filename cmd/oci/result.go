package main

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/pflag"

	"github.com/oci-pipeline/oci/image"
)

// outputFlags say how a verb that moves an image tells its result.
type outputFlags struct {
	format     formatFlag
	digestFile string
}

func (o *outputFlags) register(f *pflag.FlagSet) {
	o.format.registerOutput(f)
	f.StringVar(&o.digestFile, "digestfile", "", "write the digest of the result to this `file` too")
}

// pulled is what a verb that moves an image did, and its JSON. `oci help output` documents the fields.
type pulled struct {
	Name      string `json:"ref"`                // in full
	Digest    string `json:"digest"`             // of what the name means
	MediaType string `json:"mediaType"`          // of the same
	Manifest  string `json:"manifest,omitempty"` // of the platform; none of several
	ID        string `json:"id,omitempty"`       // none of an artifact
	Platform  string `json:"platform,omitempty"` // none of an artifact
	// Platforms of an index that was moved for several; Manifest, ID and Platform are absent then.
	Platforms []string `json:"platforms,omitempty"`
	Referrers []string `json:"referrers,omitempty"` // digests of what was moved with it
	Fetched   int64    `json:"bytesFetched"`        // into the store
	Reused    int64    `json:"bytesReused"`         // were in the store already
	Sent      int64    `json:"bytesSent,omitempty"` // to the destination

	Layers     []movedLayer `json:"layers"` // of the one manifest
	DurationMs int64        `json:"durationMs"`
	Warnings   []string     `json:"warnings"`

	image image.Image
}

// movedLayer is a layer of the image that was moved.
type movedLayer struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
	DiffID    string `json:"diffID"`
}

// describe fills in what only an image has.
func (p *pulled) describe(img image.Image) {
	p.image = img
	p.Manifest, p.ID = img.Descriptor().Digest.String(), img.ID().String()
	p.Platform = image.FormatPlatform(img.Config().Platform)
	p.Layers = nil
	for _, l := range img.Layers() {
		p.Layers = append(p.Layers, movedLayer{l.Descriptor.MediaType, l.Descriptor.Digest.String(), l.Descriptor.Size, l.DiffID.String()})
	}
}

// named says what the result is called, and what that means.
func (p *pulled) named(name string, d ispec.Descriptor) {
	p.Name, p.Digest, p.MediaType = name, d.Digest.String(), d.MediaType
}

// finish fills in what is known when all is done.
func (a *app) finish(p *pulled) {
	p.DurationMs, p.Warnings = time.Since(a.start).Milliseconds(), a.notes.list()
	if p.Layers == nil {
		p.Layers = []movedLayer{}
	}
}

// printResult tells what was done, in the form that was asked for.
func (a *app) printResult(p pulled, o outputFlags) error {
	a.finish(&p)
	if o.digestFile != "" {
		if err := writeDigestFile(o.digestFile, p.Digest); err != nil {
			return err
		}
	}
	if o.format.json() {
		return o.format.write(a.out, p)
	}
	_, err := fmt.Fprintf(a.out, "%s %s\n", oneLine(p.Name), p.Digest)
	return err
}

// writeDigestFile writes as skopeo and podman do: the digest, and no end of line.
func writeDigestFile(name, dgst string) error {
	if err := os.WriteFile(name, []byte(dgst), 0o644); err != nil {
		return fmt.Errorf("write the digest: %w", err)
	}
	return nil
}

// counter adds up what a transfer moved.
type counter struct{ n atomic.Int64 }

// events lets events pass.
func (c *counter) events(next image.EventFunc) image.EventFunc {
	return func(e image.Event) {
		next.Emit(e)
		if e.Kind == image.EventDone {
			c.n.Add(e.Descriptor.Size)
		}
	}
}

// printResults is printResult for a verb that may move several images: one is told as any, several as a
// list.
func (a *app) printResults(list []pulled, o outputFlags) error {
	if len(list) == 1 {
		return a.printResult(list[0], o)
	}
	if o.digestFile != "" {
		return usageErrorf(nil, "--digestfile is for one image, and %d were moved", len(list))
	}
	for i := range list {
		a.finish(&list[i])
	}
	if o.format.json() {
		return o.format.write(a.out, list)
	}
	for _, p := range list {
		if _, err := fmt.Fprintf(a.out, "%s %s\n", oneLine(p.Name), p.Digest); err != nil {
			return err
		}
	}
	return nil
}
