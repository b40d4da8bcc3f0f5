package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// bundleWorks compares what makes and judges config.json, each as a process of its own: its start is
// most of it, as the conversion itself takes well below a millisecond (bundle's own benchmarks).
func bundleWorks(ctx context.Context, o options) ([]work, func(), error) {
	b, err := newStartBundle(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	one := filepath.Join(o.scratch, "one") + ":latest" // umoci refuses an index
	busybox := "oci:" + filepath.Join(o.images, "busybox") + ":latest"
	if out, err := exec.CommandContext(ctx, "skopeo", "--insecure-policy", "copy", "-q", busybox, "oci:"+one).CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("skopeo copy: %w: %s", err, out)
	}
	rootfs := filepath.Join(b.dir, rootfsOf)
	return []work{
		o.configWork("write a default config.json", "spec", "", map[string][]string{
			"oci": {o.oci, "spec", "--bundle", "."}, "crun": {"crun", "spec"}, "runc": {"runc", "spec"},
		}, "crun", "runc"),
		o.configWork("config.json of an image's config", "convert", rootfs, map[string][]string{
			"oci": {o.oci, "spec", "--from", "oci:" + one, "--bundle", "."}, "umoci": {"umoci", "raw", "runtime-config", "--image", one, "--rootfs", rootfs, "config.json"},
		}, "umoci"),
		// runtime-tools' validator has no row: it takes its schema from the network.
		o.configWork("validate a bundle", "validate", "", map[string][]string{"oci": {o.oci, "validate", "bundle", b.dir}}),
	}, nil, nil
}

// rootfsOf is where a bundle has its root file system.
const rootfsOf = "rootfs"

// configWork is a work whose tools are commands, each run in a directory that is empty, or has the root file system of a bundle.
func (o options) configWork(title, step, rootfs string, argv map[string][]string, peers ...string) work {
	w := work{title: title, steps: []string{step}, rounds: 30, quick: 8, memory: true, targets: map[string]string{step + "/oci": "<= 10 ms"}}
	for _, name := range append([]string{"oci"}, peers...) {
		args := argv[name]
		w.tools = append(w.tools, tool{name: name, absent: absent(args[0]), once: func(ctx context.Context) ([]sample, error) {
			return o.fresh(func(dir string) ([]sample, error) {
				if rootfs != "" {
					if err := os.Symlink(rootfs, filepath.Join(dir, rootfsOf)); err != nil {
						return nil, err
					}
				}
				cmd := exec.CommandContext(ctx, args[0], args[1:]...)
				cmd.Dir, cmd.Env = dir, append(os.Environ(), "OCI_ROOT="+filepath.Join(o.scratch, "store"))
				return timedAll(cmd)
			})
		}})
	}
	return w
}
