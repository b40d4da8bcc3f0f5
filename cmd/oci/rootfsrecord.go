package main

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/image/store"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/verify"
)

// recorded runs write, which unpacks img with the options, and then records that dir was unpacked from it. Without a
// root file system there is no record; without a record, as when the disk of the store is full, there is a warning.
func (a *app) recorded(s *store.Store, img image.Image, name, dir string, o *unpack.Options, write func() error) error {
	draft, err := verify.OpenRecords(s.RecordsDir()).Begin()
	if err != nil {
		if err := write(); err != nil {
			return err
		}
		a.noRecord(err)
		return nil
	}
	logs := &recordLogs{create: draft.Logs}
	o.Logs, o.LeftOut = logs.open, draft.LeftOut
	if err := write(); err != nil {
		return errors.Join(err, draft.Abort())
	}
	if err := logs.failed(); err != nil {
		a.noRecord(errors.Join(err, draft.Abort()))
		return nil
	}
	err = draft.Commit(dir, img, name, verify.How{UIDMap: o.UIDMap, GIDMap: o.GIDMap, SingleID: o.SingleID})
	if err != nil {
		a.noRecord(err)
	}
	return nil
}

// noRecord warns of what goes without a record.
func (a *app) noRecord(err error) {
	fmt.Fprintf(a.err, "warning: it is not recorded what this was unpacked from (`oci verify` and `oci repack` have to be told): %s\n", message(err.Error()))
}

// recordLogs gives unpack the logs of a record. One that cannot be written is no reason not to unpack: from the first
// error on nothing is kept.
type recordLogs struct {
	create func(int, image.Layer) (io.WriteCloser, error)
	mu     sync.Mutex
	err    error
}

func (r *recordLogs) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
}

func (r *recordLogs) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// open is for unpack.Options.
func (r *recordLogs) open(index int, layer image.Layer) (io.WriteCloser, error) {
	l := &recordLog{logs: r}
	if r.failed() != nil {
		return l, nil
	}
	w, err := r.create(index, layer)
	if err != nil {
		r.fail(err)
		return l, nil //nolint:nilerr // failed gives it
	}
	l.w = w
	return l, nil
}

// recordLog is the log of a layer, or takes what nobody keeps.
type recordLog struct {
	logs *recordLogs
	w    io.WriteCloser // nil: nowhere
}

func (l *recordLog) Write(p []byte) (int, error) {
	if l.w != nil && l.logs.failed() == nil {
		if _, err := l.w.Write(p); err != nil {
			l.logs.fail(err)
		}
	}
	return len(p), nil
}

func (l *recordLog) Close() error {
	if l.w != nil {
		if err := l.w.Close(); err != nil {
			l.logs.fail(err)
		}
	}
	return nil
}
