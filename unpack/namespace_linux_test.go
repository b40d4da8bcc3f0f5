package unpack_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// ownerFailure unpacks a file of another owner, which must fail.
func ownerFailure(t *testing.T, dir string, e tartest.Entry, o unpack.Options) *unpack.OwnerError {
	t.Helper()
	e.Name = "d/f"
	blobs := tartest.Blobs{}
	_, err := unpack.Unpack(t.Context(), []image.Layer{blobs.Layer(e)}, blobs, filepath.Join(dir, "refused"), o)
	var owner *unpack.OwnerError
	if !errors.As(err, &owner) || !errors.Is(err, unpack.ErrOwner) || !strings.HasPrefix(err.Error(), `apply "d/f" (layer 1 sha256:`) {
		t.Fatalf("%v", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "refused")); err == nil {
		t.Error("the target is still there")
	}
	return owner
}

func TestH33_kernel_child(t *testing.T) {
	base := tartest.ChildDir(t)
	for _, c := range []struct {
		e    tartest.Entry
		o    unpack.Options
		want string
	}{
		{e: tartest.Entry{UID: 5000, GID: 3}, want: "uid 5000: invalid argument: the user namespace has the uids 0:100000:1000 only; give its user a range in /etc/subuid"},
		{e: tartest.Entry{UID: 3, GID: 1000}, want: "gid 1000: invalid argument: the user namespace has the gids 0:100000:1000 only; give its user a range in /etc/subgid"},
		{e: tartest.Entry{Type: '5', GID: 1000}, want: "gid 1000: invalid argument"},
		{e: tartest.Entry{Type: '2', Link: "x", UID: 1000}, want: "uid 1000: invalid argument"},
		{
			e: tartest.Entry{UID: 7}, o: unpack.Options{UIDMap: []unpack.IDMap{{Size: 5}, {ContainerID: 5, HostID: 2000, Size: 10}}},
			want: "uid 7 (on disk 2002): invalid argument: the user namespace has the uids 0:100000:1000 only",
		},
		{
			e:    tartest.Entry{PAX: map[string]string{"SCHILY.acl.access": "user::rw-,user:1001:r--,group::r--,mask::rw-,other::r--"}},
			want: "uid 1001: invalid argument: the user namespace has",
		},
	} {
		if err := ownerFailure(t, base, c.e, c.o); !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v\nwant %s", err, c.want)
		}
	}
	// What there is, is given; a capability of another namespace is left out, one without a namespace becomes one of this.
	caps := func(rev, root string) map[string]string {
		raw, _ := hex.DecodeString("010000" + rev + "00200000000000000000000000000000" + root)
		return map[string]string{"SCHILY.xattr.security.capability": string(raw)}
	}
	blobs := tartest.Blobs{}
	target := filepath.Join(base, "r")
	layer := blobs.Layer(tartest.Entry{Name: "f", UID: 999, GID: 999}, tartest.Entry{Name: "c2", PAX: caps("02", "")},
		tartest.Entry{Name: "c3", PAX: caps("03", "05000000")}, tartest.Entry{Name: "other", PAX: caps("03", "00ff0000")})
	if _, err := unpack.Unpack(t.Context(), []image.Layer{layer}, blobs, target, unpack.Options{}); err != nil {
		t.Fatal(err)
	}
	nodes := tree(t, target)
	if n := nodes["f"]; n.UID != 999 || n.GID != 999 {
		t.Errorf("f: %s", n)
	}
	if nodes["c2"].Xattrs["security.capability"] == "" || nodes["other"].Xattrs["security.capability"] != "" {
		t.Errorf("capabilities: %s, %s", nodes["c2"], nodes["other"])
	}
	tartest.RunChild(t, "TestH33_nested_child", 0, tartest.Userns(0, 10))
}

func TestH33_nested_child(t *testing.T) {
	base := tartest.ChildDir(t)
	want := "uid 10: invalid argument: the user namespace has the uids 0:0:10 only"
	if err := ownerFailure(t, base, tartest.Entry{UID: 10}, unpack.Options{}); !strings.Contains(err.Error(), want) {
		t.Errorf("%v\nwant %s", err, want)
	}
	blobs := tartest.Blobs{}
	if _, err := unpack.Unpack(t.Context(), []image.Layer{blobs.Layer(tartest.Entry{Name: "f", UID: 9, GID: 9})}, blobs, filepath.Join(base, "r"), unpack.Options{}); err != nil {
		t.Errorf("ids that there are: %v", err)
	}
	if _, err := unpack.Unpack(t.Context(), ownedLayers(blobs), blobs, filepath.Join(base, "s"), unpack.Options{SingleID: true}); err != nil {
		t.Errorf("a single id: %v", err)
	}
}

// TestH33_kernel: what the kernel says to an id that the user namespace does not have, and to one in it,
// in a namespace and in one inside that.
func TestH33_kernel(t *testing.T) {
	needRoot(t)
	tartest.RunChild(t, "TestH33_kernel_child", 100000, tartest.Userns(100000, 1000))
}

func TestH33_no_privileges_child(t *testing.T) {
	base := tartest.ChildDir(t)
	blobs := tartest.Blobs{}
	_, err := unpack.Unpack(t.Context(), []image.Layer{blobs.Layer(file("f", ""))}, blobs, filepath.Join(base, "r"), unpack.Options{})
	var owner *unpack.OwnerError
	if !errors.As(err, &owner) || !errors.Is(err, unix.EPERM) || owner.Map != nil || !strings.Contains(err.Error(), "uid 0: operation not permitted: this process may give files to nobody else; run it as root, or squash owners to a single id") {
		t.Errorf("%v", err)
	}
	target := filepath.Join(base, "s")
	if _, err := unpack.Unpack(t.Context(), ownedLayers(blobs), blobs, target, unpack.Options{SingleID: true}); err != nil {
		t.Fatal(err)
	}
	nodes := tree(t, target)
	for path, want := range map[string]string{"d/f": "4755 08e80710ffffffff0f", "d/g": "0444 08ffffffff0f102a", "d": "0755 08211021", "d/root": "0644 "} {
		n := nodes[path]
		if got := fmt.Sprintf("%04o %x", n.Mode, n.Xattrs[unpack.OwnerXattr]); got != want || int(n.UID) != os.Getuid() {
			t.Errorf("%s is %s of %d, want %s", path, got, n.UID, want)
		}
	}
}

// TestH33_no_privileges: a user without any, not even a user namespace, can have a single id.
func TestH33_no_privileges(t *testing.T) {
	needRoot(t)
	tartest.RunChild(t, "TestH33_no_privileges_child", 65534, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}})
}
