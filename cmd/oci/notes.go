package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/oci-pipeline/oci/distribution"
	"github.com/oci-pipeline/oci/image"
)

// notes is what a person is told beside the result: warnings and waits, between the bars if there are
// some. It keeps the warnings, which the JSON of a result repeats. The zero notes goes nowhere.
type notes struct {
	out io.Writer // standard error

	mu       sync.Mutex
	shown    *progress // nil if nothing is transferred now
	users    int       // how many transfers it shows
	moved    bool      // something was transferred: what came of it is kept
	warnings []string
}

// maxWarnings bounds what is kept of warnings.
const maxWarnings = 100

// waitWorthTelling is how long a wait between two tries is that nobody asked for, if it is told.
const waitWorthTelling = 3 * time.Second

// warn tells a warning of a registry.
func (n *notes) warn(host, text string) {
	n.warning(image.Event{Kind: image.EventWarning, Ref: host, Err: errors.New(text)})
}

// warnf tells a warning of this program.
func (n *notes) warnf(format string, args ...any) {
	n.warning(image.Event{Kind: image.EventWarning, Err: fmt.Errorf(format, args...)})
}

func (n *notes) warning(e image.Event) {
	if p := n.keep(e); p != nil {
		p.event(e)
		return
	}
	fmt.Fprintln(n.out, safeText(warningText(e)))
}

// keep keeps a warning, and gives the progress that is shown now.
func (n *notes) keep(e image.Event) *progress {
	n.mu.Lock()
	defer n.mu.Unlock()
	text := safeText(e.Err.Error())
	if s := subject(e); s != "" {
		text = safeText(s) + ": " + text
	}
	if len(n.warnings) < maxWarnings && !slices.Contains(n.warnings, text) {
		n.warnings = append(n.warnings, text)
	}
	return n.shown
}

func warningText(e image.Event) string {
	if s := subject(e); s != "" {
		return fmt.Sprintf("warning: %s: %v", s, e.Err)
	}
	return fmt.Sprintf("warning: %v", e.Err)
}

// wait tells of a wait that a registry asked for, or a long one.
func (n *notes) wait(w distribution.Wait) {
	if !w.Asked && w.For < waitWorthTelling {
		return
	}
	n.mu.Lock()
	p := n.shown
	n.mu.Unlock()
	if p != nil {
		p.wait(w)
		return
	}
	fmt.Fprintln(n.out, safeText(waitText(w)))
}

func waitText(w distribution.Wait) string {
	text := fmt.Sprintf("%s: %v", w.Host, w.Err)
	if w.Asked {
		return fmt.Sprintf("%s; waiting %s as it asks", text, w.For.Round(time.Second))
	}
	return fmt.Sprintf("%s; trying again in %s", text, w.For.Round(time.Second))
}

// list gives the warnings so far, never nil.
func (n *notes) list() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string{}, n.warnings...)
}

// show gives the progress that is shown from now on: the one that is shown already if several transfers
// go on at once, else a new one.
func (n *notes) show(begin func() *progress) *progress {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.shown == nil {
		n.shown = begin()
	}
	n.users, n.moved = n.users+1, true
	return n.shown
}

// hide ends one use of what is shown; last tells that it was the last one.
func (n *notes) hide() (last bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.users--; n.users == 0 {
		n.shown = nil
	}
	return n.users == 0
}

// keeps tells whether a transfer was begun.
func (n *notes) keeps() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.moved
}

// Write lets a log go between the bars.
func (n *notes) Write(b []byte) (int, error) {
	n.mu.Lock()
	p := n.shown
	n.mu.Unlock()
	if p != nil {
		return p.Write(b)
	}
	return n.out.Write(b)
}

// showProgress shows what is transferred from now on, as the flags ask; close the progress to end it.
func (a *app) showProgress(t transferFlags) *progress {
	mode := t.mode
	switch {
	case t.quiet:
		mode = progressNone
	case t.noTTY && (mode == progressAuto || mode == "" || mode == progressTTY):
		mode = progressPlain
	}
	return a.notes.show(func() *progress {
		p := newProgressMode(a.err, mode)
		p.notes = &a.notes
		return p
	})
}
