package main

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
)

// deviceLog is a log in which package unpack's warnings of devices that it left out become one: a user who
// is not root may make none, an image may have dozens, and a container has its own /dev anyway.
type deviceLog struct {
	slog.Handler
	cannot bool // nobody asked for it: this user may make none
	left   atomic.Int64
}

// Handle counts those warnings, and the one that says that there are too many; others it passes on.
func (d *deviceLog) Handle(ctx context.Context, r slog.Record) error {
	switch {
	case strings.HasPrefix(r.Message, "a device ") && strings.Contains(r.Message, "is left out"):
		d.left.Add(1)
		return nil
	case strings.HasPrefix(r.Message, "more warnings about this layer") && d.left.Load() > 0:
		return nil
	}
	return d.Handler.Handle(ctx, r)
}

// summarise gives the one warning for a log that may be a deviceLog.
func summarise(log *slog.Logger) {
	if d, ok := log.Handler().(*deviceLog); ok {
		if n := d.left.Swap(0); n > 0 {
			slog.New(d.Handler).Warn(leftOutText(d.cannot), "count", n)
		}
	}
}

func leftOutText(cannot bool) string {
	const text = "devices of the image are left out"
	if cannot {
		return text + ": only root may make them (--devices bind shows the host's)"
	}
	return text
}
