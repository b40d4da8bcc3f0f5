package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Detect gives the layout of this machine. Where only cgroup2 is mounted, at the usual place, that
// is one system call.
func Detect() (Layout, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(mountRoot, &fs); err == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC {
		return Layout{unified: hierarchy{mount: mountRoot}}, nil
	}
	mounts, err := readFile("/proc/self/mountinfo", maxText)
	if err != nil {
		return Layout{}, &Error{Op: "find cgroups", Subject: "/proc/self/mountinfo", Err: err}
	}
	groups, err := readFile("/proc/self/cgroup", maxText)
	if err != nil {
		return Layout{}, &Error{Op: "find cgroups", Subject: "/proc/self/cgroup", Err: err}
	}
	l, err := Parse(mounts, groups)
	if err == nil && len(l.v1) > 0 && l.unified.mount != "" {
		// Another mount may cover it, and then what lies at the mount point is no cgroup.
		if err := unix.Statfs(l.unified.mount, &fs); err != nil || fs.Type != unix.CGROUP2_SUPER_MAGIC {
			l.unified = hierarchy{}
		}
	}
	return l, err
}

type manager struct {
	unified group // without dir if there is none
	v1      []group
	options Options

	fresh  bool   // the group was made by this Manager, so nothing is set in it yet
	denied error  // why a group is missing that could not be created
	pids   string // what Apply wrote to pids.max
}

// New gives the Manager for a container's cgroupsPath, "" meaning one by its ID. It makes nothing.
func New(l Layout, cgroupsPath, id string, o Options) (Manager, error) {
	relative := cgroupsPath == "" || cgroupsPath[0] != '/'
	if l.unified.mount != "" && l.unified.own == "" && relative { // Detect did not look
		groups, err := readFile("/proc/self/cgroup", maxText)
		if err != nil {
			return nil, &Error{Op: "place cgroup", Subject: "/proc/self/cgroup", Err: err}
		}
		for line := range strings.Lines(groups) {
			if name, ok := strings.CutPrefix(line, "0::"); ok {
				l.unified.own = own(l.unified.mount, "/", strings.TrimSuffix(name, "\n"))
			}
		}
	}
	if l.unified.own == "" {
		l.unified.own = l.unified.mount
	}
	unified, v1, err := place(l, cgroupsPath, id)
	if err != nil {
		return nil, err
	}
	return &manager{unified: group{hierarchy: l.unified, dir: unified}, v1: v1, options: o}, nil
}

// Load gives the Manager for the paths of a group that exists: those of Paths, of a state file, or
// what systemd chose.
func Load(paths map[string]string) Manager {
	m := &manager{unified: group{dir: paths[""]}}
	for _, controller := range sorted(paths) {
		dir := paths[controller]
		if controller == "" || dir == "" {
			continue
		}
		i := slices.IndexFunc(m.v1, func(g group) bool { return g.dir == dir })
		if i < 0 {
			m.v1 = append(m.v1, group{dir: dir})
			i = len(m.v1) - 1
		}
		m.v1[i].controllers = append(m.v1[i].controllers, controller)
	}
	return m
}

// Of gives the Manager for the groups that a process is in now. An exec is joined to them when the
// container's own group takes no process, because the container has made groups with controllers below.
func Of(pid int) (Manager, error) {
	file := "/proc/" + strconv.Itoa(pid) + "/cgroup"
	groups, err := readFile(file, maxText)
	if err != nil {
		return nil, &Error{Op: "find cgroups", Subject: file, Err: err}
	}
	mounts, err := readFile("/proc/self/mountinfo", maxText)
	if err != nil {
		return nil, &Error{Op: "find cgroups", Subject: "/proc/self/mountinfo", Err: err}
	}
	l, err := Parse(mounts, groups)
	if err != nil {
		return nil, err
	}
	paths := map[string]string{"": l.unified.own}
	for _, h := range l.v1 {
		for _, c := range h.controllers {
			paths[c] = h.own
		}
	}
	return Load(paths), nil
}

