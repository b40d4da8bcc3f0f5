package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/oci-pipeline/oci/image"
)

// progress shows a transfer's events on standard error: bars on a terminal, one line for each
// finished blob elsewhere, nothing but warnings when quiet.
type progress struct {
	mu    sync.Mutex
	out   io.Writer
	quiet bool
	bars  *mpb.Progress // nil unless on a terminal
	bar   map[digest.Digest]*mpb.Bar
}

// barWidth leaves room for the digest and the sizes in 80 columns.
const barWidth = 36

func newProgress(out io.Writer, quiet bool) *progress {
	p := &progress{out: out, quiet: quiet}
	if !quiet && isTerminal(out) {
		p.bars = mpb.New(mpb.WithOutput(out), mpb.WithWidth(barWidth))
		p.bar = map[digest.Digest]*mpb.Bar{}
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
	switch e.Kind {
	case image.EventRetry:
		p.line("%s: %v; trying again", subject(e), e.Err)
	case image.EventWarning:
		p.line("warning: %s: %v", subject(e), e.Err)
	}
	switch {
	case p.quiet:
	case p.bars != nil:
		p.draw(e)
	case e.Kind == image.EventDone:
		p.line("%s %s fetched", subject(e), size(e.Descriptor.Size))
	case e.Kind == image.EventReused:
		p.line("%s %s present", subject(e), size(e.Descriptor.Size))
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
