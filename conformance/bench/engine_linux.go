package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// pullWorks compares registry -> root file system, with nothing there before.
func pullWorks(ctx context.Context, o options) ([]work, func(), error) {
	layout, err := o.layout("python")
	if err != nil {
		return nil, nil, err
	}
	addr, stop, err := startRegistry(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	ref, err := push(ctx, layout, addr, "python")
	if err != nil {
		stop()
		return nil, nil, err
	}
	w := work{
		title: "python from a registry, cold", steps: []string{"pull", "unpack"}, rounds: 4, quick: 2, memory: true,
		targets: map[string]string{"pull/oci": "<= 64 MiB", "unpack/oci": "<= 64 MiB", "pull/skopeo+umoci": "<= 0.8", "pull+unpack/skopeo+umoci": "<= 0.4"},
		tools:   []tool{o.pullThenUnpack("oci", ref), o.skopeoUmoci(ref)},
	}
	return []work{w}, stop, nil
}

// push brings an image into a registry and gives its name there.
func push(ctx context.Context, layout, addr, name string) (ref string, err error) {
	ref = addr + "/" + name + ":latest"
	cmd := exec.CommandContext(ctx, "skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", "oci:"+layout+":latest", "docker://"+ref)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("skopeo copy: %w: %s", err, out)
	}
	return ref, nil
}

func (o options) pullThenUnpack(name, ref string) tool {
	return tool{name: name, absent: absent(o.oci), once: func(ctx context.Context) ([]sample, error) {
		return o.fresh(func(dir string) ([]sample, error) {
			pull := exec.CommandContext(ctx, o.oci, "pull", "-q", ref)
			unpack := exec.CommandContext(ctx, o.oci, "unpack", "-q", ref, filepath.Join(dir, "rootfs"))
			pull.Env = o.env(filepath.Join(dir, "store"))
			unpack.Env = pull.Env
			return timedAll(pull, unpack)
		})
	}}
}

func (o options) skopeoUmoci(ref string) tool {
	return tool{name: "skopeo+umoci", absent: absent("skopeo", "umoci"), once: func(ctx context.Context) ([]sample, error) {
		return o.fresh(func(dir string) ([]sample, error) {
			to := filepath.Join(dir, "store") + ":latest"
			return timedAll(
				exec.CommandContext(ctx, "skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false", "docker://"+ref, "oci:"+to),
				exec.CommandContext(ctx, "umoci", "unpack", "--image", to, filepath.Join(dir, "bundle")))
		})
	}}
}

// engineWorks compares the way from a registry to what a container can start from, with nothing
// there before: the layers unpacked one by one for overlay mounts, as engines keep them, or one
// merged tree. `oci run` has run a container by then, /bin/true, and removed it.
func engineWorks(ctx context.Context, o options) ([]work, func(), error) {
	addr, stop, err := startRegistry(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	works, err := o.engineWorks(ctx, addr)
	if err != nil {
		stop()
		return nil, nil, err
	}
	return works, stop, nil
}

func (o options) engineWorks(ctx context.Context, addr string) ([]work, error) {
	layout, err := o.layout("python")
	if err != nil {
		return nil, err
	}
	ref, err := push(ctx, layout, addr, "python")
	if err != nil {
		return nil, err
	}
	if o.only == "" {
		return []work{o.engineWork("python", ref, "/bin/true", 2)}, nil
	}
	works := []work{o.engineWork("python", ref, "/bin/true", 5)}
	layout, title, err := o.bigImages()[0].ensure(ctx, o)
	if err != nil {
		return nil, err
	}
	if ref, err = push(ctx, layout, addr, "big"); err != nil {
		return nil, err
	}
	return append(works, o.engineWork(title, ref, "/usr/bin/true", 1)), nil
}

func (o options) engineWork(title, ref, program string, rounds int) work {
	w := work{
		title: title + ", registry -> ready, cold", steps: []string{"ready"}, rounds: rounds, quick: 1, memory: true,
		targets: map[string]string{"ready/oci run": "<= 64 MiB", "ready/oci unpack": "<= 64 MiB", "ready/oci pull, unpack": "<= 64 MiB"},
		tools: []tool{
			{name: "oci run", absent: absent(o.oci), note: "layers for overlay mounts, and a container of " + program + " run and removed", once: func(ctx context.Context) ([]sample, error) {
				return o.fresh(func(dir string) ([]sample, error) {
					cmd := exec.CommandContext(ctx, o.oci, "run", "-q", "--rm", ref, program)
					cmd.Env = o.env(filepath.Join(dir, "store"))
					return timedAll(cmd)
				})
			}},
			{name: "oci unpack", absent: absent(o.oci), note: "pull and one merged tree, in one command", once: func(ctx context.Context) ([]sample, error) {
				return o.fresh(func(dir string) ([]sample, error) {
					cmd := exec.CommandContext(ctx, o.oci, "unpack", "-q", ref, filepath.Join(dir, "rootfs"))
					cmd.Env = o.env(filepath.Join(dir, "store"))
					return timedAll(cmd)
				})
			}},
			oneStep(o.pullThenUnpack("oci pull, unpack", ref)),
			oneStep(o.skopeoUmoci(ref)),
			o.podman(ref),
		},
	}
	w.targets["ready/skopeo+umoci"], w.targets["ready/podman"] = "<= 0.4", "<= 0.4"
	for _, t := range append(o.containerds("containerd", "ctr", ref), o.containerds("containerd2", "ctr2", ref)...) {
		w.targets["ready/"+t.name] = "<= 0.5"
		w.tools = append(w.tools, t)
	}
	return w
}

// oneStep makes one sample of all that a round of t gives.
func oneStep(t tool) tool {
	once := t.once
	t.once = func(ctx context.Context) ([]sample, error) {
		all, err := once(ctx)
		return []sample{sum(all)}, err
	}
	return t
}

// acceptAnything is a policy in the form of containers-policy.json(5): the machine's does not matter.
const acceptAnything = `{"default": [{"type": "insecureAcceptAnything"}]}`

// podman pulls into storage of its own.
func (o options) podman(ref string) tool {
	return tool{name: "podman", absent: absent("podman"), note: version("podman") + ", driver overlay", once: func(ctx context.Context) ([]sample, error) {
		return o.fresh(func(dir string) ([]sample, error) {
			config := filepath.Join(dir, "storage.conf")
			text := fmt.Sprintf("[storage]\ndriver = \"overlay\"\nrunroot = %q\ngraphroot = %q\n", filepath.Join(dir, "run"), filepath.Join(dir, "root"))
			policy := filepath.Join(dir, "policy.json")
			err := errors.Join(os.WriteFile(config, []byte(text), 0o600), os.WriteFile(policy, []byte(acceptAnything), 0o600))
			if err != nil {
				return nil, err
			}
			cmd := exec.CommandContext(ctx, "podman", "pull", "-q", "--tls-verify=false", "--signature-policy", policy, ref)
			cmd.Env = append(os.Environ(), "CONTAINERS_STORAGE_CONF="+config)
			return timedAll(cmd)
		})
	}}
}
