package image

import ispec "github.com/opencontainers/image-spec/specs-go/v1"

// EventKind says what an Event reports.
type EventKind string

// The kinds of events. A blob is reported as one Started, any number of Progress, and one Done or
// Failed; or as one Reused if it did not have to be moved.
const (
	EventResolved EventKind = "resolved" // Ref is now known as Descriptor
	EventStarted  EventKind = "started"  // Descriptor begins to move; Bytes were there already (resumed)
	EventProgress EventKind = "progress" // Bytes of Total so far
	EventDone     EventKind = "done"     // verified and stored
	EventReused   EventKind = "reused"   // was there already
	EventRetry    EventKind = "retry"    // Err happened and will be tried again
	EventFailed   EventKind = "failed"   // Err ends this blob
	EventUnpacked EventKind = "unpacked" // the layer is a directory now
	EventWarning  EventKind = "warning"  // Err is worth showing; nothing is given up
)

// Event is one step of a transfer, for progress bars and logs.
type Event struct {
	Kind       EventKind
	Descriptor ispec.Descriptor // of what the event is about; zero if about the whole
	Ref        string           // the reference the user named, normalised
	Bytes      int64            // bytes so far
	Total      int64            // bytes expected; 0 if not known
	Err        error            // set for EventRetry, EventFailed and EventWarning
}

// EventFunc receives events. It may be called by several goroutines at once and should return
// quickly. A nil EventFunc is to be treated as one that ignores everything: see Emit.
type EventFunc func(Event)

// Emit calls f unless it is nil.
func (f EventFunc) Emit(e Event) {
	if f != nil {
		f(e)
	}
}
