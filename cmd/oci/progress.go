package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/oci-pipeline/oci/image"
)

// progressMode is --progress: how the events of a transfer are shown on standard error.
type progressMode string

// The modes. The zero progressMode is progressAuto.
const (
	progressAuto  progressMode = "auto"  // tty on a terminal, else plain
	progressTTY   progressMode = "tty"   // bars
	progressPlain progressMode = "plain" // a line for each blob, and now and then for a long one
	progressJSON  progressMode = "json"  // an object a line for each event
	progressNone  progressMode = "none"  // nothing but warnings
)

// String, Set and Type make progressMode a pflag.Value.
func (m *progressMode) String() string { return string(*m) }

// Set accepts the modes.
func (m *progressMode) Set(s string) error {
	switch mode := progressMode(s); mode {
	case progressAuto, progressTTY, progressPlain, progressJSON, progressNone:
		*m = mode
		return nil
	}
	return fmt.Errorf("%q is none of auto, tty, plain, json, none", s)
}

// Type is the name of the value in help texts.
func (m *progressMode) Type() string { return "mode" }

// progress shows a transfer's events on standard error.
type progress struct {
	mu   sync.Mutex
	out  io.Writer
	mode progressMode  // auto no more
	bars *mpb.Progress // nil unless mode is tty
	bar  map[digest.Digest]*mpb.Bar
	told map[digest.Digest]time.Time // plain: when something was last said of a blob
}

// plainStep is how long nothing is said of a blob that moves, in plain mode.
const plainStep = 10 * time.Second

// barWidth leaves room for the digest and the sizes in 80 columns.
const barWidth = 36

func newProgress(out io.Writer, quiet bool) *progress {
	if quiet {
		return newProgressMode(out, progressNone)
	}
	return newProgressMode(out, progressAuto)
}

func newProgressMode(out io.Writer, mode progressMode) *progress {
	if mode == progressAuto || mode == "" {
		mode = progressPlain
		if isTerminal(out) {
			mode = progressTTY
		}
	}
	p := &progress{out: out, mode: mode}
	switch mode {
	case progressTTY:
		p.bars = mpb.New(mpb.WithOutput(out), mpb.WithWidth(barWidth))
		p.bar = map[digest.Digest]*mpb.Bar{}
	case progressPlain:
		p.told = map[digest.Digest]time.Time{}
	}
	return p
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// event is an image.EventFunc.
func (p *progress) event(e image.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mode == progressJSON {
		p.object(e)
		return
	}
	switch e.Kind {
	case image.EventRetry:
		p.line("%s: %v; trying again", subject(e), e.Err)
	case image.EventWarning:
		p.line("warning: %s: %v", subject(e), e.Err)
	}
	switch p.mode {
	case progressTTY:
		p.draw(e)
	case progressPlain:
		p.tell(e)
	}
}

// tell says in plain lines what happened.
func (p *progress) tell(e image.Event) {
	d := e.Descriptor
	switch e.Kind {
	case image.EventDone:
		p.line("%s %s fetched", subject(e), size(d.Size))
	case image.EventReused:
		p.line("%s %s present", subject(e), size(d.Size))
	case image.EventStarted:
		p.told[d.Digest] = time.Now()
		if e.Bytes > 0 {
			p.line("%s resumed at %s of %s", subject(e), size(e.Bytes), size(d.Size))
		}
	case image.EventProgress:
		if now := time.Now(); now.Sub(p.told[d.Digest]) >= plainStep && e.Bytes < d.Size {
			p.told[d.Digest] = now
			p.line("%s %s of %s", subject(e), size(e.Bytes), size(d.Size))
		}
	}
}

// eventObject is a line of --progress=json.
type eventObject struct {
	Kind   image.EventKind `json:"kind"`
	Ref    string          `json:"ref,omitempty"`
	Digest digest.Digest   `json:"digest,omitempty"`
	Bytes  int64           `json:"bytes"`
	Total  int64           `json:"total"`
	Error  string          `json:"error,omitempty"`
}

func (p *progress) object(e image.Event) {
	o := eventObject{Kind: e.Kind, Ref: e.Ref, Digest: e.Descriptor.Digest, Bytes: e.Bytes, Total: e.Total}
	if e.Err != nil {
		o.Error = e.Err.Error()
	}
	if raw, err := json.Marshal(o); err == nil {
		p.line("%s", raw)
	}
}

// draw moves the bar of the event's blob.
func (p *progress) draw(e image.Event) {
	d := e.Descriptor.Digest
	bar := p.bar[d]
	switch e.Kind {
	case image.EventStarted, image.EventReused:
		if bar == nil {
			bar = p.bars.AddBar(e.Descriptor.Size,
				mpb.PrependDecorators(decor.Name(short(d)+" ")),
				mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f")))
			p.bar[d] = bar
		}
		bar.SetCurrent(e.Bytes)
		if e.Kind == image.EventReused {
			bar.SetCurrent(e.Descriptor.Size)
		}
	case image.EventProgress:
		if bar != nil {
			bar.SetCurrent(e.Bytes)
		}
	case image.EventDone:
		if bar != nil {
			bar.SetTotal(e.Descriptor.Size, true)
		}
	case image.EventUnpacked:
		p.line("%s unpacked", subject(e))
	case image.EventFailed:
		if bar != nil {
			bar.Abort(false)
		}
	}
}

// line writes between the bars where there are some.
func (p *progress) line(format string, args ...any) {
	text := fmt.Sprintf(format, args...) + "\n"
	if p.bars != nil {
		_, _ = p.bars.Write([]byte(text))
		return
	}
	_, _ = io.WriteString(p.out, text)
}

// close ends the bars, those of unfinished blobs too, and waits until they are drawn.
func (p *progress) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bars == nil {
		return
	}
	for _, b := range p.bar {
		b.Abort(false)
	}
	p.bars.Wait()
	p.bars = nil
}

func subject(e image.Event) string {
	if e.Descriptor.Digest != "" {
		return short(e.Descriptor.Digest)
	}
	return e.Ref
}

// short is the first 12 digits of a digest: enough for a person to tell blobs apart.
func short(d digest.Digest) string {
	_, hex, ok := strings.Cut(d.String(), ":")
	if !ok || len(hex) < 12 {
		return d.String()
	}
	return hex[:12]
}

// size is a number of bytes for people: 1.5 MB is 1,500,000 bytes.
func size(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	f, i := float64(n), 0
	for f >= 1000 && i < len(units)-1 {
		f, i = f/1000, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}
