package bundle

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLoadHostileFiles: what may lie at config.json besides a config.
func TestLoadHostileFiles(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(path string) error
		want error
	}{
		{"missing", func(string) error { return nil }, ErrNoConfig},
		{"link", func(p string) error {
			return errors.Join(os.WriteFile(p+".real", []byte(good), 0o644), os.Symlink(filepath.Base(p)+".real", p))
		}, ErrNotRegular},
		{"fifo", func(p string) error { return unix.Mkfifo(p, 0o644) }, ErrNotRegular},
		{"directory", func(p string) error { return os.Mkdir(p, 0o755) }, ErrNotRegular},
		{"1 GiB", func(p string) error {
			return errors.Join(os.WriteFile(p, []byte(good), 0o644), os.Truncate(p, 1<<30))
		}, ErrTooLarge},
		{"8 MiB of zeros", func(p string) error {
			return errors.Join(os.WriteFile(p, []byte(good), 0o644), os.Truncate(p, MaxConfigSize))
		}, ErrSyntax},
		{"deep", func(p string) error {
			return os.WriteFile(p, []byte(`{"x":`+strings.Repeat(`{"a":`, 1<<20)), 0o644)
		}, ErrTooDeep},
		{"duplicate", func(p string) error {
			return os.WriteFile(p, []byte(strings.Replace(good, `{`, `{"root":{"path":"/"},`, 1)), 0o644)
		}, ErrDuplicateKey},
		{"wrong type", func(p string) error {
			return os.WriteFile(p, []byte(strings.Replace(good, `["sh"]`, `"sh"`, 1)), 0o644)
		}, ErrType},
		{"empty", func(p string) error { return os.WriteFile(p, nil, 0o644) }, ErrType},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := errors.Join(os.Mkdir(dir+"/rootfs", 0o755), tt.make(filepath.Join(dir, ConfigName))); err != nil {
				t.Fatal(err)
			}
			_, err := Load(dir)
			var e *Error
			if !errors.Is(err, tt.want) || !errors.As(err, &e) || e.Subject != dir {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}
