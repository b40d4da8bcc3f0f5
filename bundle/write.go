package bundle

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Write puts s as config.json into dir, replacing one that is there. The directory is made when it
// does not exist (not its parents), with mode 0700: the root file system below it holds setuid
// programs of a stranger, which no other user of the host may reach (CVE-2021-41103). The file
// itself has mode 0644. The new file takes its name by rename, so that a reader sees all of the
// old one or all of the new one, and a link at that name is replaced, not followed.
//
// A config with a problem of level MUST is not written: the error wraps Problems.
func Write(dir string, s *specs.Spec) error {
	if problems := Validate(s).Must(); len(problems) > 0 {
		return &Error{Op: "write bundle", Subject: dir, Err: problems}
	}
	raw, err := Marshal(s)
	if err != nil {
		return &Error{Op: "write bundle", Subject: dir, Err: err}
	}
	return WriteText(dir, raw)
}

// WriteText is Write of the text of a config, which Validate has found right.
func WriteText(dir string, raw []byte) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return &Error{Op: "write bundle", Subject: dir, Err: err}
	}
	if err := Replace(filepath.Join(dir, ConfigName), raw); err != nil {
		return &Error{Op: "write bundle", Subject: dir, Err: err}
	}
	return nil
}

// Replace writes a file of a bundle so that a reader sees all of the old one or all of the new one. A link at that name is
// replaced, not followed.
func Replace(path string, raw []byte) error {
	temp := path + "." + rand.Text()
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return nil
}
