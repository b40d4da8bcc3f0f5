package unpack

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/conformance/spec"
	"github.com/oci-pipeline/oci/image"
)

// applyStream joins a layer's stream with what makes files of it.
func applyStream(ctx context.Context, layer image.Layer, blobs Blobs, root *Root, form Form, o *Options) (LayerResult, error) {
	s, err := openStream(ctx, layer, blobs, o)
	if err != nil {
		return LayerResult{}, err
	}
	defer s.Close()
	a, err := newApplier(root, form, o)
	if err != nil {
		return LayerResult{}, err
	}
	defer a.close()
	if s.result.Mislabelled {
		a.warn.mislabelled(layer, s.result.Compression)
	}
	m := &members{stream: s, log: newSplitLog(o.Log, o.Limits.LogBytes), limits: &o.Limits, budget: o.Budget}
	if err := m.each(a.apply); err != nil {
		if m.local {
			return LayerResult{}, err
		}
		return LayerResult{}, s.explain(err)
	}
	if err := s.prove(); err != nil {
		return LayerResult{}, err
	}
	if err := a.finish(); err != nil {
		return LayerResult{}, err
	}
	if m.log != nil {
		if err := m.log.flush(); err != nil {
			return LayerResult{}, err
		}
	}
	res := a.result()
	res.Layer, res.Entries, res.Bytes = layer, m.entries, s.result.Bytes
	res.Compression, res.Mislabelled = s.result.Compression, s.result.Mislabelled
	return res, nil
}

// foreign marks a name that this layer made a hardlink to a file of a lower layer.
const foreign = -2

// applier makes files of the entries of one layer.
type applier struct {
	root   *Root
	form   Form
	o      *Options
	warn   *warnings
	owners owners
	umask  uint32
	buf    []byte

	// made holds the directory entries that this layer made or passed through, by directory inode
	// and name: that names them whatever symbolic links led there. The value is the position
	// in the tar-split log of the content that the name has, or -1, or foreign.
	made map[uint64]int32
	seed maphash.Seed

	// attrs are the attributes that directories get at the end, by inode: what is made in a
	// directory changes its mtime, and some modes would keep this process out.
	attrs map[uint64]*dirAttr

	links    pathTree[LowerLink]
	replaced []LowerLink     // those of them that a later entry replaced
	opaques  map[string]bool // Overlay form: directories that got the opaque mark
	pruned   map[uint64]bool // Merged form: directories, by inode, with nothing left of the layers below at any depth
	opaque   bool            // Overlay form: the root hides all that is below
	marked   map[string]bool // Overlay form: directories that got a whiteout
	reserved []string        // names in the root that go when the layer is done
	plinks   map[string]int  // AUFS's files with many names, by the first: descriptors of files with a reserved name
	devices  *deviceList
}

