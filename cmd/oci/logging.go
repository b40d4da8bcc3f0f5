package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	var w io.Writer = &a.notes
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
	fmt.Fprintln(a.err, "oci: "+a.errorText(err))
	if a.logFile != nil && a.log != nil {
		a.log.Error(err.Error())
	}
}

// errorText is err for people, with what to try. What a stranger may have put into it does nothing to a
// terminal.
func (a *app) errorText(err error) string {
	text, hint := err.Error(), hintFor(err)
	if errors.Is(err, context.Canceled) {
		text, hint = "interrupted", ""
		if a.notes.keeps() {
			hint = "what has come is kept: the same command goes on where it stopped"
		}
	}
	if hint != "" {
		text += " — hint: " + hint
	}
	return safeText(text)
}

func (a *app) close() {
	for _, c := range a.clients {
		_ = c.Close() // ends idle connections only
	}
	if a.logFile != nil {
		a.logFile.Close()
	}
}
