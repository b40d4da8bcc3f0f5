package distribution

import (
	"context"
	"errors"
	"net/url"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/image"
)

// Sessions remembers uploads, so that a later process goes on with one that was broken off. Its methods
// may be called at the same time. A location that it gives is used as one that the registry gave: it
// must be kept as a secret is, for it may be one.
type Sessions interface {
	// Save remembers that the upload of d to a repository (host/name) is at location, and how many
	// bytes the registry has taken.
	Save(repository string, d digest.Digest, location string, offset int64)
	// Take gives what was saved last, and forgets it: no two go on with one upload.
	Take(repository string, d digest.Digest) (location string, offset int64, ok bool)
}

// sessionMin is from what size on an upload is remembered; smaller ones are sent again as quickly.
const sessionMin = 1 << 20

func (u *upload) remembered() bool { return u.p.o.Sessions != nil && u.d.Size >= sessionMin }

// save remembers the session with what the registry has of it.
func (u *upload) save(offset int64) {
	if u.remembered() {
		u.p.o.Sessions.Save(u.p.ref.Name(), u.d.Digest, u.at.String(), offset)
	}
}

// forget is called when there is nothing to go on with.
func (u *upload) forget() {
	if u.remembered() {
		u.p.o.Sessions.Take(u.p.ref.Name(), u.d.Digest)
	}
}

// goOn goes on with the upload of an earlier process (DC-28); done tells that the blob is there. Whatever
// stands in the way, the blob can still be sent from its start.
func (u *upload) goOn(ctx context.Context) (done bool, err error) {
	if !u.remembered() {
		return false, nil
	}
	location, offset, ok := u.p.o.Sessions.Take(u.p.ref.Name(), u.d.Digest)
	if !ok || offset < 0 || offset > u.d.Size {
		return false, nil
	}
	at, errURL := url.Parse(location)
	if errURL != nil || at.Scheme != "https" && at.Scheme != "http" || at.Host == "" || at.User != nil {
		return false, nil
	}
	if u.p.h.notLinkLocal(at) != nil {
		return false, nil
	}
	u.at = at
	if at.Scheme == "http" && u.p.h.knownScheme() == "https" || !u.proceed(ctx, offset) {
		u.at = nil
		return false, ctx.Err()
	}
	return true, nil
}

// mend goes on with a whole upload that broke because of err, if the registry has kept a part of it.
func (u *upload) mend(ctx context.Context, err error) bool {
	if !errors.Is(err, ErrNetwork) && !errors.Is(err, ErrTimeout) || ctx.Err() != nil {
		return false
	}
	return u.proceed(ctx, 0)
}

// proceed sends what the registry lacks of the open session; false if that cannot be done.
func (u *upload) proceed(ctx context.Context, offset int64) bool {
	at, err := u.status(ctx, offset)
	if err != nil || at == 0 {
		return false
	}
	u.resumed = true
	u.chunk = max(u.chunk, u.p.o.ChunkSize)
	if u.chunk == 0 {
		u.chunk = u.d.Size - at // the registry took it whole
	}
	u.p.emit(image.EventStarted, u.d, at, nil)
	return u.rest(ctx, at) == nil
}
