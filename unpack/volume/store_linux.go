package volume

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Names in a store. Volumes have no names that begin with a full stop.
const (
	lockName      = ".lock"
	stagingPrefix = ".new-"
	removedPrefix = ".removed-"

	dataDir  = "data"
	usersDir = "users"
	infoFile = "volume.json"
)

// maxInfo bounds volume.json.
const maxInfo = 1 << 20

// Info is what is known of a volume, and its volume.json.
type Info struct {
	Name      string            `json:"name"`
	Created   time.Time         `json:"created"`
	Anonymous bool              `json:"anonymous,omitempty"` // it was made without a name, for one container
	Labels    map[string]string `json:"labels,omitempty"`
	// Used is set once a container has had it: from then on it is not filled.
	Used bool `json:"used,omitempty"`

	Path  string   `json:"-"` // absolute, of what is mounted
	Users []string `json:"-"` // containers that have it
}

// Options direct a store.
type Options struct {
	// Alive tells whether a container still exists, by its ID. One that does not has no volumes, whatever
	// is written there: it may have been killed. nil takes all for alive.
	Alive func(id string) bool
}

// Store is a directory of volumes. Several processes may use it at once.
type Store struct {
	dir   string
	alive func(string) bool
}

// Open gives the store at dir, which is made when the first volume is.
func Open(dir string, o Options) *Store {
	if o.Alive == nil {
		o.Alive = func(string) bool { return true }
	}
	return &Store{dir, o.Alive}
}

// Request asks for a volume of a container.
type Request struct {
	Name string // "" makes one without a name
	User string // ID of the container
	Seed Seed
}

// Use gives a volume to a container, made and filled if it is new. Errors are *Error.
func (s *Store) Use(ctx context.Context, r Request) (Info, error) {
	info := Info{Name: r.Name, Created: time.Now().UTC(), Anonymous: r.Name == "", Used: true}
	if info.Anonymous {
		info.Name = randomName()
	}
	fail := func(err error) (Info, error) { return Info{}, &Error{"use", r.Name, err} }
	if !ValidName(info.Name) {
		return fail(ErrName)
	}
	if got, err := s.take(info.Name, r.User); err == nil || !errors.Is(err, errUnused) && !errors.Is(err, ErrNotFound) {
		if err != nil {
			return fail(err)
		}
		return got, nil
	}
	stage, done, err := s.stage(info)
	if err != nil {
		return fail(err)
	}
	defer done()
	if err := Fill(ctx, filepath.Join(stage, dataDir), r.Seed); err != nil {
		return fail(err)
	}
	unlock, err := s.lock()
	if err != nil {
		return fail(err)
	}
	defer unlock()
	if err := s.publish(stage, info); err != nil {
		return fail(err)
	}
	got, err := s.takeLocked(info.Name, r.User)
	if err != nil {
		return fail(err)
	}
	return got, nil
}

// errUnused: no container has had the volume yet.
var errUnused = errors.New("unused")

// take adds a container to those that have a volume.
func (s *Store) take(name, user string) (Info, error) {
	if _, err := os.Lstat(filepath.Join(s.dir, name)); errors.Is(err, fs.ErrNotExist) {
		return Info{}, ErrNotFound // without making a directory for the lock
	}
	unlock, err := s.lock()
	if err != nil {
		return Info{}, err
	}
	defer unlock()
	return s.takeLocked(name, user)
}

func (s *Store) takeLocked(name, user string) (Info, error) {
	info, err := s.read(name)
	if err == nil && !info.Used {
		err = errUnused
	}
	if err != nil || user == "" {
		return info, err
	}
	users := filepath.Join(s.dir, name, usersDir)
	if err := os.Mkdir(users, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return info, err
	}
	return info, os.WriteFile(filepath.Join(users, user), nil, 0o600)
}

// stage makes the directory of a volume under a name that is none, locked as long as this process fills it.
func (s *Store) stage(info Info) (dir string, done func(), err error) {
	if err := os.MkdirAll(s.dir, 0o711); err != nil {
		return "", nil, err
	}
	unlock, err := s.lock() // or it is swept before it is locked
	if err != nil {
		return "", nil, err
	}
	defer unlock()
	dir = filepath.Join(s.dir, stagingPrefix+randomName()[:16])
	if err := os.Mkdir(dir, 0o711); err != nil {
		return "", nil, err
	}
	f, err := os.Open(dir)
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err == nil {
		err = writeInfo(dir, info)
	}
	done = func() {
		_ = os.RemoveAll(dir) // what was published is not there any more; prune removes what is left
		f.Close()
	}
	if err != nil {
		done()
		return "", nil, err
	}
	return dir, done, nil
}

