package main

import (
	"context"
	"sync"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/unpack/snapshot"
)

// layersAtOnce is how many layers are unpacked while others are still on their way: as many as
// snapshot does by itself.
const layersAtOnce = 2

// layerWork unpacks the layers of an image, those that come first while others are still being
// fetched: over a slow link all but the last is then ready when the pull is. A layer that fails
// meanwhile ends nothing and is tried again afterwards, so that an error is told by who waits for all.
type layerWork struct {
	open   func() (*snapshot.Store, error) // once: who finds no image makes no directories
	store  *store.Store
	finish func() // says what was left out
	slots  chan struct{}
	wg     sync.WaitGroup
	cancel context.CancelFunc

	mu    sync.Mutex
	shown *progress     // nil while the pull shows its own
	early []image.Event // what could not be shown yet
}

func newLayerWork(a *app, s *store.Store, devices deviceFlag) *layerWork {
	o := a.unpackOptions()
	devices.apply(a, &o)
	w := &layerWork{
		store: s, slots: make(chan struct{}, layersAtOnce), cancel: func() {},
		finish: func() { summarise(o.Logger) },
	}
	w.open = sync.OnceValues(func() (*snapshot.Store, error) { return openLayers(s, o, w.event) })
	return w
}

// begin gives what is to hear of each layer whose blob is there.
func (w *layerWork) begin(ctx context.Context) func(index int, l image.Layer) {
	ctx, w.cancel = context.WithCancel(ctx)
	return func(index int, l image.Layer) {
		w.wg.Go(func() {
			select {
			case w.slots <- struct{}{}:
				defer func() { <-w.slots }()
			case <-ctx.Done():
				return
			}
			if layers, err := w.open(); err == nil {
				_ = layers.EnsureLayer(ctx, l, index, w.store)
			}
		})
	}
}

// wait waits for what was begun.
func (w *layerWork) wait() { w.wg.Wait() }

// close ends what was begun and is not done.
func (w *layerWork) close() {
	w.cancel()
	w.wg.Wait()
	w.finish()
}

// showIn shows what was done and what will be.
func (w *layerWork) showIn(p *progress) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shown = p
	for _, e := range w.early {
		p.event(e)
	}
	w.early = nil
}

func (w *layerWork) event(e image.Event) {
	if e.Kind == image.EventReused { // nothing is done for what is there
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.shown == nil {
		w.early = append(w.early, e)
		return
	}
	w.shown.event(e)
}
