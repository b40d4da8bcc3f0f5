package registry

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// maxSessions bounds the open uploads of all clients together.
const maxSessions = 4096

// sessions are the open uploads of a Handler.
type sessions struct {
	dir string
	age time.Duration

	mu   sync.Mutex
	open map[string]*session
}

// A session is one upload whose digest is not known yet. Its bytes wait in an unlinked temporary
// file; only the holder given by take touches them.
type session struct {
	id, name string
	dir      string     // of the temporary file
	busy     sync.Mutex // held from take to release
	size     int64
	file     *os.File // nil until the first byte

	used    time.Time // of the last release; guarded by sessions.mu
	dropped bool      // guarded by busy
}

func (ss *sessions) start(name string) (*session, error) {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails (crypto/rand)
	s := &session{id: hex.EncodeToString(raw[:]), name: name, dir: ss.dir, used: time.Now()}
	ss.expire()
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if len(ss.open) >= maxSessions {
		return nil, failure{http.StatusTooManyRequests, "TOOMANYREQUESTS", "too many open uploads", nil}
	}
	ss.open[s.id] = s
	return s, nil
}

// take gives the session for the length of one request; nil if there is none of that name.
func (ss *sessions) take(name, id string) *session {
	ss.mu.Lock()
	s := ss.open[id]
	ss.mu.Unlock()
	if s == nil || s.name != name {
		return nil
	}
	s.busy.Lock()
	if s.dropped {
		s.busy.Unlock()
		return nil
	}
	return s
}

func (ss *sessions) release(s *session) {
	ss.mu.Lock()
	s.used = time.Now()
	ss.mu.Unlock()
	s.busy.Unlock()
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

// expire drops what no request has touched for the age.
func (ss *sessions) expire() {
	ss.dropIf(func(s *session) bool { return time.Since(s.used) > ss.age })
}

func (ss *sessions) closeAll() { ss.dropIf(func(*session) bool { return true }) }

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
		if s.busy.TryLock() { // a session in use is not old
			ss.drop(s)
			s.busy.Unlock()
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
func (s *session) reader() (io.Reader, error) {
	if s.file == nil {
		return http.NoBody, nil
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("upload: %w", err)
	}
	return io.LimitReader(s.file, s.size), nil
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
