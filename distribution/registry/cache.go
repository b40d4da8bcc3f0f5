package registry

import (
	"sync"

	"github.com/opencontainers/go-digest"
)

// cacheBytes bounds the manifests that a Pool remembers, by the size of their text; what they are
// decoded into is a few times that. Larger than smallManifest is not remembered.
const cacheBytes = 16 << 20

// cache remembers small manifests that were proved and decoded: their digest fixes what they are.
// Whether they are still there is not its business. The zero value is empty.
type cache struct {
	mu    sync.RWMutex
	bytes int64
	known map[digest.Digest]proved
}

// proved is a manifest that has its digest, and what it says.
type proved struct {
	Manifest
	content content
	invalid error // why it has no content
}

func (c *cache) find(d digest.Digest) (proved, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	p, ok := c.known[d]
	return p, ok
}

// add remembers p. A full cache begins anew: what is asked for often is back at once.
func (c *cache) add(p proved) {
	n := int64(len(p.Raw))
	if n > smallManifest {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.known[p.Descriptor.Digest]; ok {
		return
	}
	if c.known == nil || c.bytes+n > cacheBytes {
		c.known, c.bytes = map[digest.Digest]proved{}, 0
	}
	c.known[p.Descriptor.Digest] = p
	c.bytes += n
}
