package convert

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// annotations sets, each winning over those before it: what conversion.md derives from the image
// config, the labels of the image, labels and annotations of the user. Annotations of manifests
// and indexes are not taken (conversion.md#annotations).
func (c *conversion) annotations() error {
	all := c.implicit()
	user, err := c.userAnnotations()
	if err != nil {
		return err
	}
	for _, key := range sortedKeys(c.img.Config.Labels) {
		if _, overridden := user[key]; key == "" || overridden {
			continue // an empty key is not allowed by runtime-spec config.md#annotations
		}
		if UnsafeLabel(key) {
			switch c.o.ImageLabels {
			case AllowUnsafe:
			case DropUnsafe:
				continue
			default:
				return imageError("config.Labels", spec.ConversionImmutable,
					fmt.Errorf("%w: %q; keep it with --allow-annotations, leave it out with --drop-annotations", ErrUnsafeLabel, key))
			}
		}
		all[key] = c.img.Config.Labels[key]
	}
	for k, v := range user {
		all[k] = v
	}
	if len(all) > 0 {
		c.spec.Annotations = all
	}
	return nil
}

func (c *conversion) implicit() map[string]string {
	const prefix = "org.opencontainers.image."
	all := make(map[string]string)
	set := func(key, value string) {
		if value != "" {
			all[prefix+key] = value
		}
	}
	set("os", c.img.OS)
	set("architecture", c.img.Architecture)
	set("variant", c.img.Variant)
	set("os.version", c.img.OSVersion)
	set("os.features", strings.Join(c.img.OSFeatures, ","))
	set("author", c.img.Author)
	if t := c.img.Created; t != nil {
		set("created", t.Format(time.RFC3339Nano))
	}
	set("stopSignal", c.img.Config.StopSignal)
	if c.o.StopSignal != "" {
		set("stopSignal", c.o.StopSignal)
	}
	set("exposedPorts", strings.Join(sortedKeys(c.img.Config.ExposedPorts), ","))
	return all
}

func (c *conversion) userAnnotations() (map[string]string, error) {
	user := make(map[string]string)
	for _, l := range c.o.Labels {
		key, value, _ := strings.Cut(l, "=")
		if key == "" {
			return nil, usage("--label", l, "want NAME[=value]")
		}
		user[key] = value
	}
	for _, a := range c.o.Annotations {
		key, value, ok := strings.Cut(a, "=")
		if key == "" || !ok {
			return nil, usage("--annotation", a, "want NAME=value")
		}
		user[key] = value
	}
	return user, nil
}

// UnsafeLabel reports whether a known runtime, shim or engine acts on an annotation of that name:
// starts programs of the host (CVE-2026-53488), hands out devices (CVE-2026-53492), writes files,
// sets properties of systemd units, or picks another handler.
func UnsafeLabel(key string) bool {
	exact := []string{"bundle", "module.wasm.image/variant"}
	prefixes := []string{
		"run.oci.",              // crun
		"org.systemd.property.", // runc, crun
		"org.criu.",             // runc, crun
		"cdi.k8s.io/",           // containerd, CRI-O, Podman
		"io.katacontainers.",    // kata
		"io.containerd.",        // containerd's shims
		"io.kubernetes.cri",     // containerd, CRI-O
		"io.podman.",            // Podman
		"dev.gvisor.",           // runsc
		"nvidia.com/",           // nvidia-container-runtime
	}
	return slices.Contains(exact, key) ||
		slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) })
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