// located completes a Manager made by Load with what is known of the machine.
func (m *manager) located() error {
	if m.unified.mount != "" || len(m.v1) > 0 && m.v1[0].mount != "" {
		return nil
	}
	l, err := Detect()
	if err != nil {
		return err
	}
	if m.unified.dir != "" && below(m.unified.dir, l.unified.mount) {
		m.unified.hierarchy = l.unified
	}
	for i := range m.v1 {
		for _, h := range l.v1 {
			if slices.Contains(h.controllers, m.v1[i].controllers[0]) && below(m.v1[i].dir, h.mount) {
				m.v1[i].hierarchy = h
			}
		}
	}
	return nil
}

// groups are all groups that the Manager has.
func (m *manager) groups() []group {
	if m.unified.dir == "" {
		return m.v1
	}
	return append(m.v1[:len(m.v1):len(m.v1)], m.unified)
}

// find gives the directory of a v1 controller, or "".
func (m *manager) find(controller string) string {
	for _, g := range m.v1 {
		if g.has(controller) {
			return g.dir
		}
	}
	return ""
}

func (m *manager) Paths() map[string]string {
	p := make(map[string]string)
	if m.unified.dir != "" {
		p[""] = m.unified.dir
	}
	for _, g := range m.v1 {
		for _, c := range g.controllers {
			p[c] = g.dir
		}
	}
	return p
}

func (m *manager) DirFD() (*os.File, error) {
	if m.unified.dir == "" {
		return nil, nil
	}
	fd, err := open(m.unified.dir, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return nil, &Error{Op: "open cgroup", Subject: m.unified.dir, Err: err}
	}
	return os.NewFile(uintptr(fd), m.unified.dir), nil
}

func (m *manager) Create(ctx context.Context) error {
	var made []string
	undo := func() {
		for _, dir := range made {
			_ = rmdir(dir)
		}
	}
	keep := func(g group) (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		created, err := m.create(g)
		if created {
			made = append(made, g.dir)
		}
		if err != nil && m.options.IgnorePermission && unpermitted(err) {
			m.denied = err
			return false, nil
		}
		return err == nil, err
	}
	v1 := m.v1[:0:0]
	for _, g := range m.v1 {
		ok, err := keep(g)
		if err != nil {
			undo()
			return err
		}
		if ok {
			v1 = append(v1, g)
		}
	}
	if m.unified.dir != "" {
		ok, err := keep(m.unified)
		if err != nil {
			undo()
			return err
		}
		if !ok {
			m.unified.dir = ""
		}
	}
	m.v1 = v1
	m.fresh = len(made) == len(m.groups())
	return nil
}

func unpermitted(err error) bool {
	return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EROFS)
}

// create makes one group. Almost always that is one mkdir.
func (m *manager) create(g group) (created bool, err error) {
	fail := func(err error) error { return &Error{Op: "create cgroup", Subject: g.dir, Err: err} }
	err = mkdir(g.dir)
	if err == unix.ENOENT {
		if err = m.createParents(g); err == nil {
			err = mkdir(g.dir)
		}
	}
	switch err {
	case nil:
	case unix.EEXIST:
		if m.options.IgnorePermission && unix.Access(g.dir, unix.W_OK) != nil {
			return false, fail(unix.EACCES) // another user's, of the same name
		}
		if err := m.reusable(g); err != nil {
			return false, fail(err)
		}
	default:
		return false, fail(err)
	}
	if g.has("cpuset") {
		if e := fillCpuset(g.dir, g.mount, err == nil); e != nil {
			return err == nil, fail(e)
		}
	}
	return err == nil, nil
}

// reusable says whether a group that exists can be a new container's.
func (m *manager) reusable(g group) error {
	pids, err := pidsBelow(g.dir)
	if err != nil {
		return err
	}
	if len(pids) > 0 {
		return fmt.Errorf("%w: %d process(es) found", ErrNotEmpty, len(pids))
	}
	frozen := false
	switch {
	case g.controllers == nil:
		frozen, err = frozen2(g.dir)
	case g.has("freezer"):
		frozen, err = frozen1(g.dir)
	}
	if err != nil {
		return err
	}
	if frozen { // a process that joins would stop, and the start would never end
		return ErrFrozen
	}
	return nil
}

