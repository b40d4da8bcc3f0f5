package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/pflag"

	"github.com/oci-pipeline/oci/unpack"
)

// ownerFlags say whom the files of an image are given to, and what becomes of its devices.
type ownerFlags struct {
	ids     idMapFlags
	single  bool
	devices deviceFlag
}

func (f *ownerFlags) register(fs *pflag.FlagSet) {
	f.ids.register(fs)
	fs.BoolVar(&f.single, "single-id", false, "give all files to this user, and keep their owners in the xattr user.rootlesscontainers")
	f.devices.register(fs)
}

// deviceFlag is --devices: what becomes of the devices of an image.
type deviceFlag string

const (
	devicesError deviceFlag = "error" // make them
	devicesSkip  deviceFlag = "skip"
	devicesBind  deviceFlag = "bind"
)

func (d *deviceFlag) register(fs *pflag.FlagSet) {
	fs.Var(d, "devices", "devices of the image: `policy` error (make them, or fail), skip, or bind (an empty file, for the host's device to be\n"+
		"bind mounted on) (default error as root, else skip)")
}

// String, Set and Type make deviceFlag a pflag.Value.
func (d *deviceFlag) String() string { return string(*d) }

// Set accepts the policies.
func (d *deviceFlag) Set(s string) error {
	switch p := deviceFlag(s); p {
	case devicesError, devicesSkip, devicesBind:
		*d = p
		return nil
	}
	return fmt.Errorf("%q is none of error, skip, bind", s)
}

// Type is the name of the value in help texts.
func (d *deviceFlag) Type() string { return "policy" }

// options gives the options of this process with what the flags say. The ids of maps on the host are those where the command was given;
// uids and gids are the maps as they were given.
func (f *ownerFlags) options(a *app) (o unpack.Options, uids, gids []unpack.IDMap, err error) {
	if uids, gids, err = f.ids.maps(); err != nil {
		return o, nil, nil, err
	}
	if f.single && uids != nil {
		return o, nil, nil, usageErrorf(nil, "--single-id gives all files to one user: --uid-map and --gid-map do not go with it")
	}
	o = a.unpackOptions()
	f.devices.apply(a, &o)
	switch {
	case f.single:
		o.SingleID = true
	case uids != nil:
		o.SingleID = false
		o.UIDMap, o.GIDMap, err = f.ids.here()
	}
	return o, uids, gids, err
}

// apply puts the policy into options.
func (d deviceFlag) apply(a *app, o *unpack.Options) {
	switch d {
	case devicesError:
		o.Devices, o.Logger = unpack.DeviceError, a.log
	case devicesSkip:
		o.Devices, o.Logger = unpack.DeviceSkip, slog.New(&deviceLog{Handler: a.log.Handler()})
	case devicesBind:
		o.Devices, o.Logger = unpack.DeviceBind, a.log
	}
}

// here gives the maps of the flags with ids on the host as this process sees them; both nil without any.
func (m *idMapFlags) here() (uids, gids []unpack.IDMap, err error) {
	if uids, gids, err = m.maps(); err != nil || uids == nil {
		return nil, nil, err
	}
	if uids, err = mapFromHere("--uid-map", "uid", uids); err == nil {
		gids, err = mapFromHere("--gid-map", "gid", gids)
	}
	return uids, gids, err
}

// mapFromHere gives a map whose ids on the host are those that this process sees. A user who is not root named ids outside of
// the user namespace that was made since.
func mapFromHere(flag, kind string, maps []unpack.IDMap) ([]unpack.IDMap, error) {
	own := currentMap("/proc/self/" + kind + "_map")
	if own == nil {
		return maps, nil // no user namespaces here
	}
	if !rootless() {
		for i := range own {
			own[i].outside = own[i].inside // ids are those that this process sees already
		}
	}
	return translateMap(flag, kind, maps, own)
}

// translateMap gives maps with ids of a user namespace in place of those outside of it.
func translateMap(flag, kind string, maps []unpack.IDMap, own []idMap) ([]unpack.IDMap, error) {
	var list []unpack.IDMap
	for _, m := range maps {
		for m.Size > 0 {
			part, err := firstPart(m, own)
			if err != nil {
				return nil, &ownMapError{flag, kind, m.HostID, m.Size, own}
			}
			list = append(list, part)
			m.ContainerID, m.HostID, m.Size = m.ContainerID+part.Size, m.HostID+part.Size, m.Size-part.Size
		}
	}
	return list, nil
}

var errNoSuchID = errors.New("no such id in the user namespace")

// firstPart gives the beginning of m as far as one range of the namespace has it.
func firstPart(m unpack.IDMap, own []idMap) (unpack.IDMap, error) {
	for _, r := range own {
		if m.HostID >= r.outside && m.HostID-r.outside < r.count {
			at := m.HostID - r.outside
			return unpack.IDMap{ContainerID: m.ContainerID, HostID: r.inside + at, Size: min(m.Size, r.count-at)}, nil
		}
	}
	return unpack.IDMap{}, errNoSuchID
}

// ownMapError is a map that names ids of the host that this user has not. It is unpack.ErrOwner.
type ownMapError struct {
	flag, kind string
	id, count  uint32 // those from id on
	own        []idMap
}

// Error names the id, and the ids that there are.
func (e *ownMapError) Error() string {
	text := ""
	for _, r := range e.own {
		text += fmt.Sprintf(" %d to %d,", r.outside, uint64(r.outside)+uint64(r.count)-1)
	}
	return fmt.Sprintf("%s: this user has no %s %d, only%s", e.flag, e.kind, e.id, text[:max(len(text)-1, 0)])
}

// Unwrap gives unpack.ErrOwner.
func (e *ownMapError) Unwrap() error { return unpack.ErrOwner }
