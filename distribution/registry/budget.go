package registry

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// smallManifest is a size that manifests of images stay below; as many of them may be in memory as
	// there are connections.
	smallManifest = 64 << 10
	// manifestMemory bounds the larger ones together.
	manifestMemory = 128 << 20
	// manifestReads bounds how many manifests are read and decoded at a time.
	manifestReads = 8
	// decodeCost is what a manifest takes in memory while it is decoded, in multiples of its size.
	decodeCost = 3
	// manifestStalls is the time for one manifest in either direction, in multiples of Options.Stall.
	manifestStalls = 2
	// budgetWait is how long a request waits for memory.
	budgetWait = 10 * time.Second
)

// budget bounds what the manifests of all requests take in memory together.
type budget struct {
	reads *semaphore.Weighted
	bytes *semaphore.Weighted
}

func newBudget() budget {
	return budget{reads: semaphore.NewWeighted(manifestReads), bytes: semaphore.NewWeighted(manifestMemory)}
}

func busy(why string) failure {
	return failure{http.StatusTooManyRequests, "TOOMANYREQUESTS", why, nil}
}

// slot waits for one of the places in which manifests are read and decoded.
func (b budget) slot(ctx context.Context) (release func(), err error) {
	if err := b.reads.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	return func() { b.reads.Release(1) }, nil
}

// held takes n bytes for what is in memory already: there is no waiting.
func (b budget) held(n int64) (release func(), err error) {
	if n <= smallManifest {
		return func() {}, nil
	}
	n = min(n, manifestMemory)
	if !b.bytes.TryAcquire(n) {
		return nil, busy("too many large manifests at a time")
	}
	return func() { b.bytes.Release(n) }, nil
}

// incoming takes what a body of n bytes will need, -1 if that is not known, up to limit.
func (b budget) incoming(ctx context.Context, n, limit int64) (release func(), err error) {
	if n < 0 || n > limit {
		n = limit
	}
	if n <= smallManifest {
		return func() {}, nil
	}
	n = min(n*decodeCost, manifestMemory)
	ctx, cancel := context.WithTimeout(ctx, budgetWait)
	defer cancel()
	if b.bytes.Acquire(ctx, n) != nil {
		return nil, busy("too many large manifests at a time")
	}
	return func() { b.bytes.Release(n) }, nil
}
