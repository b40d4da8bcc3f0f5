package convert

import (
	"encoding/csv"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// mountFlag is a --mount, --volume or --tmpfs taken apart. Nothing of the machine has been asked for it yet.
type mountFlag struct {
	flag, value string // as the user wrote it, for errors

	kind, source, target string
	tree                 string // bind or rbind
	propagation          string
	readonly             bool
	recursive            string   // bind-recursive
	attributes           []string // nosuid, nodev, ...
	data                 []string // options of the file system: size=1m
	idmap                *idmapFlag
	chown                bool
	copyUp               bool
	noCopy               bool
	subpath              string
	writable             bool // of an image
	overlay              bool // O: changes are kept apart
	upper, work          string
}

// The kinds of mount that a flag can ask for.
const (
	kindBind   = "bind"
	kindVolume = "volume"
	kindTmpfs  = "tmpfs"
	kindRamfs  = "ramfs"
	kindDevpts = "devpts"
	kindImage  = "image"
)

// parseMounts parses --mount, --volume and --tmpfs; two at one place are an error.
func parseMounts(o Options) ([]mountFlag, error) {
	var out []mountFlag
	for _, set := range []struct {
		flag   string
		values []string
		parse  func(*mountFlag) error
	}{
		{"--mount", o.Mounts, (*mountFlag).parseMount},
		{"--volume", o.Volumes, (*mountFlag).parseVolume},
		{"--tmpfs", o.Tmpfs, (*mountFlag).parseTmpfs},
	} {
		for _, value := range set.values {
			f := mountFlag{flag: set.flag, value: value, tree: "rbind"}
			if err := set.parse(&f); err != nil {
				return nil, err
			}
			if err := f.check(); err != nil {
				return nil, err
			}
			for _, other := range out {
				if path.Clean(other.target) == path.Clean(f.target) {
					return nil, f.usage("two mounts at %s", f.target)
				}
			}
			out = append(out, f)
		}
	}
	return out, nil
}

func (f *mountFlag) usage(format string, args ...any) error {
	return usage(f.flag, f.value, format, args...)
}

// parseMount takes key=value pairs in the form of a line of CSV.
func (f *mountFlag) parseMount() error {
	fields, err := csv.NewReader(strings.NewReader(f.value)).Read()
	if err != nil {
		return f.usage("want KEY=VALUE,...")
	}
	f.kind = kindVolume
	for _, field := range fields {
		key, v, hasValue := strings.Cut(field, "=")
		key = strings.TrimSpace(key)
		if !slices.Contains([]string{"U", "O"}, key) {
			key = strings.ToLower(key)
		}
		if err := f.set(key, v, hasValue); err != nil {
			return err
		}
	}
	return nil
}

// set takes one key of --mount.
func (f *mountFlag) set(key, v string, hasValue bool) error {
	if known, err := f.setSwitch(key, v, hasValue); known || err != nil {
		return err
	}
	if !hasValue && f.option(key) {
		return nil
	}
	if (!hasValue || v == "") && slices.Contains(valueKeys(), key) {
		return f.usage("%s has no value", key)
	}
	switch key {
	case "type":
		f.kind = strings.ToLower(v)
	case "source", "src":
		f.source = v
	case "target", "dst", "destination":
		f.target = v
	case "bind-propagation":
		if !propagations(v) {
			return f.usage("unknown propagation %q", v)
		}
		f.propagation = v
	case "bind-recursive":
		if !slices.Contains([]string{"enabled", "disabled", "writable", "readonly"}, v) {
			return f.usage("bind-recursive: want enabled, disabled, writable or readonly")
		}
		f.recursive = v
	case "relabel":
		if v != "shared" && v != "private" {
			return f.usage("relabel: want shared or private")
		}
	case "consistency": // of Docker on other systems: there is but one here
	case "volume-subpath", "image-subpath", "subpath":
		f.subpath = v
	case "volume-driver":
		if v != "local" {
			return f.usage("volume-driver: there is none but local")
		}
	case "idmap":
		return f.setIDMap(v)
	default:
		return f.setData(key, v)
	}
	return nil
}

// valueKeys are the keys that are nothing without a value.
func valueKeys() []string {
	return []string{
		"type", "source", "src", "target", "dst", "destination", "bind-propagation", "bind-recursive", "relabel", "volume-subpath",
		"image-subpath", "subpath", "tmpfs-size", "tmpfs-mode", "uid", "gid", "mode", "max", "volume-driver",
	}
}

// setSwitch takes a key that is true or false.
func (f *mountFlag) setSwitch(key, v string, hasValue bool) (known bool, err error) {
	on := true
	set := map[string]func(){
		"readonly":          func() { f.readonly = on },
		"ro":                func() { f.readonly = on },
		"rw":                func() { f.writable, f.readonly = on, !on },
		"readwrite":         func() { f.writable, f.readonly = on, !on },
		"bind-nonrecursive": func() { f.nonRecursive(on) },
		"volume-nocopy":     func() { f.noCopy = on },
		"nocopy":            func() { f.noCopy = on },
		"copy":              func() { f.noCopy = !on },
		"tmpcopyup":         func() { f.copyUp = on },
		"notmpcopyup":       func() { f.copyUp = !on },
		"U":                 func() { f.chown = on },
		"chown":             func() { f.chown = on },
	}[key]
	if set == nil {
		return false, nil
	}
	if hasValue {
		if on, err = strconv.ParseBool(v); err != nil {
			return true, f.usage("%s: want true or false", key)
		}
	}
	set()
	return true, nil
}

func (f *mountFlag) nonRecursive(on bool) {
	if f.tree = "rbind"; on {
		f.tree = "bind"
	}
}

// option takes an option of a mount that stands alone: nosuid, rslave.
func (f *mountFlag) option(o string) bool {
	switch {
	case propagations(o):
		f.propagation = o
	case o == "bind" || o == "rbind":
		f.tree = o
	case o == "rro":
		f.recursive = "readonly"
	case attribute(o):
		f.attributes = slices.DeleteFunc(f.attributes, func(d string) bool { return sameAttribute(d, o) })
		f.attributes = append(f.attributes, o)
	default:
		return false
	}
	return true
}

// setData takes an option of a file system.
func (f *mountFlag) setData(key, v string) error {
	switch key {
	case "tmpfs-size":
		n, err := parseSize(v)
		if err != nil || n < 0 {
			return f.usage("tmpfs-size: want a size such as 64m")
		}
		f.data = append(f.data, "size="+strconv.FormatInt(n, 10))
	case "tmpfs-mode", "mode":
		if n, err := strconv.ParseUint(v, 8, 32); err != nil || n > 0o7777 {
			return f.usage("%s: want an octal mode", key)
		}
		f.data = append(f.data, "mode="+v)
	case "uid", "gid", "max":
		if _, err := strconv.ParseUint(v, 10, 32); err != nil {
			return f.usage("%s: want a number", key)
		}
		f.data = append(f.data, key+"="+v)
	default:
		return f.usage("unknown key %q", key)
	}
	return nil
}

// parseVolume takes [SOURCE:]DESTINATION[:OPTIONS]. A source with a slash is a path, else a name.
func (f *mountFlag) parseVolume() error {
	fields := strings.Split(f.value, ":")
	if len(fields) > 3 {
		return f.usage("want [SOURCE:]DESTINATION[:OPTIONS]; a path with a colon can be given to --mount")
	}
	if len(fields) == 1 {
		fields = []string{"", fields[0]}
	} else if fields[0] == "" {
		return f.usage("the source is empty")
	}
	f.kind, f.source, f.target = kindVolume, fields[0], fields[1]
	if strings.ContainsRune(f.source, '/') || f.source == "." || f.source == ".." {
		f.kind = kindBind
	}
	if len(fields) < 3 {
		return nil
	}
	for o := range strings.SplitSeq(fields[2], ",") {
		key, v, hasValue := strings.Cut(o, "=")
		switch {
		case o == "ro" || o == "rw":
			f.readonly = o == "ro"
		case o == "z" || o == "Z": // see relabel
		case o == "U":
			f.chown = true
		case o == "copy" || o == "nocopy" || o == "volume-nocopy":
			f.noCopy = o != "copy"
		case o == "cached" || o == "delegated" || o == "consistent" || o == "": // of Docker on other systems
		case key == "idmap":
			if err := f.setIDMap(v); err != nil {
				return err
			}
		case o == "O":
			f.overlay = true
		case hasValue && key == "upperdir":
			f.upper = v
		case hasValue && key == "workdir":
			f.work = v
		case !f.option(o):
			return f.usage("unknown option %q", o)
		}
	}
	return nil
}

// parseTmpfs takes DESTINATION[:OPTIONS].
func (f *mountFlag) parseTmpfs() error {
	var options string
	f.kind = kindTmpfs
	f.target, options, _ = strings.Cut(f.value, ":")
	for o := range strings.SplitSeq(options, ",") {
		name, _, _ := strings.Cut(o, "=")
		switch name {
		case "", "notmpcopyup", "rw":
		case "tmpcopyup":
			f.copyUp = true
		case "ro":
			f.readonly = true
		case "U", "chown":
			f.chown = true
		case "sync", "async", "dirsync", "size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol", "huge", "noswap", "inode64", "inode32":
			f.data = append(f.data, o)
		default:
			if !f.option(o) {
				return f.usage("unknown option %q", o)
			}
		}
	}
	return nil
}

// check refuses what fits no kind, and what names nothing.
func (f *mountFlag) check() error {
	if err := destination(f.flag, f.value, f.target); err != nil {
		return err
	}
	if !slices.Contains([]string{kindBind, kindVolume, kindTmpfs, kindRamfs, kindDevpts, kindImage}, f.kind) {
		return f.usage("unknown type %q: want bind, volume, tmpfs, image, devpts or ramfs", f.kind)
	}
	if f.kind != kindBind && path.Clean(f.target) == "/proc" {
		return f.usage("/proc: nothing but a proc file system may be there (CVE-2019-16884)")
	}
	if strings.ContainsRune(f.source, 0) || strings.ContainsRune(f.subpath, 0) {
		return f.usage("a NUL byte")
	}
	return f.checkKind()
}

func (f *mountFlag) checkKind() error {
	bind, memory := f.kind == kindBind, f.kind == kindTmpfs || f.kind == kindRamfs
	switch {
	case f.kind == kindVolume && !volumeName(f.source):
		return f.usage("%q is no name of a volume: want letters, digits and _.-, the first no sign", f.source)
	case f.overlay && !bind:
		return f.usage("O is for directories of the host")
	case f.overlay && (f.idmap != nil || f.chown):
		return f.usage("O: neither with idmap nor with U")
	case (f.upper == "") != (f.work == ""), f.upper != "" && (!f.overlay || !filepath.IsAbs(f.upper) || !filepath.IsAbs(f.work)):
		return f.usage("upperdir and workdir: want both, absolute, and O")
	case bind && f.source == "":
		return f.usage("source: want a path")
	case f.kind == kindImage && f.source == "":
		return f.usage("source: want an image")
	case (memory || f.kind == kindDevpts) && f.source != "":
		return f.usage("a %s has no source", f.kind)
	case len(f.data) > 0 && !memory && f.kind != kindDevpts:
		return f.usage("%s is no option of type=%s: it is for a file system that is made", f.data[0], f.kind)
	case f.kind == kindRamfs && slices.ContainsFunc(f.data, func(d string) bool { return !strings.HasPrefix(d, "mode=") }):
		return f.usage("a ramfs takes no option but its mode, and no size")
	case f.copyUp && f.kind != kindTmpfs:
		return f.usage("tmpcopyup is for type=tmpfs")
	case f.noCopy && f.kind != kindVolume:
		return f.usage("nocopy is for volumes: only they are filled from the image")
	case f.subpath != "" && (bind || memory || f.kind == kindDevpts):
		return f.usage("a subpath is of a volume or an image")
	case f.subpath != "" && !filepath.IsLocal(f.subpath):
		return f.usage("%q is no relative path that stays inside", f.subpath)
	case (f.propagation != "" || f.recursive != "" || f.tree != "rbind") && !bind && f.kind != kindVolume:
		return f.usage("propagation and recursion are for type=bind")
	case (f.recursive != "" || f.tree != "rbind") && f.flag == "--mount" && !bind:
		return f.usage("bind-propagation and bind-recursive are for type=bind")
	case f.idmap != nil && !bind && f.kind != kindVolume:
		return f.usage("idmap is for type=bind and type=volume")
	case f.chown && (f.kind == kindImage || f.kind == kindDevpts || f.kind == kindRamfs):
		return f.usage("U is not for type=%s", f.kind)
	}
	return nil
}

// volumeName tells whether a volume may be called so; "" is one without a name. It becomes the name of a directory.
func volumeName(s string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("_.-", r)) {
			return false
		}
	}
	return len(s) <= 255
}

func destination(flag, value, dest string) error {
	if !path.IsAbs(dest) || path.Clean(dest) == "/" || strings.ContainsRune(dest, 0) || slices.Contains(strings.Split(dest, "/"), "..") {
		return usage(flag, value, "destination: want an absolute path below / without \"..\"")
	}
	return nil
}

func propagations(s string) bool {
	return slices.Contains([]string{"shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable"}, s)
}

// attribute tells whether an option is one of a mount, whatever it shows.
func attribute(o string) bool {
	return slices.Contains([]string{
		"suid", "nosuid", "dev", "nodev", "exec", "noexec", "atime", "noatime", "diratime", "nodiratime", "relatime", "strictatime",
		"symfollow", "nosymfollow",
	}, o)
}

// sameAttribute tells whether one option replaces the other.
func sameAttribute(a, b string) bool {
	return strings.TrimPrefix(a, "no") == strings.TrimPrefix(b, "no")
}