// newApplier prepares for one layer.
func newApplier(root *Root, form Form, o *Options) (*applier, error) {
	root.forget() // each directory must be seen once by each layer
	if form == Overlay {
		if names, err := list(root.top.fd); err != nil || len(names) > 0 {
			return nil, notZero(err, ErrNotEmpty)
		}
		if err := root.initialise(o); err != nil {
			return nil, err
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(root.top.fd, &st); err != nil {
		return nil, err
	}
	if err := root.probe(); err != nil {
		return nil, err
	}
	root.top.setgid = st.Mode&unix.S_ISGID != 0 // an earlier layer may have set it
	a := &applier{
		root: root, form: form, o: o,
		warn: newWarnings(o, o.Index), devices: root.knownDevices(), owners: newOwners(o), umask: processUmask(),
		buf:  make([]byte, 128<<10),
		made: map[uint64]int32{}, seed: maphash.MakeSeed(),
		attrs: map[uint64]*dirAttr{}, opaques: map[string]bool{}, pruned: map[uint64]bool{}, marked: map[string]bool{}, plinks: map[string]int{},
	}
	top := &dirAttr{mtime: st.Mtim, implicit: true}
	a.attrs[root.top.ino] = top
	return a, a.suspendACL(root.top.fd, top)
}

// close releases what the applier holds besides the root.
func (a *applier) close() {
	for _, fd := range a.plinks {
		unix.Close(fd)
	}
}

// apply makes one entry.
func (a *applier) apply(e *entry, p *payload) error {
	a.root.trim()
	if e.kind == skipped {
		if e.note != "" {
			a.warn.entry(e.path, e.note)
		}
		return nil
	}
	for _, note := range e.odd {
		a.warn.once(note, e.path, note)
	}
	role, name, err := classify(e.path)
	if err != nil {
		return err
	}
	dirPath, base := split(e.path)
	switch role {
	case hidden:
		return nil
	case plink:
		return wrap(e, a.keepPlink(e, p))
	case whiteout, opaque:
		if e.kind != regular && e.kind != hardlink { // AUFS makes hardlinks of its whiteouts
			return fail("apply", e.path, spec.LayerWhiteout, ErrWhiteout, "it is not a file")
		}
	}
	if e.path == "" {
		return wrap(e, a.applyRoot(e))
	}
	d, err := a.walk(dirPath, true)
	if err != nil {
		return wrap(e, err)
	}
	switch role {
	case whiteout:
		err = a.applyWhiteout(d, name)
	case opaque:
		err = a.applyOpaque(d)
	default:
		err = a.place(d, base, e, p)
	}
	return wrap(e, err)
}

// wrap names the entry in an error.
func wrap(e *entry, err error) error {
	var own *Error
	if err == nil || errors.As(err, &own) && own.Subject != "" {
		return err
	}
	wrapped := &Error{Op: "apply", Subject: e.path, Err: err}
	if owner := (*OwnerError)(nil); errors.As(err, &owner) {
		wrapped.Clause = spec.LayerAttributes
	}
	return wrapped
}

// key names a directory entry.
func (a *applier) key(ino uint64, name string) uint64 {
	var h maphash.Hash
	h.SetSeed(a.seed)
	var b [8]byte
	for i := range b {
		b[i] = byte(ino >> (8 * i))
	}
	h.Write(b[:])
	h.WriteString(name)
	return h.Sum64()
}

// ours tells whether this layer made a directory entry: in Overlay form there are no others.
func (a *applier) ours(d *dir, name string) bool {
	if a.form == Overlay {
		return true
	}
	_, ok := a.made[a.key(d.ino, name)]
	return ok
}

// place makes an ordinary entry. What is there already goes, except a directory under a directory.
func (a *applier) place(d *dir, name string, e *entry, p *payload) error {
	if e.kind == hardlink {
		return a.placeLink(d, name, e)
	}
	hiding := a.links.len > 0 && a.dropLinks(join(d.path, name), e.kind != directory)
	if e.kind == directory {
		return a.placeDir(d, name, e, hiding)
	}
	if e.isDevice() {
		return a.placeDevice(d, name, e, p)
	}
	return a.placeFile(d, name, e, p)
}

// placeFile makes what is neither a directory nor a hardlink, in place of what is there.
func (a *applier) placeFile(d *dir, name string, e *entry, p *payload) error {
	err := a.create(d, name, e, p)
	if errors.Is(err, unix.EEXIST) {
		if a.ours(d, name) {
			a.warn.once("duplicate", e.path, "the layer has a name twice; the last entry counts")
		}
		if _, err := a.clear(d, name); err != nil {
			return err
		}
		err = a.create(d, name, e, p)
	}
	return err
}

// create makes an entry that is no directory and no hardlink: EEXIST if the name is taken.
func (a *applier) create(d *dir, name string, e *entry, p *payload) error {
	switch {
	case e.kind == regular:
		return a.createFile(d, name, e, p)
	case e.isDevice():
		return a.createDevice(d, name, e)
	}
	format := e.kind.format()
	var err error
	if e.kind == symlink {
		err = unix.Symlinkat(e.link, d.fd, name)
	} else {
		err = unix.Mknodat(d.fd, name, format|e.mode, 0) // a FIFO
	}
	if err != nil {
		return err
	}
	a.mine(d, name, -1)
	return a.attributes(d, name, format, e)
}

// createFile makes a regular file: content first, since writing drops setuid bits and capabilities.
func (a *applier) createFile(d *dir, name string, e *entry, p *payload) error {
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(d.fd, name, flags, e.mode&0o777)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	pos := -1
	if join(d.path, name) == e.path {
		// Where a symbolic link led here, the name could lead elsewhere when the tar is rebuilt:
		// the log itself then keeps the content.
		pos = p.land()
	}
	a.mine(d, name, int32(pos))
	if err := a.write(fd, e, p); err != nil {
		return err
	}
	return a.fileAttributes(d, fd, e)
}

// clear removes name from d with all that is below it. In Overlay form it tells whether that hid
// what lower layers have there, as all but a directory does: a directory that takes the place must
// go on hiding it.
func (a *applier) clear(d *dir, name string) (hiding bool, err error) {
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false, err
	}
	if err := a.root.spelled(d, name); err != nil {
		return false, err
	}
	path := join(d.path, name)
	a.devices.drop(path)
	if a.form == Overlay {
		hiding = st.Mode&unix.S_IFMT != unix.S_IFDIR || a.opaques[path]
	}
	var self unix.Stat_t
	self.Ino = d.ino
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		a.root.forgetTree(path)
		delete(a.opaques, path)
	}
	if err := a.gone(d.fd, &self, name); err != nil {
		return false, err
	}
	err = a.root.remove(d.fd, name, a.gone)
	if err == unix.ENOENT {
		err = nil // gone moved it away
	}
	return hiding, err
}

// gone is called before a name is removed: what was noted about it must not be found again when
// its inode number is used anew, and content that the log relies on is kept.
func (a *applier) gone(parent int, dirStat *unix.Stat_t, name string) error {
	k := a.key(dirStat.Ino, name)
	pos, ok := a.made[k]
	delete(a.made, k)
	if a.root.folds != nil {
		delete(a.root.folds.known, spelling{dirStat.Ino, name})
	}
	if ok && pos >= 0 && a.o.Replaced != nil {
		return unix.Renameat(parent, name, a.o.Replaced.top.fd, fmt.Sprint(pos))
	}
	var st unix.Stat_t
	if err := unix.Fstatat(parent, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		if err == unix.ENOENT {
			err = nil
		}
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		delete(a.attrs, st.Ino)
		delete(a.pruned, st.Ino)
	}
	return nil
}

// processUmask reads the umask without changing it: it is shared by all threads.
func processUmask() uint32 {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0o777 // not known: each mode is then set explicitly
	}
	_, rest, ok := strings.Cut(string(raw), "\nUmask:\t")
	var mask uint32
	if !ok {
		return 0o777
	}
	if _, err := fmt.Sscanf(rest, "%o", &mask); err != nil {
		return 0o777
	}
	return mask
}
