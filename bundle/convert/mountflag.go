package convert

import (
	"encoding/csv"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// userMounts parses --mount, --volume and --tmpfs.
func (c *conversion) userMounts() ([]specs.Mount, error) {
	var out []specs.Mount
	for _, set := range []struct {
		flag   string
		values []string
		parse  func(string) (specs.Mount, error)
	}{
		{"--mount", c.o.Mounts, c.parseMount}, {"--volume", c.o.Volumes, c.parseVolume}, {"--tmpfs", c.o.Tmpfs, parseTmpfs},
	} {
		for _, value := range set.values {
			m, err := set.parse(value)
			if err != nil {
				return nil, err
			}
			if mountsAt(out, m.Destination) {
				return nil, usage(set.flag, value, "two mounts at %s", m.Destination)
			}
			out = append(out, m)
		}
	}
	return out, nil
}

// mountFlag is a --mount taken apart.
type mountFlag struct {
	kind, source, target string
	readonly             bool
	propagation          string
	recursive            string // bind-recursive
	size, mode           string // of a tmpfs
}

// parseMount takes key=value pairs in the form of a line of CSV.
func (c *conversion) parseMount(value string) (specs.Mount, error) {
	fields, err := csv.NewReader(strings.NewReader(value)).Read()
	if err != nil {
		return specs.Mount{}, usage("--mount", value, "want KEY=VALUE,...")
	}
	f := mountFlag{kind: "volume"}
	for _, field := range fields {
		if err := f.set(value, field); err != nil {
			return specs.Mount{}, err
		}
	}
	if err := destination("--mount", value, f.target); err != nil {
		return specs.Mount{}, err
	}
	return c.mountFromFlag(value, f)
}

func (f *mountFlag) set(flagValue, field string) error {
	key, v, hasValue := strings.Cut(field, "=")
	switch key = strings.ToLower(strings.TrimSpace(key)); key {
	case "type":
		f.kind = strings.ToLower(v)
	case "source", "src":
		f.source = v
	case "target", "dst", "destination":
		f.target = v
	case "readonly", "ro":
		f.readonly = true
		if hasValue {
			b, err := strconv.ParseBool(v)
			if err != nil {
				return usage("--mount", flagValue, "%s: want true or false", key)
			}
			f.readonly = b
		}
		return nil
	case "bind-propagation":
		if !propagations(v) {
			return usage("--mount", flagValue, "unknown propagation %q", v)
		}
		f.propagation = v
	case "bind-recursive":
		if !slices.Contains([]string{"enabled", "disabled", "writable", "readonly"}, v) {
			return usage("--mount", flagValue, "bind-recursive: want enabled, disabled, writable or readonly")
		}
		f.recursive = v
	case "tmpfs-size":
		n, err := parseSize(v)
		if err != nil || n < 0 {
			return usage("--mount", flagValue, "tmpfs-size: want a size such as 64m")
		}
		f.size = strconv.FormatInt(n, 10)
	case "tmpfs-mode":
		if n, err := strconv.ParseUint(v, 8, 32); err != nil || n > 0o7777 {
			return usage("--mount", flagValue, "tmpfs-mode: want an octal mode")
		}
		f.mode = v
	default:
		return usage("--mount", flagValue, "unknown key %q", key)
	}
	if !hasValue || v == "" {
		return usage("--mount", flagValue, "%s has no value", key)
	}
	return nil
}

func (c *conversion) mountFromFlag(value string, f mountFlag) (specs.Mount, error) {
	isBind, isTmpfs := f.kind == "bind", f.kind == "tmpfs"
	switch {
	case !isTmpfs && f.size+f.mode != "":
		return specs.Mount{}, usage("--mount", value, "tmpfs-size and tmpfs-mode are for type=tmpfs")
	case !isBind && f.propagation+f.recursive != "":
		return specs.Mount{}, usage("--mount", value, "bind-propagation and bind-recursive are for type=bind")
	}
	var m specs.Mount
	switch f.kind {
	case "bind":
		if !filepath.IsAbs(f.source) {
			return m, usage("--mount", value, "source: want an absolute path")
		}
		m = bindMount(f.source, f.target, f.propagation)
		if f.recursive == "disabled" {
			m.Options[0] = "bind"
		}
	case "volume":
		var err error
		if m, err = c.userVolume("--mount", value, f.source, f.target); err != nil {
			return m, err
		}
	case "tmpfs":
		if f.source != "" {
			return m, usage("--mount", value, "a tmpfs has no source")
		}
		m = tmpfsMount(f.target)
		if f.size != "" {
			m.Options = append(m.Options, "size="+f.size)
		}
		if f.mode != "" {
			m.Options = append(m.Options, "mode="+f.mode)
		}
	default:
		return m, usage("--mount", value, "unknown type %q: want bind, volume or tmpfs", f.kind)
	}
	switch {
	case f.recursive == "readonly":
		m.Options = append(m.Options, "rro")
	case f.readonly:
		m.Options = append(m.Options, "ro")
	}
	return m, nil
}

// parseVolume takes [SOURCE:]DESTINATION[:OPTIONS]. A source with a slash is a path, else a name.
func (c *conversion) parseVolume(value string) (specs.Mount, error) {
	const flag = "--volume"
	f := strings.Split(value, ":")
	if len(f) > 3 {
		return specs.Mount{}, usage(flag, value, "want [SOURCE:]DESTINATION[:OPTIONS]")
	}
	if len(f) == 1 {
		f = []string{"", f[0]}
	} else if f[0] == "" {
		return specs.Mount{}, usage(flag, value, "the source is empty")
	}
	if err := destination(flag, value, f[1]); err != nil {
		return specs.Mount{}, err
	}
	var options []string
	if len(f) == 3 {
		options = strings.Split(f[2], ",")
	}
	var m specs.Mount
	if strings.ContainsRune(f[0], '/') || f[0] == "." || f[0] == ".." {
		source, err := filepath.Abs(f[0])
		if err != nil {
			return m, &UsageError{Flag: flag, Value: value, Err: err}
		}
		m = bindMount(source, f[1], "")
	} else {
		var err error
		if m, err = c.userVolume(flag, value, f[0], f[1]); err != nil {
			return m, err
		}
	}
	for _, o := range options {
		switch {
		case o == "ro" || o == "rro":
			m.Options = append(m.Options, o)
		case o == "rw" || o == "z" || o == "Z" || o == "nocopy": // z, Z: relabel for SELinux; nocopy: do not seed
		case propagations(o):
			m.Options[1] = o
		default:
			return m, usage(flag, value, "unknown option %q", o)
		}
	}
	return m, nil
}

func (c *conversion) userVolume(flag, value, name, dest string) (specs.Mount, error) {
	if c.o.VolumeDir == nil {
		return specs.Mount{}, usage(flag, value, "there is no place for volumes here; give the path of a directory")
	}
	if strings.HasPrefix(name, ".") || strings.ContainsAny(name, "/\x00") {
		return specs.Mount{}, usage(flag, value, "%q is no name of a volume", name)
	}
	m, err := c.volume(name, dest)
	if err != nil {
		err = &UsageError{Flag: flag, Value: value, Err: err}
	}
	return m, err
}

// parseTmpfs takes DESTINATION[:OPTIONS].
func parseTmpfs(value string) (specs.Mount, error) {
	dest, options, _ := strings.Cut(value, ":")
	if err := destination("--tmpfs", value, dest); err != nil {
		return specs.Mount{}, err
	}
	m := tmpfsMount(dest)
	for o := range strings.SplitSeq(options, ",") {
		name, _, _ := strings.Cut(o, "=")
		switch name {
		case "":
		case "suid", "dev", "exec", "nosuid", "nodev", "noexec":
			m.Options = slices.DeleteFunc(m.Options, func(d string) bool { return strings.TrimPrefix(d, "no") == strings.TrimPrefix(name, "no") })
			m.Options = append(m.Options, o)
		case "ro", "rw", "sync", "async", "atime", "noatime", "size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol":
			m.Options = append(m.Options, o)
		default:
			return m, usage("--tmpfs", value, "unknown option %q", o)
		}
	}
	return m, nil
}

func bindMount(source, dest, propagation string) specs.Mount {
	if propagation == "" {
		propagation = "rprivate"
	}
	return specs.Mount{Destination: dest, Type: "bind", Source: source, Options: []string{"rbind", propagation}}
}

func tmpfsMount(dest string) specs.Mount {
	return specs.Mount{Destination: dest, Type: "tmpfs", Source: "tmpfs", Options: []string{"noexec", "nosuid", "nodev"}}
}

func destination(flag, value, dest string) error {
	if !path.IsAbs(dest) || path.Clean(dest) == "/" || strings.ContainsRune(dest, 0) {
		return usage(flag, value, "destination: want an absolute path below /")
	}
	return nil
}

func propagations(s string) bool {
	return slices.Contains([]string{"shared", "slave", "private", "rshared", "rslave", "rprivate"}, s)
}
