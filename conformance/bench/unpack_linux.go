package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// layout finds one of the images of this machine.
func (o options) layout(name string) (string, error) {
	dir := filepath.Join(o.images, name)
	if _, err := os.Stat(filepath.Join(dir, "index.json")); err != nil {
		return "", fmt.Errorf("no image: %w (make images)", err)
	}
	return dir, nil
}

// unpackWorks compares layout -> merged root file system for an image of several layers with
// everything in them.
func unpackWorks(ctx context.Context, o options) ([]work, func(), error) {
	layout, err := o.layout("python")
	if err != nil {
		return nil, nil, err
	}
	return []work{o.unpackWork(ctx, "python from a layout", layout, 4, 2)}, nil, nil
}

// bigWorks does the same for images made of this machine's files: many bytes, and many files.
func bigWorks(ctx context.Context, o options) ([]work, func(), error) {
	rounds := 1 // a round takes half a minute
	if o.only != "" {
		rounds = 3
	}
	var works []work
	for _, image := range o.bigImages() {
		layout, title, err := image.ensure(ctx, o)
		if err != nil {
			return nil, nil, err
		}
		works = append(works, o.unpackWork(ctx, title, layout, rounds, 1))
	}
	return works, nil, nil
}

func (o options) unpackWork(ctx context.Context, title, layout string, rounds, quick int) work {
	in := func(command func(ctx context.Context, dir string) *exec.Cmd) func(context.Context) ([]sample, error) {
		return func(ctx context.Context) ([]sample, error) {
			return o.fresh(func(dir string) ([]sample, error) { return timedAll(command(ctx, dir)) })
		}
	}
	yardstick, why := o.yardstick(ctx)
	return work{
		title: title, steps: []string{"unpack"}, rounds: rounds, quick: quick, memory: true,
		targets: map[string]string{"unpack/oci": "<= 64 MiB", "unpack/umoci": "<= 0.4", "unpack/limit": "CPU <= 1.3"},
		tools: []tool{
			{name: "oci", absent: absent(o.oci), once: in(func(ctx context.Context, dir string) *exec.Cmd {
				cmd := exec.CommandContext(ctx, o.oci, "unpack", "-q", "oci:"+layout+":latest", filepath.Join(dir, "rootfs"))
				cmd.Env = o.env(filepath.Join(dir, "store"))
				return cmd
			})},
			{name: "umoci", absent: absent("umoci"), once: in(func(ctx context.Context, dir string) *exec.Cmd {
				return exec.CommandContext(ctx, "umoci", "unpack", "--image", layout+":latest", filepath.Join(dir, "bundle"))
			})},
			{
				name: "limit", absent: why, note: "inflate, sha256 and bare writes of the same bytes and files by one goroutine: unpack/internal/yardstick",
				once: in(func(ctx context.Context, dir string) *exec.Cmd {
					return exec.CommandContext(ctx, yardstick, layout, filepath.Join(dir, "rootfs"))
				}),
			},
		},
	}
}

// yardstick builds the program that unpacks with the least work, once a run.
func (o options) yardstick(ctx context.Context) (program, absent string) {
	program = filepath.Join(o.scratch, "yardstick")
	if _, err := os.Stat(program); err == nil {
		return program, ""
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", program, "./unpack/internal/yardstick")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Sprintf("go build: %v: %s", err, out)
	}
	return program, ""
}
