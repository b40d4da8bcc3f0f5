package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
)

// fresh runs one round in an empty directory, which is removed again outside the measurement.
func (o options) fresh(round func(dir string) ([]sample, error)) ([]sample, error) {
	dir, err := os.MkdirTemp(o.scratch, "round-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	return round(dir)
}

// absent says why a tool made of these programs cannot take part; "" when it can.
func absent(programs ...string) string {
	for _, p := range programs {
		if p == "" {
			return "not built"
		}
		if _, err := exec.LookPath(p); err != nil {
			return err.Error()
		}
	}
	return ""
}

// imageWorks compares a run of an image that is already in the store with a run of a bundle.
func imageWorks(ctx context.Context, o options) ([]work, func(), error) {
	if o.oci == "" {
		return nil, nil, errors.New("oci is absent")
	}
	b, err := newStartBundle(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	r := b.runtimes(ctx)["oci"]
	ref := "oci:" + filepath.Join(o.images, "busybox") + ":latest"
	image := tool{name: "oci run IMAGE", once: func(ctx context.Context) ([]sample, error) {
		cmd := exec.CommandContext(ctx, o.oci, "run", "--rm", ref, "/bin/true")
		cmd.Env = r.env
		return timedAll(cmd)
	}}
	bundle := tool{name: "oci run --bundle", once: func(ctx context.Context) ([]sample, error) {
		return timedAll(b.command(ctx, r, "run", b.id()))
	}}
	return []work{{
		title: "run of a pulled image", steps: []string{"run"}, rounds: 40, quick: 10, memory: true,
		targets: map[string]string{"run/oci run --bundle": "<= 1.2"},
		tools:   []tool{image, bundle},
	}}, nil, nil
}
