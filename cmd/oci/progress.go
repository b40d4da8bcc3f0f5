package main

import (
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

	"github.com/oci-pipeline/oci/distribution"
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
	told map[digest.Digest]told // plain: what was last said of a blob
	// notes get the warnings; nil if nobody keeps them.
	notes *notes
}

// told is what was last said of a blob.
type told struct {
	began, at    time.Time
	first, bytes int64
}

// In plain mode something is said of a blob that moves after plainStep, or after a tenth of it, but not
// more often than in plainLeast: short transfers are one line.
const (
	plainStep  = 10 * time.Second
	plainLeast = 2 * time.Second
)

// barWidth leaves room for the digest and the sizes in 80 columns.
const barWidth = 36

func newProgressMode(out io.Writer, mode progressMode) *progress {
	if mode == progressAuto || mode == "" {
		mode = progressPlain
		if isTerminal(out) && os.Getenv("TERM") != "dumb" {
			mode = progressTTY
		}
	}
	p := &progress{out: out, mode: mode}
	switch mode {
	case progressTTY:
		p.bars = mpb.New(mpb.WithOutput(out), mpb.WithWidth(barWidth))
		p.bar = map[digest.Digest]*mpb.Bar{}
	case progressPlain:
		p.told = map[digest.Digest]told{}
	}
	return p
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// event is an image.EventFunc for what comes.
func (p *progress) event(e image.Event) { p.show(e, "fetched") }

// pushed is one for what is sent.
func (p *progress) pushed(e image.Event) { p.show(e, "pushed") }

// written is one for what is written to a file.
func (p *progress) written(e image.Event) { p.show(e, "written") }

// show shows an event of a transfer; done is what is said of a blob at its end.
func (p *progress) show(e image.Event, done string) {
	if e.Kind == image.EventWarning && p.notes != nil {
		p.notes.keep(e)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mode == progressJSON {
		p.object(objectOf(e))
		return
	}
	switch e.Kind {
	case image.EventRetry:
		p.line("%s: %v; trying again", subject(e), e.Err)
	case image.EventWarning:
		p.line("%s", warningText(e))
	}
	switch p.mode {
	case progressTTY:
		p.draw(e)
	case progressPlain:
		p.tell(e, done)
	}
}

// tell says in plain lines what happened.
func (p *progress) tell(e image.Event, done string) {
	d := e.Descriptor
	switch e.Kind {
	case image.EventDone:
		p.line("%s %s %s", subject(e), size(d.Size), done)
	case image.EventReused:
		p.line("%s %s present", subject(e), size(d.Size))
	case image.EventStarted:
		now := time.Now()
		p.told[d.Digest] = told{now, now, e.Bytes, e.Bytes}
		p.resumed(e)
	case image.EventProgress:
		p.passed(e, time.Now())
	}
}

// resumed says that a blob goes on where it was broken off.
func (p *progress) resumed(e image.Event) {
	if e.Bytes > 0 && e.Bytes < e.Descriptor.Size {
		p.line("%s resumed at %d %% (%s of %s)", subject(e), percent(e.Bytes, e.Descriptor.Size), size(e.Bytes), size(e.Descriptor.Size))
	}
}

// passed says how far a blob is, now and then.
func (p *progress) passed(e image.Event, now time.Time) {
	d := e.Descriptor
	last, ok := p.told[d.Digest]
	if !ok || e.Bytes >= d.Size {
		return
	}
	since := now.Sub(last.at)
	if since < plainLeast || since < plainStep && e.Bytes-last.bytes < d.Size/10 {
		return
	}
	speed := float64(e.Bytes-last.first) / now.Sub(last.began).Seconds()
	p.line("%s %d %%, %s of %s, %s/s", subject(e), percent(e.Bytes, d.Size), size(e.Bytes), size(d.Size), size(int64(speed)))
	last.at, last.bytes = now, e.Bytes
	p.told[d.Digest] = last
}

func percent(n, all int64) int64 {
	if all <= 0 {
		return 0
	}
	return int64(float64(n) / float64(all) * 100)
}

// eventObject is a line of --progress=json. `oci help output` documents the fields.
type eventObject struct {
	Kind      image.EventKind `json:"kind"`
	Ref       string          `json:"ref,omitempty"`
	Digest    digest.Digest   `json:"digest,omitempty"`
	MediaType string          `json:"mediaType,omitempty"`
	Bytes     int64           `json:"bytes"`
	Total     int64           `json:"total"`
	Host      string          `json:"host,omitempty"`
	WaitMs    int64           `json:"waitMs,omitempty"`
	Error     string          `json:"error,omitempty"`
}

// eventWait is the kind of a wait, which no stage emits: the client tells it.
const eventWait image.EventKind = "wait"

func objectOf(e image.Event) eventObject {
	d := e.Descriptor
	o := eventObject{Kind: e.Kind, Ref: e.Ref, Digest: d.Digest, MediaType: d.MediaType, Bytes: e.Bytes, Total: e.Total}
	if o.Total == 0 {
		o.Total = d.Size
	}
	if e.Err != nil {
		o.Error = e.Err.Error()
	}
	return o
}

func (p *progress) object(o eventObject) {
	if raw, err := marshalJSON(o); err == nil {
		p.write(string(raw) + "\n")
	}
}

// wait tells of a wait.
func (p *progress) wait(w distribution.Wait) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mode == progressJSON {
		p.object(eventObject{Kind: eventWait, Host: w.Host, WaitMs: w.For.Milliseconds(), Error: w.Err.Error()})
		return
	}
	p.line("%s", waitText(w))
}

// Write lets a log go between the bars.
func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.write(string(b))
	return len(b), nil
}

// draw moves the bar of the event's blob.
func (p *progress) draw(e image.Event) {
	d := e.Descriptor.Digest
	bar := p.bar[d]
	switch e.Kind {
	case image.EventStarted, image.EventReused:
		if e.Kind == image.EventStarted {
			p.resumed(e)
		}
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
	p.write(safeText(fmt.Sprintf(format, args...)) + "\n")
}

// write writes whole lines.
func (p *progress) write(text string) {
	if p.bars != nil {
		_, _ = p.bars.Write([]byte(text))
		return
	}
	_, _ = io.WriteString(p.out, text)
}

// close ends the bars, those of unfinished blobs too, and waits until they are drawn.
func (p *progress) close() {
	if p.notes != nil && !p.notes.hide() {
		return
	}
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