// createParents makes the directories above a group, from the mount point down.
func (m *manager) createParents(g group) error {
	top := g.mount
	if top == "" || !below(g.dir, top) {
		return unix.ENOENT
	}
	var above []string
	for dir := path.Dir(g.dir); dir != top && dir != "/"; dir = path.Dir(dir) {
		above = append(above, dir)
	}
	for i := len(above) - 1; i >= 0; i-- {
		if err := mkdir(above[i]); err != nil && err != unix.EEXIST {
			return err
		}
	}
	if g.controllers == nil && len(m.v1) == 0 {
		// A new parent has no controllers: what engines read of its containers would be missing.
		m.enable("")
	}
	return nil
}

// enable turns on the controllers of v2 for the group, in all groups above it: all there are, or
// the one that is named. What a group refuses is left: it is seen when a limit cannot be set.
func (m *manager) enable(controller string) {
	if m.unified.mount == "" || !below(m.unified.dir, m.unified.mount) {
		return
	}
	var above []string
	for dir := path.Dir(m.unified.dir); ; dir = path.Dir(dir) {
		above = append(above, dir)
		if dir == m.unified.mount || dir == "/" {
			break
		}
	}
	for i := len(above) - 1; i >= 0; i-- {
		wanted := []string{controller}
		if controller == "" {
			all, err := readValue(above[i] + "/cgroup.controllers")
			if err != nil {
				return
			}
			wanted = strings.Fields(all)
		}
		have, err := readValue(above[i] + "/cgroup.subtree_control")
		if err != nil {
			return
		}
		on := strings.Fields(have)
		wanted = slices.DeleteFunc(wanted, func(c string) bool { return slices.Contains(on, c) })
		if len(wanted) == 0 {
			continue
		}
		file := above[i] + "/cgroup.subtree_control"
		if writeFile(file, "+"+strings.Join(wanted, " +")) == nil {
			continue
		}
		for _, c := range wanted { // all or nothing: one that cannot be must not keep the others off
			_ = writeFile(file, "+"+c)
		}
	}
}

// fillCpuset gives a group of v1 the processors and memory nodes of the one above, where it has
// none: without both it takes no process. A new group has none; parents made by others may be empty too.
func fillCpuset(dir, mount string, isNew bool) error {
	if dir == mount || !below(dir, mount) {
		return nil
	}
	for _, name := range [...]string{"/cpuset.cpus", "/cpuset.mems"} {
		if !isNew {
			have, err := readShort(dir + name)
			if err != nil {
				return err
			}
			if have != "" {
				continue
			}
		}
		parent := path.Dir(dir)
		value, err := readShort(parent + name)
		if err != nil {
			return err
		}
		if value == "" {
			if err := fillCpuset(parent, mount, false); err != nil {
				return err
			}
			if value, err = readShort(parent + name); err != nil {
				return err
			}
		}
		if err := writeFile(dir+name, value); err != nil {
			return err
		}
	}
	return nil
}

// Chown implements Manager. The files are those of /sys/kernel/cgroup/delegate; a file that a
// kernel lacks is passed over.
func (m *manager) Chown(uid int) error {
	if m.unified.dir == "" || len(m.v1) > 0 {
		return nil // on v1 it would not be safe, cgroups(7)
	}
	list, err := readValue("/sys/kernel/cgroup/delegate")
	if err != nil {
		list = "cgroup.procs cgroup.subtree_control cgroup.threads"
	}
	for _, name := range append(strings.Fields(list), ".") {
		if strings.Contains(name, "/") {
			continue
		}
		if err := unix.Lchown(m.unified.dir+"/"+name, uid, -1); err != nil && err != unix.ENOENT {
			return &Error{Op: "give cgroup to the container", Subject: m.unified.dir + "/" + name, Err: err}
		}
	}
	return nil
}
