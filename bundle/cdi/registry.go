package cdi

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	cdispec "tags.cncf.io/container-device-interface/specs-go"

	"github.com/oci-pipeline/oci/bundle"
	"github.com/oci-pipeline/oci/bundle/internal/regular"
	"github.com/oci-pipeline/oci/bundle/yaml"
)

// DefaultDirs are the directories of CDI files, the later one for files that are made when the machine starts. They are those
// of podman, Docker and containerd.
func DefaultDirs() []string { return []string{"/etc/cdi", "/var/run/cdi"} }

// Registry are the devices that some directories describe. Only Load makes one.
type Registry struct {
	dirs    []string
	devices map[Name][]place
	broken  []broken
}

// broken is a file that cannot be used.
type broken struct {
	dir  int
	kind string // of its devices; "" if that cannot be read either
	err  error
}

// place is where a device is described.
type place struct {
	dir    int // index; a later one counts
	path   string
	file   *cdispec.Spec
	device *cdispec.Device
}

// Load reads the CDI files of directories, DefaultDirs if none are named. The error, an *Error, is that of a directory which is there
// and cannot be read.
func Load(dirs ...string) (*Registry, error) {
	if len(dirs) == 0 {
		dirs = DefaultDirs()
	}
	r := &Registry{dirs: dirs, devices: map[Name][]place{}}
	for i, dir := range dirs {
		names, err := regular.Names(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, &Error{Op: "read CDI directory", Subject: dir, Err: err}
		}
		for _, name := range names {
			r.add(i, filepath.Join(dir, name))
		}
	}
	return r, nil
}

func (r *Registry) add(dir int, path string) {
	decode := Decode
	switch filepath.Ext(path) {
	case ".json":
	case ".yaml":
		decode = DecodeYAML
	default:
		return
	}
	var file *cdispec.Spec
	raw, err := regular.Read(path, MaxFile)
	if err == nil {
		file, err = decode(raw)
	}
	if err != nil {
		r.broken = append(r.broken, broken{dir, kindOf(raw, path), fileProblem(path, err)})
		return
	}
	for i := range file.Devices {
		d := &file.Devices[i]
		n := Name{file.Kind, d.Name}
		r.devices[n] = append(r.devices[n], place{dir, path, file, d})
	}
}

// kindOf reads of a file that is broken elsewhere whose devices it is about.
func kindOf(raw []byte, path string) string {
	var head struct {
		Kind string `json:"kind"`
	}
	if filepath.Ext(path) == ".json" {
		_ = bundle.Decode(raw, &head) // it is broken: what was read is asked for
		return head.Kind
	}
	if n, err := yaml.Parse(raw); err == nil {
		for _, k := range n.Keys {
			if k.Name == "kind" {
				return k.Value.Text
			}
		}
	}
	return ""
}

// find gives the one description of a device that counts.
func (r *Registry) find(n Name) (place, error) {
	places := r.devices[n]
	if len(places) == 0 {
		why := []error{fmt.Errorf("%w in %s", ErrNoDevice, strings.Join(r.dirs, ", "))}
		for _, b := range r.broken {
			why = append(why, b.err)
		}
		return place{}, &Error{Op: "find CDI device", Subject: n.String(), Err: errors.Join(why...)}
	}
	last := places[len(places)-1]
	for _, b := range r.broken {
		if b.kind == n.Kind && b.dir >= last.dir {
			return place{}, &Error{Op: "find CDI device", Subject: n.String(), Err: fmt.Errorf("what may stand for %s cannot be used: %w", last.path, b.err)}
		}
	}
	for _, p := range places[:len(places)-1] {
		if p.dir == last.dir {
			return place{}, &Error{Op: "find CDI device", Subject: n.String(), Err: fmt.Errorf("%w: %s and %s", ErrConflict, p.path, last.path)}
		}
	}
	return last, nil
}

// Find gives what the devices together want changed: the edits of each file once, before those of the first of its devices. The error is an
// *Error that wraps ErrNoDevice or ErrConflict.
func (r *Registry) Find(names ...Name) (Edits, error) {
	var e Edits
	used := map[*cdispec.Spec]bool{}
	done := map[Name]bool{}
	for _, n := range names {
		p, err := r.find(n)
		if err != nil {
			return Edits{}, err
		}
		if done[n] {
			continue
		}
		done[n] = true
		if !used[p.file] {
			used[p.file] = true
			e.add(&p.file.ContainerEdits)
		}
		e.add(&p.device.ContainerEdits)
	}
	if err := checkNetDevices(e.all.NetDevices, "/netDevices"); err != nil {
		return Edits{}, &Error{Op: "find CDI device", Subject: names[len(names)-1].String(), Err: fmt.Errorf("with the devices before it: %w", err)}
	}
	return e, nil
}

// Edits are the changes that some devices want.
type Edits struct{ all cdispec.ContainerEdits }

// HostPaths are the device nodes that have another path on the host than in the container, by that in the container: in a user
// namespace, where nodes cannot be made, it is the host's node that must be shown.
func (e Edits) HostPaths() map[string]string {
	paths := map[string]string{}
	for _, n := range e.all.DeviceNodes {
		delete(paths, n.Path)
		if n.HostPath != "" && n.HostPath != n.Path {
			paths[n.Path] = n.HostPath
		}
	}
	return paths
}

func (e *Edits) add(o *cdispec.ContainerEdits) {
	a := &e.all
	a.Env = append(a.Env, o.Env...)
	a.DeviceNodes = append(a.DeviceNodes, o.DeviceNodes...)
	a.NetDevices = append(a.NetDevices, o.NetDevices...)
	a.Hooks = append(a.Hooks, o.Hooks...)
	a.Mounts = append(a.Mounts, o.Mounts...)
	if o.IntelRdt != nil {
		a.IntelRdt = o.IntelRdt
	}
	a.AdditionalGIDs = append(a.AdditionalGIDs, o.AdditionalGIDs...)
}