// publish puts a filled volume in its place, or its data into a volume that is there, empty, and was never used. Who finds it
// used, or with files that someone put there, leaves it as it is.
func (s *Store) publish(stage string, info Info) error {
	dir := filepath.Join(s.dir, info.Name)
	err := unix.Renameat2(unix.AT_FDCWD, stage, unix.AT_FDCWD, dir, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) { // a file system without that flag: the lock keeps other processes out
		if _, err = os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			err = os.Rename(stage, dir)
		} else if err == nil {
			err = fs.ErrExist
		}
	}
	if err == nil || !errors.Is(err, fs.ErrExist) {
		return err
	}
	old, err := s.read(info.Name)
	if err != nil || old.Used {
		return err
	}
	// rename(2) replaces an empty directory alone.
	err = unix.Rename(filepath.Join(stage, dataDir), filepath.Join(dir, dataDir))
	if err != nil && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) {
		return err
	}
	old.Used = true
	return writeInfo(dir, old)
}

// Create makes an empty volume, which its first container fills. "" as a name makes one without. Errors are *Error.
func (s *Store) Create(name string, labels map[string]string) (Info, error) {
	info := Info{Name: name, Created: time.Now().UTC(), Labels: labels}
	if name == "" {
		info.Name, info.Anonymous = randomName(), true
	}
	fail := func(err error) (Info, error) { return Info{}, &Error{"create", info.Name, err} }
	if !ValidName(info.Name) {
		return fail(ErrName)
	}
	stage, done, err := s.stage(info)
	if err != nil {
		return fail(err)
	}
	defer done()
	if err := Fill(context.Background(), filepath.Join(stage, dataDir), Seed{}); err != nil {
		return fail(err)
	}
	unlock, err := s.lock()
	if err != nil {
		return fail(err)
	}
	defer unlock()
	dir := filepath.Join(s.dir, info.Name)
	if _, err := os.Lstat(dir); err == nil {
		return fail(ErrExist)
	}
	if err := os.Rename(stage, dir); err != nil {
		return fail(err)
	}
	info.Path = filepath.Join(dir, dataDir)
	return info, nil
}

// lock keeps other processes from publishing, taking and removing: what it guards is short.
func (s *Store) lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(s.dir, lockName), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX); err != unix.EINTR { //nolint:errorlint // an errno as it is
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// read gives what is known of a volume, and proves that it is one: no component of it is a link.
func (s *Store) read(name string) (Info, error) {
	var info Info
	dir, err := openDir(unix.AT_FDCWD, filepath.Join(s.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return info, ErrNotFound
	}
	if err != nil {
		return info, errors.Join(ErrDamaged, err)
	}
	defer dir.Close()
	data, err := openDir(int(dir.Fd()), dataDir)
	if err != nil {
		return info, errors.Join(ErrDamaged, err)
	}
	data.Close()
	fd, err := unix.Openat(int(dir.Fd()), infoFile, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return info, errors.Join(ErrDamaged, &os.PathError{Op: "open", Path: infoFile, Err: err})
	}
	f := os.NewFile(uintptr(fd), infoFile)
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxInfo))
	if err == nil {
		err = json.Unmarshal(raw, &info)
	}
	if err != nil {
		return info, errors.Join(ErrDamaged, err)
	}
	info.Name, info.Path = name, filepath.Join(s.dir, name, dataDir)
	entries, err := os.ReadDir(filepath.Join(s.dir, name, usersDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return info, errors.Join(ErrDamaged, err)
	}
	for _, e := range entries {
		if s.alive(e.Name()) {
			info.Users = append(info.Users, e.Name())
		}
	}
	return info, nil
}

func openDir(parent int, name string) (*os.File, error) {
	fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// writeInfo writes volume.json whole.
func writeInfo(dir string, info Info) error {
	raw, err := json.Marshal(info)
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, "."+infoFile)
	if err := os.WriteFile(tmp, raw, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, infoFile))
}

func randomName() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

func isVolume(name string) bool { return !strings.HasPrefix(name, ".") && ValidName(name) }
