package validate

import (
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// config is what the config of an image says, as far as it can be used.
type config struct {
	platform *ispec.Platform // nil if os or architecture is not usable
	diffIDs  []digest.Digest // those of no grammar are ""; nil if there is no list
}

// config judges the config of an image.
func (d *doc) config(n *node) config {
	d.nullable = true
	var out config
	d.names(n, "", "created", "author", "architecture", "os", "os.version", "os.features", "variant", "config", "rootfs", "history")
	d.time(n, "", "created")
	d.string(n, "", "author", spec.ConfigType)
	p, known := d.platform(n, "", platformRules{spec.ConfigRequired, spec.ConfigRequired, spec.ConfigPlatform, spec.ConfigFeature, spec.ConfigVariant})
	if known {
		out.platform = &p
	}
	if v := d.member(n, object, "", "config", spec.ConfigType); v != nil {
		d.execution(v, p.OS == "windows")
	}
	if v := d.required(n, object, "", "rootfs", spec.ConfigRequired, `{"type": "layers", "diff_ids": [...]}`); v != nil {
		out.diffIDs = d.rootfs(v)
	}
	d.history(n, out.diffIDs)
	return out
}

// time asks for a date-time.
func (d *doc) time(n *node, pointer, key string) {
	if s, ok := d.string(n, pointer, key, spec.ConfigTime); ok && !dateTime(s) {
		d.add(under(pointer, key), spec.ConfigTime, "such as 2026-01-31T15:04:05Z", ErrInvalid, "%q is no date-time of RFC 3339", clip(s))
	}
}

func (d *doc) rootfs(n *node) []digest.Digest {
	const place = "/rootfs"
	d.names(n, place, "type", "diff_ids")
	if v := d.required(n, text, place, "type", spec.ConfigRootfsType, "layers"); v != nil && v.text != "layers" {
		d.add(place+"/type", spec.ConfigRootfsType, "layers", ErrInvalid, "%q", clip(v.text))
	}
	v := d.required(n, array, place, "diff_ids", spec.ConfigDiffIDs, "an array of the digests of the layers' tars, base first")
	if v == nil {
		return nil
	}
	list := make([]digest.Digest, len(v.values))
	for i, e := range v.values {
		if !d.is(e, text, at(place+"/diff_ids", i), spec.ConfigDiffIDs) {
			continue
		}
		d.digest(e.text, at(place+"/diff_ids", i))
		if digestGrammar(e.text) {
			list[i] = digest.Digest(e.text)
		}
	}
	return list
}

// history judges what made the layers.
func (d *doc) history(n *node, diffIDs []digest.Digest) {
	v := d.member(n, array, "", "history", spec.ConfigType)
	if v == nil {
		return
	}
	layers := 0
	for i, e := range v.values {
		place := at("/history", i)
		if !d.is(e, object, place, spec.ConfigType) {
			continue
		}
		d.names(e, place, "created", "author", "created_by", "comment", "empty_layer")
		d.time(e, place, "created")
		for _, key := range []string{"author", "created_by", "comment"} {
			d.string(e, place, key, spec.ConfigType)
		}
		if b := d.member(e, boolean, place, "empty_layer", spec.ConfigType); b == nil || b.text != "true" {
			layers++
		}
	}
	if len(v.values) > 0 && diffIDs != nil && layers != len(diffIDs) {
		d.add("/history", spec.ConfigHistory, "an entry for each layer, and empty_layer in those that made none", ErrMismatch, "it tells of %d layers, and rootfs.diff_ids has %d", layers, len(diffIDs))
	}
}

// execution judges the object config.
func (d *doc) execution(n *node, windows bool) {
	const place = "/config"
	d.names(n, place, "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal", "ArgsEscaped")
	if s, ok := d.string(n, place, "User", spec.ConfigUser); ok && !windows && !user(s) {
		d.add(place+"/User", spec.ConfigUser, "user, uid, user:group, uid:gid, uid:group or user:gid", ErrInvalid, "%q", clip(s))
	}
	d.words(n, place, windows)
	d.set(n, place, "ExposedPorts", spec.ConfigPort, port, "a port, or a port with /tcp or /udp, such as 8080/tcp")
	d.set(n, place, "Volumes", spec.ConfigVolume, func(s string) bool { return absolute(s, windows) }, "an absolute path")
	if s, ok := d.string(n, place, "WorkingDir", spec.ConfigType); ok && s != "" && !absolute(s, windows) {
		d.add(place+"/WorkingDir", spec.ConfigWorkingDir, "an absolute path", ErrUnusual, "%q, and process.cwd of a runtime must be absolute", clip(s))
	}
	d.annotations(n, place, "Labels")
	if s, ok := d.string(n, place, "StopSignal", spec.ConfigType); ok && s != "" && !signal(s) {
		d.add(place+"/StopSignal", spec.ConfigStopSignal, "a name such as SIGTERM or SIGRTMIN+3", ErrUnusual, "%q is no signal", clip(s))
	}
	if v := d.member(n, boolean, place, "ArgsEscaped", spec.ConfigType); v != nil {
		d.add(place+"/ArgsEscaped", spec.ConfigDeprecated, "leave it out", ErrUnusual, "deprecated, for compatibility with older images for Windows")
	}
	for _, key := range []string{"Memory", "MemorySwap", "CpuShares"} { // reserved, and of a type all the same
		if v := d.member(n, number, place, key, spec.ConfigType); v != nil {
			if _, err := strconv.ParseInt(v.text, 10, 64); err != nil {
				d.add(under(place, key), spec.ConfigType, "an integer", ErrType, "%s is no integer", clip(v.text))
			}
		}
	}
	d.member(n, object, place, "Healthcheck", spec.ConfigType)
}

// words judges what a program is given: no NUL can be in it. Windows has variables whose names begin with an equals sign.
func (d *doc) words(n *node, pointer string, windows bool) {
	for _, key := range []string{"Entrypoint", "Cmd", "Env"} {
		for i, e := range d.strings(n, pointer, key, spec.ConfigType) {
			place := at(under(pointer, key), i)
			if strings.ContainsRune(e, 0) {
				d.add(place, spec.ConfigType, "a string without NUL", ErrInvalid, "a NUL, which ends a string for the kernel")
			}
			if key != "Env" || n.get(key).values[i].kind != text {
				continue
			}
			if name, _, ok := strings.Cut(e, "="); !ok || name == "" && !windows {
				d.add(place, spec.ConfigEnv, "VARNAME=VARVALUE", ErrInvalid, "%q", clip(e))
			}
		}
	}
}

// set judges an object whose keys are meant, and whose values are empty objects.
func (d *doc) set(n *node, pointer, key string, c spec.Clause, good func(string) bool, hint string) {
	m := d.member(n, object, pointer, key, spec.ConfigType)
	if m == nil {
		return
	}
	for i, name := range m.keys {
		place := under(under(pointer, key), name)
		if !good(name) {
			d.add(place, c, hint, ErrUnusual, "%q", clip(name))
		}
		if d.is(m.values[i], object, place, spec.ConfigType) && len(m.values[i].keys) > 0 {
			d.add(place, c, "{}", ErrUnusual, "the value is not empty, and nobody reads it")
		}
	}
}

// user is the forms of User; the empty one leaves the choice to the runtime.
func user(s string) bool {
	name, group, ok := strings.Cut(s, ":")
	return s == "" || name != "" && (!ok || group != "") && !strings.ContainsAny(group, ":") && !strings.ContainsAny(s, "\x00\n")
}

// port is a port, or a port with a protocol.
func port(s string) bool {
	number, protocol, ok := strings.Cut(s, "/")
	n, err := strconv.ParseUint(number, 10, 16)
	return err == nil && n > 0 && (!ok || protocol == "tcp" || protocol == "udp")
}

// absolute is a path from the root; of Windows, a drive or a share with a path.
func absolute(s string, windows bool) bool {
	if windows {
		return strings.HasPrefix(s, `\`) || strings.HasPrefix(s, "/") || len(s) > 2 && s[1] == ':' && strings.IndexByte(letter, s[0]) >= 0
	}
	return strings.HasPrefix(s, "/")
}

// signal is a name of signal(7), with SIG as the text wants it, or the number that engines take too.
func signal(s string) bool {
	if n, err := strconv.Atoi(s); err == nil {
		return n > 0 && n <= 64
	}
	name, ok := strings.CutPrefix(s, "SIG")
	for _, base := range [...]struct {
		name string
		sign string
	}{{"RTMIN", "+"}, {"RTMAX", "-"}} {
		if rest, found := strings.CutPrefix(name, base.name); found {
			n, err := strconv.Atoi(strings.TrimPrefix(rest, base.sign))
			return ok && (rest == "" || err == nil && strings.HasPrefix(rest, base.sign) && n > 0 && n <= 30)
		}
	}
	return ok && slices.Contains(signals(), name)
}

func signals() []string {
	return []string{
		"ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL", "PROF", "PWR", "QUIT",
		"SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "UNUSED", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
	}
}
