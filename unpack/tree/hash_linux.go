package tree

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	goruntime "runtime"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/oci-pipeline/oci/unpack/internal/openfd"
)

// hashers hash files beside the walk.
type hashers struct {
	jobs chan job
	wg   sync.WaitGroup
	once sync.Once
	err  error
	ctx  context.Context //nolint:containedctx // lives as long as one call
}

// job is a file to hash; who hashes it closes it.
type job struct {
	file *os.File
	node *Node
}

func startHashers(ctx context.Context) *hashers {
	h := &hashers{jobs: make(chan job, 16), ctx: ctx}
	for range min(goruntime.GOMAXPROCS(0), 8) {
		h.wg.Go(h.run)
	}
	return h
}

func (h *hashers) run() {
	buf := make([]byte, 128<<10)
	for j := range h.jobs {
		if err := h.sum(j, buf); err != nil {
			h.once.Do(func() { h.err = readError(j.file.Name(), err) })
		}
	}
}

func (h *hashers) sum(j job, buf []byte) error {
	defer j.file.Close()
	sum := sha256.New()
	n, err := io.CopyBuffer(sum, openfd.Reader(h.ctx, j.file), buf)
	if err == nil && n != j.node.Size {
		err = errors.New("the file is being changed")
	}
	j.node.Digest = digest.NewDigest(digest.SHA256, sum)
	return err
}

// wait ends the hashers and gives the first error.
func (h *hashers) wait() error {
	close(h.jobs)
	h.wg.Wait()
	return h.err
}
