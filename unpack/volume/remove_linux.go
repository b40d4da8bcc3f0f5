package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// List gives all volumes in the order of their names. One that is damaged is not there, and is in the error.
func (s *Store) List() ([]Info, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var list []Info
	var errs []error
	for _, e := range entries {
		if !isVolume(e.Name()) {
			continue
		}
		info, err := s.read(e.Name())
		switch {
		case err == nil:
			list = append(list, info)
		case !errors.Is(err, ErrNotFound): // else it was removed just now
			errs = append(errs, &Error{"list", e.Name(), err})
		}
	}
	return list, errors.Join(append(errs, err)...)
}

// Inspect gives one volume; ErrNotFound if there is none. Errors are *Error.
func (s *Store) Inspect(name string) (Info, error) {
	if !ValidName(name) {
		return Info{}, &Error{"inspect", fmt.Sprintf("%q", name), ErrName}
	}
	info, err := s.read(name)
	if err != nil {
		return info, &Error{"inspect", name, err}
	}
	return info, nil
}

// Remove removes a volume with all in it; ErrInUse if a container has it. Errors are *Error.
func (s *Store) Remove(name string) error {
	if !ValidName(name) {
		return &Error{"remove", fmt.Sprintf("%q", name), ErrName}
	}
	if _, err := os.Lstat(filepath.Join(s.dir, name)); errors.Is(err, fs.ErrNotExist) {
		return &Error{"remove", name, ErrNotFound}
	}
	err := s.discard(name, func(info Info) error {
		if len(info.Users) > 0 {
			return fmt.Errorf("%w by container %s", ErrInUse, strings.Join(info.Users, ", "))
		}
		return nil
	})
	if err != nil {
		return &Error{"remove", name, err}
	}
	return nil
}

// Release takes a container from those that have the volumes, and removes those that were made for it alone, if anonymous
// is set. What is gone already is no error.
func (s *Store) Release(user string, names []string, anonymous bool) error {
	var errs []error
	for _, name := range names {
		if !ValidName(name) {
			continue
		}
		if err := s.release(user, name, anonymous); err != nil && !errors.Is(err, ErrNotFound) {
			errs = append(errs, &Error{"release", name, err})
		}
	}
	return errors.Join(errs...)
}

var errKeep = errors.New("keep it")

func (s *Store) release(user, name string, anonymous bool) error {
	if _, err := os.Lstat(filepath.Join(s.dir, name)); err != nil {
		return ErrNotFound
	}
	err := s.discard(name, func(info Info) error {
		if err := os.Remove(filepath.Join(s.dir, name, usersDir, user)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, other := range info.Users {
			if other != user {
				return errKeep
			}
		}
		if !anonymous || !info.Anonymous {
			return errKeep
		}
		return nil
	})
	if errors.Is(err, errKeep) {
		return nil
	}
	return err
}

// discard removes a volume if may does not object. It goes under another name first, so that no half of one is seen.
func (s *Store) discard(name string, may func(Info) error) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	info, err := s.read(name)
	if err == nil || errors.Is(err, ErrDamaged) { // a damaged one can be removed too
		err = may(info)
	}
	gone := filepath.Join(s.dir, removedPrefix+randomName()[:16])
	if err == nil {
		err = os.Rename(filepath.Join(s.dir, name), gone)
	}
	unlock()
	if err != nil {
		return err
	}
	return os.RemoveAll(gone)
}

// Prune removes the volumes that no container has: those without a name, or with all the others too. It gives their names. Left of
// processes that died is removed in any case.
func (s *Store) Prune(all bool) ([]string, error) {
	list, err := s.List()
	errs := []error{err, s.Sweep()}
	var gone []string
	for _, info := range list {
		if len(info.Users) > 0 || !info.Anonymous && !all {
			continue
		}
		switch err := s.Remove(info.Name); {
		case err == nil:
			gone = append(gone, info.Name)
		case !errors.Is(err, ErrInUse) && !errors.Is(err, ErrNotFound):
			errs = append(errs, err)
		}
	}
	return gone, errors.Join(errs...)
}

// Sweep removes what processes left that died: staging directories that nobody has locked, and what was being removed.
func (s *Store) Sweep() error {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	unlock, errLock := s.lock()
	if errLock != nil {
		return errors.Join(err, errLock)
	}
	defer unlock()
	errs := []error{err}
	for _, e := range entries {
		path := filepath.Join(s.dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), removedPrefix):
			errs = append(errs, os.RemoveAll(path))
		case strings.HasPrefix(e.Name(), stagingPrefix):
			errs = append(errs, removeAbandoned(path))
		}
	}
	return errors.Join(errs...)
}

func removeAbandoned(dir string) error {
	f, err := openDir(unix.AT_FDCWD, dir)
	if err != nil {
		return nil // it has just been published, or is none
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil // someone fills it
	}
	return os.RemoveAll(dir)
}
