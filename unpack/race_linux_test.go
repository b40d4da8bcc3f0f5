package unpack_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// racer is a process that changes the target while it is unpacked. It names all by descriptors: it must
// not be led outside itself.
type racer struct {
	name  string
	round func(c *tartest.Canary, top int) // top is the target
	end   func(c *tartest.Canary)
	links bool // it gives files that are outside other names itself
}

// TestH10_renamer unpacks, in both modes and both forms, against each racer: nothing outside changes.
func TestH10_renamer(t *testing.T) {
	needRoot(t)
	for _, r := range []racer{
		{name: "exchanges directories with links", round: renameRound},
		{name: "replaces directories and files by links", round: symlinkRound},
		{name: "replaces files by hardlinks", round: hardlinkRound, links: true},
		{name: "moves directories away", round: moveRound},
	} {
		t.Run(r.name, func(t *testing.T) { modes(t, r.run) })
	}
}

// TestH10_mounter is the same with one that mounts, in a process with mounts of its own.
func TestH10_mounter(t *testing.T) {
	needRoot(t)
	if os.Getenv("OCI_TEST_MOUNTER") != "" {
		modes(t, racer{name: "mounts", round: mountRound, end: unmountAll}.run)
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestH10_mounter$", "-test.v")
	cmd.Env = append(os.Environ(), "OCI_TEST_MOUNTER=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

func (r racer) run(t *testing.T, openat2 bool) {
	blobs := tartest.Blobs{}
	lower := blobs.Layer(dir("d"), file("d/a/old", "x"), file("d/b/old", "x"))
	upper := blobs.Layer(raceEntries()...)
	for _, form := range []unpack.Form{unpack.Merged, unpack.Overlay} {
		c := tartest.NewCanary(t)
		var wg sync.WaitGroup
		stop := make(chan struct{})
		wg.Go(func() { r.loop(c, stop) })
		var failed int
		for range 6 {
			layers := []image.Layer{lower, upper}
			if form == unpack.Overlay {
				layers = layers[1:]
			}
			if raceOnce(layers, blobs, c.Target, form, openat2) != nil {
				failed++
			}
			if root, err := unpack.OpenRoot(c.Target); err == nil {
				_ = root.RemoveContents() // likewise raced
				root.Close()
				os.Remove(c.Target)
			}
		}
		close(stop)
		wg.Wait()
		if r.end != nil {
			r.end(c)
		}
		if r.links {
			c.CheckButLinks(t)
		} else {
			c.Check(t)
		}
		t.Logf("form %v: %d of 6 unpackings noticed", form, failed)
	}
}

// raceEntries makes all that can be made, again and again, in three directories.
func raceEntries() entries {
	var list entries
	for i := range 120 {
		sub := "d/" + string(rune('a'+i%3))
		list = append(
			list, dir("d"), file(sub+"/secret", "x"), tartest.Entry{Name: sub, Type: '5', Mode: 0o777, UID: 5},
			tartest.Entry{Name: sub + "/own", Mode: 0o4777, UID: 1, GID: 2, Mtime: 5, PAX: map[string]string{"SCHILY.xattr.user.a": "b"}},
			tartest.Entry{Name: sub + "/l", Type: '2', Link: "/out", UID: 6, Mtime: 7}, tartest.Entry{Name: sub + "/p", Type: '6', Mode: 0o777, UID: 7},
			tartest.Entry{Name: sub + "/n", Type: '3', Mode: 0o666, UID: 7, Major: 1, Minor: 3},
			link(sub+"/h", sub+"/secret"), gone(sub+"/old"), file(sub+"/i/m/p", "x"), sym("d/l", "/out"), file("d/l", "x"),
		)
		if i%10 == 9 {
			list = append(list, clear(sub), file(sub, "now a file"))
		}
	}
	return list
}

func raceOnce(layers []image.Layer, blobs tartest.Blobs, target string, form unpack.Form, openat2 bool) error {
	if err := os.Mkdir(target, 0o755); err != nil {
		return err
	}
	root, err := unpack.OpenRoot(target)
	if err != nil {
		return err
	}
	defer root.Close()
	if !openat2 {
		root.WithoutOpenat2()
	}
	for _, l := range layers {
		if _, err := unpack.ApplyLayer(context.Background(), l, blobs, root, form, unpack.Options{}); err != nil {
			return err
		}
	}
	return nil
}

func (r racer) loop(c *tartest.Canary, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		if top, err := unix.Open(c.Target, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0); err == nil {
			r.round(c, top)
			unix.Close(top)
		}
	}
}

// within calls f with the target's directory d, and with those that are in it.
func within(top int, f func(d int)) {
	d, err := unix.Openat(top, "d", unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return
	}
	defer unix.Close(d)
	f(d)
	for _, name := range []string{"a", "b"} {
		if sub, err := unix.Openat(d, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0); err == nil {
			f(sub)
			unix.Close(sub)
		}
	}
}

// raced are names that raceEntries makes.
func raced() []string {
	return []string{"a", "b", "i", "m", "secret", "own", "l", "p", "n", "h", "old"}
}

// renameRound exchanges names with links to the outside for a moment.
func renameRound(c *tartest.Canary, top int) {
	exchange(top, "d", filepath.Join(c.Dir, "out"))
	within(top, func(d int) {
		for _, name := range raced() {
			exchange(d, name, filepath.Join(c.Dir, "out"))
		}
	})
}

func exchange(dirfd int, name, target string) {
	evil := name + ".evil"
	_ = unix.Symlinkat(target, dirfd, evil)
	_ = unix.Renameat2(dirfd, name, dirfd, evil, unix.RENAME_EXCHANGE)
	_ = unix.Renameat2(dirfd, name, dirfd, evil, unix.RENAME_EXCHANGE)
	_ = unix.Unlinkat(dirfd, evil, 0)
}

// symlinkRound puts links to what is outside in the place of what was made, and leaves them there.
func symlinkRound(c *tartest.Canary, top int) {
	within(top, func(d int) {
		for _, name := range raced() {
			target := filepath.Join(c.Dir, "out", map[bool]string{true: "d", false: "secret"}[len(name) == 1])
			_ = unix.Unlinkat(d, name, 0)
			_ = unix.Renameat(d, name, top, "moved")
			_ = unix.Symlinkat(target, d, name)
		}
	})
}

// hardlinkRound puts second names of what is outside there: what is then done by name is done to it.
func hardlinkRound(c *tartest.Canary, top int) {
	for name, of := range map[string]string{"secret": "secret", "own": "suid", "l": "link", "p": "fifo", "n": "null", "h": "secret", "old": "secret"} {
		within(top, func(d int) {
			_ = unix.Linkat(unix.AT_FDCWD, filepath.Join(c.Dir, "out", of), d, name+".evil", 0)
			_ = unix.Renameat(d, name+".evil", d, name)
		})
	}
}

// moveRound moves directories to other places of the target, where ".." leads elsewhere.
func moveRound(_ *tartest.Canary, top int) {
	within(top, func(d int) {
		for _, name := range raced() {
			_ = unix.Renameat2(d, name, top, "away", unix.RENAME_NOREPLACE)
			_ = unix.Renameat2(top, "away", d, name, unix.RENAME_NOREPLACE)
			_ = unix.Renameat2(top, "d", d, "under", unix.RENAME_NOREPLACE)
		}
	})
}

// mountRound mounts what is outside, which is on the same file system, over directories and files.
func mountRound(c *tartest.Canary, top int) {
	within(top, func(d int) {
		for _, name := range []string{"a", "b", "i", "secret", "own", "p"} {
			of := filepath.Join(c.Dir, "out")
			if len(name) > 1 {
				of = filepath.Join(of, "suid")
			}
			at := fmt.Sprintf("/proc/self/fd/%d/%s", d, name)
			if unix.Mount(of, at, "", unix.MS_BIND, "") == nil {
				_ = unix.Unmount(at, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
			}
		}
	})
}

// unmountAll takes away what mountRound could not: someone else had moved it.
func unmountAll(c *tartest.Canary) {
	for range 100 {
		raw, err := os.ReadFile("/proc/self/mounts")
		if err != nil || !strings.Contains(string(raw), " "+c.Dir) {
			return
		}
		for line := range strings.Lines(string(raw)) {
			if at := strings.Fields(line)[1]; strings.HasPrefix(at, c.Dir) {
				_ = unix.Unmount(at, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
			}
		}
	}
}
