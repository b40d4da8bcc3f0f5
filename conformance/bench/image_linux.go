package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// layout finds the image that the transfer works use: python, several layers with everything in them.
func (o options) layout() (string, error) {
	dir := filepath.Join(o.images, "python")
	if _, err := os.Stat(filepath.Join(dir, "index.json")); err != nil {
		return "", fmt.Errorf("no image: %w (make images)", err)
	}
	return dir, nil
}

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

// pullWorks compares registry -> store and registry -> rootfs, with nothing there before.
func pullWorks(ctx context.Context, o options) ([]work, func(), error) {
	layout, err := o.layout()
	if err != nil {
		return nil, nil, err
	}
	addr, stop, err := startRegistry(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	ref := addr + "/python:latest"
	push := exec.CommandContext(ctx, "skopeo", "copy", "--dest-tls-verify=false", "oci:"+layout+":latest", "docker://"+ref)
	if out, err := push.CombinedOutput(); err != nil {
		stop()
		return nil, nil, fmt.Errorf("skopeo copy: %w: %s", err, out)
	}
	ours := tool{name: "oci", absent: absent(o.oci), once: func(ctx context.Context) ([]sample, error) {
		return o.fresh(func(dir string) ([]sample, error) {
			pull := exec.CommandContext(ctx, o.oci, "pull", ref)
			unpack := exec.CommandContext(ctx, o.oci, "unpack", ref, filepath.Join(dir, "rootfs"))
			pull.Env = o.env(filepath.Join(dir, "store"))
			unpack.Env = pull.Env
			return timedAll(pull, unpack)
		})
	}}
	theirs := tool{name: "skopeo+umoci", absent: absent("skopeo", "umoci"), once: func(ctx context.Context) ([]sample, error) {
		return o.fresh(func(dir string) ([]sample, error) {
			to := filepath.Join(dir, "store") + ":latest"
			return timedAll(
				exec.CommandContext(ctx, "skopeo", "copy", "--src-tls-verify=false", "docker://"+ref, "oci:"+to),
				exec.CommandContext(ctx, "umoci", "unpack", "--image", to, filepath.Join(dir, "bundle")))
		})
	}}
	return []work{{
		title: "python from a registry, cold", steps: []string{"pull", "unpack"}, rounds: 5, quick: 2, memory: true,
		targets: map[string]string{"pull/oci": "<= 64 MiB", "unpack/oci": "<= 64 MiB", "pull/skopeo+umoci": "<= 0.8", "pull+unpack/skopeo+umoci": "<= 0.4"},
		tools:   []tool{ours, theirs},
	}}, stop, nil
}

// unpackWorks compares layout -> merged rootfs.
func unpackWorks(_ context.Context, o options) ([]work, func(), error) {
	layout, err := o.layout()
	if err != nil {
		return nil, nil, err
	}
	w := work{
		title: "python from a layout", steps: []string{"unpack"}, rounds: 5, quick: 2, memory: true,
		targets: map[string]string{"unpack/oci": "<= 64 MiB", "unpack/umoci": "<= 0.4"},
		tools: []tool{{name: "oci", absent: absent(o.oci), once: func(ctx context.Context) ([]sample, error) {
			return o.fresh(func(dir string) ([]sample, error) {
				cmd := exec.CommandContext(ctx, o.oci, "unpack", "oci:"+layout+":latest", filepath.Join(dir, "rootfs"))
				cmd.Env = o.env(filepath.Join(dir, "store"))
				return timedAll(cmd)
			})
		}}, {name: "umoci", absent: absent("umoci"), once: func(ctx context.Context) ([]sample, error) {
			return o.fresh(func(dir string) ([]sample, error) {
				return timedAll(exec.CommandContext(ctx, "umoci", "unpack", "--image", layout+":latest", filepath.Join(dir, "bundle")))
			})
		}}},
	}
	return []work{w}, nil, nil
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
