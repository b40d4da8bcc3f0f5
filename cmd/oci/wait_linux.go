package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/oci-pipeline/oci/runtime"
)

// The process that waits for a container writes its exit status right after the end; these bound
// the wait for that, and how often a log is looked at.
const (
	exitPatience = 5 * time.Second
	exitPoll     = 10 * time.Millisecond
	logPoll      = 100 * time.Millisecond
)

func waitCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "wait ID",
		Short: "Wait until a container has ended, and print its exit status",
		Args:  exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			status, err := a.wait(cmd.Context(), args[0])
			if err == nil {
				fmt.Fprintln(a.out, status)
			}
			return err
		},
	}
}

// wait gives the exit status of a container that was made from an image.
func (a *app) wait(ctx context.Context, id string) (int, error) {
	id, err := a.fullID(id)
	if err != nil {
		return 0, err
	}
	dir, fromImage := a.madeFromImage(id)
	c, err := a.load(id)
	if err == nil {
		_, err = c.Wait(ctx)
	}
	if err != nil && !errors.Is(err, runtime.ErrNotChild) && !(fromImage && errors.Is(err, runtime.ErrNotExist)) {
		return 0, err
	}
	if !fromImage {
		return 0, fmt.Errorf("wait %s: it has ended; only the process that ran the bundle has its status", id)
	}
	var x exitRecord
	for end := time.Now().Add(exitPatience); ; time.Sleep(exitPoll) {
		err := dir.load(exitFile, &x)
		if err == nil {
			return x.Status, nil
		}
		if !errors.Is(err, runtime.ErrNotExist) || time.Now().After(end) {
			return 0, fmt.Errorf("wait %s: it has ended, and nobody recorded its status: %w", id, err)
		}
	}
}

func logsCommand(a *app) *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:   "logs ID",
		Short: "Print what a detached container has written",
		Args:  exact(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			id, err := a.fullID(args[0])
			if err != nil {
				return err
			}
			dir, ok := a.madeFromImage(id)
			if !ok {
				return fmt.Errorf("logs %s: %w", id, runtime.ErrNotExist)
			}
			f, err := os.Open(dir.join(logFile))
			if errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("logs %s: it was not detached: what it wrote went to the terminal or pipe", id)
			} else if err != nil {
				return fmt.Errorf("logs %s: %w", id, err)
			}
			defer f.Close()
			return a.copyLog(ctx, f, id, follow)
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the container has ended")
	return cmd
}

func (a *app) copyLog(ctx context.Context, f *os.File, id string, follow bool) error {
	for {
		running := false
		if follow {
			c, err := a.load(id)
			running = err == nil && c.Status() != "stopped"
		}
		if _, err := io.Copy(a.out, f); err != nil || !running {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(logPoll):
		}
	}
}
