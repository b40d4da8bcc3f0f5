package main

import (
	"fmt"
	"log/slog"
	"os"
)

// openLog makes the logger that the global flags ask for. Records are for the person who looks
// for a cause; what a command was asked for never goes through it.
func (a *app) openLog() error {
	level := slog.LevelWarn
	if err := level.UnmarshalText([]byte(a.global.logLevel)); err != nil {
		return usageErrorf(nil, "--log-level: %w", err)
	}
	if a.global.debug {
		level = slog.LevelDebug
	}
	w := a.err
	if a.global.logTo != "" {
		f, err := os.OpenFile(a.global.logTo, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
		if err != nil {
			return fmt.Errorf("open log: %w", err)
		}
		a.logFile, w = f, f
	}
	o := &slog.HandlerOptions{Level: level}
	switch a.global.logFormat {
	case "text":
		a.log = slog.New(slog.NewTextHandler(w, o))
	case "json":
		a.log = slog.New(slog.NewJSONHandler(w, o))
	default:
		return usageErrorf(nil, "--log-format: %q is neither text nor json", a.global.logFormat)
	}
	return nil
}

// report writes err for people, and to the log file when there is one: engines read the last
// error there.
func (a *app) report(err error) {
	fmt.Fprintln(a.err, "oci:", err)
	if hint := hintFor(err); hint != "" {
		fmt.Fprintln(a.err, "     "+hint)
	}
	if a.logFile != nil && a.log != nil {
		a.log.Error(err.Error())
	}
}

func (a *app) close() {
	if a.logFile != nil {
		a.logFile.Close()
	}
}
