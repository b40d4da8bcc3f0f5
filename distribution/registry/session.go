package registry

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

const (
	// maxSessions bounds the open uploads of all clients together. Each may have a descriptor.
	maxSessions = 1024
	// evictAge is how long the upload that nobody has touched the longest must have been idle to make
	// room for a new one when there are maxSessions.
	evictAge = time.Minute
	// sessionWait, for sessions.wait, is how long a request waits for the one that is at work on the same upload.
	sessionWait = 10 * time.Second
)

// sessions are the open uploads of a Handler.
type sessions struct {
	dir       string
	age, wait time.Duration

	mu    sync.Mutex
	open  map[string]*session
	timer *time.Timer // ends old sessions; nil while none is open
}

// A session is one upload whose digest is not known yet. Its bytes wait in an unlinked temporary
// file; only the holder given by take touches them.
type session struct {
	id, name string
	dir      string        // of the temporary file
	busy     chan struct{} // has room for one: who put something in holds the session, until release
	size     int64
	file     *os.File // nil until the first byte

	used    time.Time // of the last release; guarded by sessions.mu
	dropped bool      // for the holder
}

func (ss *sessions) start(name string) (*session, error) {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails (crypto/rand)
	s := &session{id: hex.EncodeToString(raw[:]), name: name, dir: ss.dir, busy: make(chan struct{}, 1), used: time.Now()}
	if ss.count() >= maxSessions {
		ss.evict()
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if len(ss.open) >= maxSessions {
		return nil, busy("too many open uploads")
	}
	ss.open[s.id] = s
	if ss.timer == nil {
		ss.timer = time.AfterFunc(ss.age, ss.expire)
	}
	return s, nil
}

func (ss *sessions) count() int {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return len(ss.open)
}

// take gives the session for the length of one request; nil if there is none of that name. Another
// request may be at work on it: one whose connection is dead, perhaps, which takes its time to be
// noticed.
func (ss *sessions) take(ctx context.Context, name, id string) (*session, error) {
	ss.mu.Lock()
	s := ss.open[id]
	ss.mu.Unlock()
	if s == nil || s.name != name {
		return nil, uploadUnknown(id)
	}
	ctx, cancel := context.WithTimeout(ctx, ss.wait)
	defer cancel()
	select {
	case s.busy <- struct{}{}:
	case <-ctx.Done():
		return nil, busy("another request is at work on this upload")
	}
	if s.dropped {
		<-s.busy
		return nil, uploadUnknown(id)
	}
	return s, nil
}

func (ss *sessions) release(s *session) {
	ss.mu.Lock()
	s.used = time.Now()
	ss.mu.Unlock()
	<-s.busy
}

// drop ends a session that the caller holds.
func (ss *sessions) drop(s *session) {
	ss.mu.Lock()
	delete(ss.open, s.id)
	ss.mu.Unlock()
	s.dropped = true
	if s.file != nil {
		_ = s.file.Close() // its name is gone: closing frees it
		s.file = nil
	}
}

// expire drops what no request has touched for the age, and comes back while something is open.
func (ss *sessions) expire() {
	ss.dropIf(func(s *session) bool { return time.Since(s.used) >= ss.age })
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.timer = nil
	if len(ss.open) > 0 {
		ss.timer = time.AfterFunc(max(ss.age/4, time.Millisecond), ss.expire)
	}
}

// evict drops the session that has been idle the longest.
func (ss *sessions) evict() {
	var oldest *session
	ss.mu.Lock()
	for _, s := range ss.open {
		if oldest == nil || s.used.Before(oldest.used) {
			oldest = s
		}
	}
	ss.mu.Unlock()
	ss.dropIf(func(s *session) bool { return s == oldest && time.Since(s.used) >= evictAge })
}

// closeAll drops every session that no request is at work on; those end with their requests.
func (ss *sessions) closeAll() {
	ss.dropIf(func(*session) bool { return true })
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.timer != nil {
		ss.timer.Stop()
		ss.timer = nil
	}
}

func (ss *sessions) dropIf(old func(*session) bool) {
	var gone []*session
	ss.mu.Lock()
	for _, s := range ss.open {
		if old(s) {
			gone = append(gone, s)
		}
	}
	ss.mu.Unlock()
	for _, s := range gone {
		select {
		case s.busy <- struct{}{}:
			ss.drop(s)
			<-s.busy
		default: // a session in use is not old
		}
	}
}

// append writes body to the session; length is what it must hold, -1 if unknown. A body that
// ends early keeps what arrived: the client asks for the offset and goes on from there.
func (s *session) append(body io.Reader, length int64) (int64, error) {
	if length == 0 {
		return 0, nil
	}
	if s.file == nil {
		f, err := tempFile(s.dir)
		if err != nil {
			return 0, fmt.Errorf("upload: %w", err)
		}
		s.file = f
	}
	if length >= 0 {
		body = io.LimitReader(body, length)
	}
	n, err := io.Copy(s.file, body)
	s.size += n
	if err != nil {
		return n, fmt.Errorf("upload: %w", err)
	}
	if length >= 0 && n != length {
		return n, sizeInvalid(fmt.Sprintf("got %d bytes, want %d", n, length))
	}
	return n, nil
}

// reader gives what the session holds, from its start.
func (s *session) reader() io.ReadSeeker {
	if s.file == nil {
		return io.NewSectionReader(nil, 0, 0)
	}
	return io.NewSectionReader(s.file, 0, s.size)
}

// tempFile makes a file that nothing names any more, so that a killed server leaves none behind.
// Where an open file cannot be unlinked (Windows) the name stays until the system cleans up.
func tempFile(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "oci-upload-")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(f.Name())
	return f, nil
}
