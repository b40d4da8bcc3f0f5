package cgroup

import (
	"fmt"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// deviceRule is one rule for one kind of device.
type deviceRule struct {
	allow        bool
	kind         byte // 'b' or 'c'
	major, minor int64
	access       uint32 // accessMknod|...
}

// Bits of bpf_cgroup_dev_ctx.access_type, linux/bpf.h.
const (
	accessMknod = 1
	accessRead  = 2
	accessWrite = 4
	accessAll   = accessMknod | accessRead | accessWrite
	anyNumber   = -1
)

// devices are rules in their order, the last one that fits deciding, and what is said where none fits.
type devices struct {
	allow bool
	rules []deviceRule
}

// builtin are the devices that every container may use, whatever its rules: the default devices of
// config-linux.md#default-devices, and making nodes, which gives no access to them.
var builtin = [...]deviceRule{
	{true, 'c', anyNumber, anyNumber, accessMknod},
	{true, 'b', anyNumber, anyNumber, accessMknod},
	{true, 'c', 1, 3, accessAll},           // null
	{true, 'c', 1, 5, accessAll},           // zero
	{true, 'c', 1, 7, accessAll},           // full
	{true, 'c', 1, 8, accessAll},           // random
	{true, 'c', 1, 9, accessAll},           // urandom
	{true, 'c', 5, 0, accessAll},           // tty
	{true, 'c', 5, 2, accessAll},           // ptmx
	{true, 'c', 136, anyNumber, accessAll}, // pts
}

// deviceRules gives the rules of config.json and the built-in ones. A rule for all devices starts
// the list anew. Without one, everything is forbidden that no rule allows.
func deviceRules(list []specs.LinuxDeviceCgroup) (devices, error) {
	var d devices
	for i, r := range list {
		access, err := parseAccess(r.Access)
		rule := deviceRule{r.Allow, 'a', anyNumber, anyNumber, access}
		if r.Major != nil {
			rule.major = *r.Major
		}
		if r.Minor != nil {
			rule.minor = *r.Minor
		}
		const most = 1<<32 - 1
		switch {
		case err != nil:
		case rule.major < anyNumber || rule.minor < anyNumber || rule.major > most || rule.minor > most:
			err = fmt.Errorf("%w: device number %d:%d", ErrDeviceRule, rule.major, rule.minor)
		case r.Type == "" || r.Type == "a":
			if rule.major == anyNumber && rule.minor == anyNumber && access == accessAll {
				d = devices{allow: r.Allow}
				continue
			}
			rule.kind = 'b'
			d.rules = append(d.rules, rule)
			rule.kind = 'c'
			d.rules = append(d.rules, rule)
		case r.Type == "b":
			rule.kind = 'b'
			d.rules = append(d.rules, rule)
		case r.Type == "c" || r.Type == "u":
			rule.kind = 'c'
			d.rules = append(d.rules, rule)
		default:
			err = fmt.Errorf("%w: type %q", ErrDeviceRule, r.Type)
		}
		if err != nil {
			return devices{}, &Error{
				Op: "set device rule", Subject: pointerRoot + "/devices/" + strconv.Itoa(i), Clause: spec.RuntimeDeviceRules, Err: err,
			}
		}
	}
	if !d.allow {
		d.rules = append(d.rules, builtin[:]...)
	}
	return d, nil
}

func parseAccess(s string) (uint32, error) {
	var bits uint32
	for _, c := range s {
		switch c {
		case 'r':
			bits |= accessRead
		case 'w':
			bits |= accessWrite
		case 'm':
			bits |= accessMknod
		default:
			return 0, fmt.Errorf("%w: access %q", ErrDeviceRule, s)
		}
	}
	if bits == 0 {
		return 0, fmt.Errorf("%w: no access is named", ErrDeviceRule)
	}
	return bits, nil
}

// write is one write to a file of the devices controller of v1.
type write struct{ file, value string }

// v1 gives the writes for a group of v1. Its kernel keeps a list of exceptions from one default,
// each by type and numbers, so a rule against the default can take back only what was given by the
// same numbers; taking back a part is not possible there, and is refused rather than ignored.
func (d devices) v1() ([]write, error) {
	out := make([]write, 0, 1+len(d.rules))
	all := "devices.deny"
	if d.allow {
		all = "devices.allow"
	}
	out = append(out, write{all, "a"})
	var given []deviceRule
	for _, r := range d.rules {
		if r.allow == d.allow {
			for _, g := range given {
				same := g.major == r.major && g.minor == r.minor
				if g.kind == r.kind && g.access&r.access != 0 && !same && overlaps(g.major, r.major) && overlaps(g.minor, r.minor) {
					return nil, &Error{
						Op: "set device rule", Subject: r.String(), Clause: spec.RuntimeDeviceRules,
						Err: fmt.Errorf("%w: it takes back a part of %s", ErrVersion, g),
					}
				}
			}
		} else {
			given = append(given, r)
		}
		file := "devices.deny"
		if r.allow {
			file = "devices.allow"
		}
		out = append(out, write{file, r.String()})
	}
	return out, nil
}

func overlaps(a, b int64) bool { return a == b || a == anyNumber || b == anyNumber }

// String is the rule as v1 writes it: "c 1:3 rwm".
func (r deviceRule) String() string {
	b := append(make([]byte, 0, 24), r.kind, ' ')
	for i, n := range [...]int64{r.major, r.minor} {
		if i == 1 {
			b = append(b, ':')
		}
		if n == anyNumber {
			b = append(b, '*')
		} else {
			b = strconv.AppendInt(b, n, 10)
		}
	}
	b = append(b, ' ')
	for _, a := range [...]struct {
		bit uint32
		c   byte
	}{{accessRead, 'r'}, {accessWrite, 'w'}, {accessMknod, 'm'}} {
		if r.access&a.bit != 0 {
			b = append(b, a.c)
		}
	}
	return string(b)
}
