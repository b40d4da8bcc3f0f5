package unpack_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oci-pipeline/oci/image"
	"github.com/oci-pipeline/oci/unpack"
	"github.com/oci-pipeline/oci/unpack/tartest"
)

// TestH33_owner_xattr: the encoding is that of protocol buffers, as umoci writes it.
func TestH33_owner_xattr(t *testing.T) {
	for _, c := range []struct {
		uid, gid uint32
		want     string // in hexadecimal
	}{
		{0, 0, ""},
		{33, 33, "08211021"},
		{1000, 0, "08e80710ffffffff0f"},
		{0, 42, "08ffffffff0f102a"},
		{4294967294, 65536, "08feffffff0f10808004"},
	} {
		got := unpack.EncodeOwner(c.uid, c.gid)
		if hex.EncodeToString([]byte(got)) != c.want {
			t.Errorf("%d:%d is %x, want %s", c.uid, c.gid, got, c.want)
		}
		if uid, gid, err := unpack.DecodeOwner(got); err != nil || uid != c.uid || gid != c.gid {
			t.Errorf("%x is read as %d:%d, %v", got, uid, gid, err)
		}
	}
	for value, want := range map[string]string{
		"1021":               "0:33",  // a field is absent
		"0801081008ff011002": "255:2", // the last one of a field counts
		"0805120311223319aaaaaaaaaaaaaaaa25bbbbbbbb1806": "5:0", // fields that are not known; the wire type counts
		"08":                       "error", // cut short
		"08ffffffff1f":             "error", // 33 bits
		"0bff":                     "error", // a group, which proto3 has not
		"0a05aa":                   "error", // a length past the end
		"ffffffffffffffffffffff01": "error", // no varint
		"09aabb":                   "error", // a fixed64 cut short
	} {
		raw, err := hex.DecodeString(value)
		if err != nil {
			t.Fatal(err)
		}
		uid, gid, err := unpack.DecodeOwner(string(raw))
		if got := fmt.Sprintf("%d:%d", uid, gid); err == nil && got != want || (err != nil) != (want == "error") {
			t.Errorf("%s is read as %s, %v, want %s", value, got, err, want)
		}
	}
}

// FuzzDecodeOwner: whatever the value, an owner or an error; and what is encoded again is read as the same.
func FuzzDecodeOwner(f *testing.F) {
	f.Add("\x08\x21\x10\x21")
	f.Add("\x08\xff\xff\xff\xff\x0f\x10\x2a")
	f.Add("\x12\x03abc")
	f.Fuzz(func(t *testing.T, value string) {
		uid, gid, err := unpack.DecodeOwner(value)
		if err != nil {
			return
		}
		if u, g, err := unpack.DecodeOwner(unpack.EncodeOwner(uid, gid)); err != nil || u != uid || g != gid {
			t.Errorf("%x is %d:%d, and then %d:%d, %v", value, uid, gid, u, g, err)
		}
	})
}

// ownedLayers have every type of entry with owners, and two that claim another owner by an xattr.
func ownedLayers(blobs tartest.Blobs) []image.Layer {
	lie := map[string]string{"SCHILY.xattr.user.rootlesscontainers": "\x08\x00\x10\x00", "SCHILY.xattr.user.other": "kept"}
	return []image.Layer{
		blobs.Layer(
			tartest.Entry{Name: "d/", Type: '5', UID: 33, GID: 33}, tartest.Entry{Name: "d/f", Body: "x", UID: 1000, Mode: 0o4755},
			tartest.Entry{Name: "d/g", GID: 42, Mode: 0o444}, file("d/root", "r"), tartest.Entry{Name: "l", Type: '2', Link: "d/f", UID: 7, GID: 7},
			tartest.Entry{Name: "lies", UID: 5, GID: 6, PAX: lie}, tartest.Entry{Name: "liar", PAX: lie}, link("d/h", "d/f"),
			tartest.Entry{Name: "again/", Type: '5', UID: 9, GID: 9}, file("implied/f", ""),
		),
		blobs.Layer(tartest.Entry{Name: "./", Type: '5', UID: 3, GID: 0, Mode: 0o755}, tartest.Entry{Name: "again/", Type: '5'}, file("d/new", "n")),
	}
}

// TestH33_single_id: everything belongs to this process; the owner that the image says is in the xattr, and
// an xattr of the image cannot say another.
func TestH33_single_id(t *testing.T) {
	needRoot(t)
	blobs := tartest.Blobs{}
	target := filepath.Join(t.TempDir(), "r")
	if _, err := unpack.Unpack(t.Context(), ownedLayers(blobs), blobs, target, unpack.Options{SingleID: true}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		".": "080310ffffffff0f", "d": "08211021", "d/f": "08e80710ffffffff0f", "d/g": "08ffffffff0f102a", "d/h": "08e80710ffffffff0f", "d/root": "",
		"l": "", "lies": "08051006", "liar": "", "again": "", "implied": "", "implied/f": "", "d/new": "",
	}
	nodes := tree(t, target)
	for path, n := range nodes {
		if n.UID != 0 || n.GID != 0 {
			t.Errorf("%s is owned by %d:%d", path, n.UID, n.GID)
		}
		if got := hex.EncodeToString([]byte(n.Xattrs[unpack.OwnerXattr])); got != want[path] {
			t.Errorf("%s has the owner %s, want %s", path, got, want[path])
		}
	}
	if len(nodes) != len(want) || nodes["lies"].Xattrs["user.other"] != "kept" {
		t.Errorf("%d paths, want %d; %q", len(nodes), len(want), nodes["lies"].Xattrs)
	}
	target = filepath.Join(t.TempDir(), "r")
	if _, err := unpack.Unpack(t.Context(), ownedLayers(blobs), blobs, target, unpack.Options{}); err != nil {
		t.Fatal(err)
	}
	for path, n := range tree(t, target) {
		if x, ok := n.Xattrs[unpack.OwnerXattr]; ok {
			t.Errorf("%s has the xattr %x, which would be taken for its owner", path, x)
		}
	}
}

// TestH33_single_id_umoci: `umoci unpack --rootless` makes the same tree with the same xattrs.
func TestH33_single_id_umoci(t *testing.T) {
	needRoot(t)
	umoci, err := exec.LookPath("umoci")
	if err != nil {
		t.Skip("umoci is not installed")
	}
	for _, name := range []string{"debian"} {
		t.Run(name, func(t *testing.T) {
			l, tag, img := tartest.RealImage(t, name)
			dir := filepath.Join(t.TempDir(), "rootfs")
			if _, err := unpack.Unpack(t.Context(), img.Layers(), l, dir, unpack.Options{SingleID: true, Devices: unpack.DeviceBind}); err != nil {
				t.Fatal(err)
			}
			bundle := filepath.Join(t.TempDir(), "bundle")
			if out, err := exec.Command(umoci, "unpack", "--rootless", "--image", fmt.Sprintf("%s:%s", l, tag), bundle).CombinedOutput(); err != nil {
				t.Fatalf("umoci: %v\n%s", err, out)
			}
			got, want := tree(t, dir), tree(t, filepath.Join(bundle, "rootfs"))
			owned := 0
			for _, n := range want {
				if n.Xattrs[unpack.OwnerXattr] != "" {
					owned++
				}
			}
			if owned == 0 {
				t.Error("umoci kept no owner: nothing is compared")
			}
			sameTrees(t, got, want)
		})
	}
}

// TestH33_map_refused: maps that no user namespace could have are no maps.
func TestH33_map_refused(t *testing.T) {
	needRoot(t)
	blobs := tartest.Blobs{}
	layers := []image.Layer{blobs.Layer(file("f", "x"))}
	many := make([]unpack.IDMap, 341)
	for i := range many {
		many[i] = unpack.IDMap{ContainerID: uint32(i), HostID: uint32(i), Size: 1}
	}
	for name, m := range map[string][]unpack.IDMap{
		"empty range":           {{ContainerID: 0, HostID: 0, Size: 0}},
		"the same twice":        {{HostID: 5, Size: 1}, {HostID: 5, Size: 1}},
		"overlap in the image":  {{HostID: 100, Size: 10}, {ContainerID: 9, HostID: 300, Size: 2}},
		"overlap on the host":   {{HostID: 100, Size: 10}, {ContainerID: 10, HostID: 109, Size: 1}},
		"one inside another":    {{ContainerID: 5, HostID: 500, Size: 1}, {ContainerID: 0, HostID: 100, Size: 10}},
		"past the last id":      {{ContainerID: 4294967295, HostID: 0, Size: 1}},
		"past the last on disk": {{HostID: 4294967290, Size: 6}},
		"wraps":                 {{ContainerID: 1, HostID: 1, Size: 4294967295}},
		"too many":              many,
	} {
		for _, o := range []unpack.Options{{UIDMap: m}, {GIDMap: m}} {
			s := tartest.NewCanary(t)
			if _, err := unpack.Unpack(t.Context(), layers, blobs, s.Target, o); !errors.Is(err, unpack.ErrIDMap) {
				t.Errorf("%s: %v", name, err)
			}
			s.Check(t)
			root, err := unpack.OpenRoot(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := unpack.ApplyLayer(t.Context(), layers[0], blobs, root, unpack.Overlay, o); !errors.Is(err, unpack.ErrIDMap) {
				t.Errorf("%s, one layer: %v", name, err)
			}
			root.Close()
		}
	}
	o := unpack.Options{SingleID: true, UIDMap: []unpack.IDMap{{Size: 1}}}
	if _, err := unpack.Unpack(t.Context(), layers, blobs, filepath.Join(t.TempDir(), "r"), o); !errors.Is(err, unpack.ErrIDMap) {
		t.Errorf("a single id and a map: %v", err)
	}
}

// TestH33_message: an owner that cannot be given is told with layer, entry, id, map and fix.
func TestH33_message(t *testing.T) {
	needRoot(t)
	blobs := tartest.Blobs{}
	layers := []image.Layer{blobs.Layer(file("ok", "")), blobs.Layer(tartest.Entry{Name: "d/f\n", UID: 5, GID: 70000})}
	maps := []unpack.IDMap{{HostID: 100000, Size: 65536}}
	for _, name := range []string{"gid", "uid"} {
		o := unpack.Options{UIDMap: maps, GIDMap: maps}
		want := fmt.Sprintf(`apply "d/f\n" (layer 2 %s): owner cannot be represented: gid 70000: the gid map is 0:100000:65536; add a range`, layers[1].Descriptor.Digest)
		if name == "uid" {
			o.UIDMap = []unpack.IDMap{{HostID: 100000, Size: 5}}
			want = fmt.Sprintf(`apply "d/f\n" (layer 2 %s): owner cannot be represented: uid 5: the uid map is 0:100000:5; add a range`, layers[1].Descriptor.Digest)
		}
		_, err := unpack.Unpack(t.Context(), layers, blobs, filepath.Join(t.TempDir(), "r"), o)
		var owner *unpack.OwnerError
		if !errors.As(err, &owner) || owner.Kind != name || owner.Userns || !strings.HasPrefix(fmt.Sprint(err), want) || !strings.HasSuffix(err.Error(), "[image-spec layer.md#file-attributes MUST (IS-T2)]") {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}

// TestH32_ACLs: ACLs as star, GNU tar and libarchive write them become the kernel's; their ids and those
// of ACLs that come as xattrs are mapped like owners.
func TestH32_ACLs(t *testing.T) {
	needRoot(t)
	acl := func(text string) tartest.Entry {
		return tartest.Entry{Name: "f", Mode: 0o664, PAX: map[string]string{"SCHILY.acl.access": text}}
	}
	const named = "02000000" + "0100" + "0600" + "ffffffff" + "0200" + "0400" + "e8030000" + "0400" + "0400" + "ffffffff" + "1000" + "0600" + "ffffffff" + "2000" + "0400" + "ffffffff"
	raw, _ := hex.DecodeString(named)
	binary := tartest.Entry{Name: "f", Mode: 0o664, PAX: map[string]string{"SCHILY.xattr.system.posix_acl_access": string(raw)}}
	mapped := strings.Replace(named, "e8030000", "888a0100", 1) // 1000 -> 101000
	maps := unpack.Options{UIDMap: []unpack.IDMap{{HostID: 100000, Size: 65536}}, GIDMap: []unpack.IDMap{{HostID: 100000, Size: 65536}}}
	for _, c := range []struct {
		name string
		e    tartest.Entry
		o    unpack.Options
		want string
		err  error
	}{
		{name: "GNU tar", e: acl("user::rw-\nuser:1000:r--\ngroup::r--\nmask::rw-\nother::r--\n"), want: named},
		{name: "star", e: acl("user::rw-,user:joe:r--:1000,group::r--,mask::rw-,other::r--"), want: named},
		{name: "any order, short", e: acl("o::r,m::rw,u:1000:r,g::r,u::rw # comment"), want: named},
		{name: "Solaris", e: acl("user::rw-,user:1000:r--,group::r--,mask:rw-,other:r--"), want: named},
		{name: "an xattr", e: binary, want: named},
		{name: "mapped", e: acl("user::rw-,user:joe:r--:1000,group::r--,mask::rw-,other::r--"), o: maps, want: mapped},
		{name: "an xattr mapped", e: binary, o: maps, want: mapped},
		{name: "outside of the map", e: binary, o: unpack.Options{UIDMap: []unpack.IDMap{{HostID: 5, Size: 1000}}}, err: unpack.ErrOwner},
		{name: "a single id", e: binary, o: unpack.Options{SingleID: true}},
		{name: "the mode says it all", e: acl("user::rw-,group::rw-,other::r--")},
		{name: "a name alone", e: acl("user::rw-,user:joe:r--,group::r--,mask::rw-,other::r--")},
		{name: "no mask", e: acl("user::rw-,user:1000:r--,group::r--,other::r--")},
		{name: "twice", e: acl("user::rw-,user:1000:r--,user:1000:rw-,group::r--,mask::rw-,other::r--")},
		{name: "rubbish", e: acl("user::rq-,:::,x")},
		{name: "NFSv4", e: tartest.Entry{Name: "f", PAX: map[string]string{"SCHILY.acl.ace": "owner@:rwx::allow"}}},
		{name: "a default ACL of a file", e: tartest.Entry{Name: "f", PAX: map[string]string{"SCHILY.acl.default": "user::rw-,group::rw-,other::r--"}}},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			blobs := tartest.Blobs{}
			target := filepath.Join(t.TempDir(), "r")
			_, err := unpack.Unpack(t.Context(), []image.Layer{blobs.Layer(c.e)}, blobs, target, c.o)
			if !errors.Is(err, c.err) || c.err == nil && err != nil {
				t.Fatalf("%v, want %v", err, c.err)
			}
			if err != nil {
				return
			}
			n := tree(t, target)["f"]
			if got := hex.EncodeToString([]byte(n.Xattrs["system.posix_acl_access"])); got != c.want {
				t.Errorf("ACL %s, want %s", got, c.want)
			}
			if c.e.Mode != 0 && int64(n.Mode) != c.e.Mode {
				t.Errorf("mode %o, want %o", n.Mode, c.e.Mode)
			}
		})
	}
}

// TestH32_default_ACL: what a layer makes in a directory does not inherit the directory's default ACL: the
// layer says what each file has.
func TestH32_default_ACL(t *testing.T) {
	needRoot(t)
	acl := map[string]string{"SCHILY.acl.default": "user::rwx,user:1000:rwx,group::r-x,mask::rwx,other::---"}
	layers := [][]tartest.Entry{
		{{Name: "./", Type: '5', PAX: acl}, {Name: "d/", Type: '5', PAX: acl}, file("d/f", "1"), dir("d/s"), file("d/s/g", "2"), file("top", "")},
		{file("d/late", "3"), dir("d/t"), file("top2", ""), {Name: "p/q", Type: '6'}, sym("d/l", "f")},
		{dir("d"), file("d/last", "")}, // the entry has no ACL: the directory has none now
	}
	blobs := tartest.Blobs{}
	plain := map[string]uint32{"d/f": 0o644, "d/s": 0o755, "d/s/g": 0o644, "top": 0o644, "d/late": 0o644, "d/t": 0o755, "top2": 0o644, "p": 0o755, "p/q": 0o644, "d/last": 0o644}
	for n := 1; n <= len(layers); n++ {
		var list []image.Layer
		for _, l := range layers[:n] {
			list = append(list, blobs.Layer(l...))
		}
		target := filepath.Join(t.TempDir(), "r")
		if _, err := unpack.Unpack(t.Context(), list, blobs, target, unpack.Options{}); err != nil {
			t.Fatal(err)
		}
		nodes := tree(t, target)
		for path, mode := range plain {
			if node, ok := nodes[path]; ok && (node.Mode != mode || len(node.Xattrs) > 0) {
				t.Errorf("%d layers: %s is %s", n, path, node)
			}
		}
		for path, want := range map[string]bool{".": true, "d": n < 3} {
			if got := nodes[path].Xattrs["system.posix_acl_default"] != ""; got != want {
				t.Errorf("%d layers: %s has a default ACL: %v", n, path, got)
			}
		}
	}
	rebuilds(t, blobs, blobs.Layer(layers[0]...))
}

// TestH32_capabilities: with an id map a file capability is one of the user namespace that the map
// describes: revision 3 with the id of its root.
func TestH32_capabilities(t *testing.T) {
	needRoot(t)
	const sets = "0020000000000000" + "0000000000000000"
	le := func(id uint32) string {
		return hex.EncodeToString([]byte{byte(id), byte(id >> 8), byte(id >> 16), byte(id >> 24)})
	}
	rev2, rev3 := "01000002"+sets, func(root uint32) string { return "01000003" + sets + le(root) }
	maps := unpack.Options{UIDMap: []unpack.IDMap{{HostID: 100000, Size: 2000}}, GIDMap: []unpack.IDMap{{HostID: 100000, Size: 2000}}}
	for _, c := range []struct {
		name, value string
		o           unpack.Options
		want        string
	}{
		{"revision 2", rev2, unpack.Options{}, rev2},
		{"revision 3", rev3(1000), unpack.Options{}, rev3(1000)},
		{"revision 2 mapped", rev2, maps, rev3(100000)},
		{"revision 3 mapped", rev3(1000), maps, rev3(101000)},
		{"revision 3 outside of the map", rev3(5000), maps, ""},
		{"root of the host", rev2, unpack.Options{UIDMap: []unpack.IDMap{{Size: 65536}}}, rev2},
		{"a single id", rev2, unpack.Options{SingleID: true}, rev2},
		{"of another root, single id", rev3(1000), unpack.Options{SingleID: true}, ""},
		{"revision 1", "01000001" + sets, unpack.Options{}, ""},
		{"rubbish", "ff", unpack.Options{}, ""},
		{"rubbish mapped", "ff", maps, ""},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			raw, err := hex.DecodeString(c.value)
			if err != nil {
				t.Fatal(err)
			}
			blobs := tartest.Blobs{}
			e := tartest.Entry{Name: "f", UID: 1, PAX: map[string]string{"SCHILY.xattr.security.capability": string(raw)}}
			target := filepath.Join(t.TempDir(), "r")
			if _, err := unpack.Unpack(t.Context(), []image.Layer{blobs.Layer(e)}, blobs, target, c.o); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 64)
			n, err := unix.Getxattr(filepath.Join(target, "f"), "security.capability", buf)
			if err != nil && err != unix.ENODATA {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(buf[:max(n, 0)]); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestH32_encodings: star's and libarchive's records of one xattr, apart, together, and where they differ.
func TestH32_encodings(t *testing.T) {
	needRoot(t)
	for name, c := range map[string]struct {
		pax  map[string]string
		want string
	}{
		"star's":                   {map[string]string{"SCHILY.xattr.user.a%41": "v"}, "user.a%41=v"},
		"libarchive's":             {map[string]string{"LIBARCHIVE.xattr.user.a%2541": "dg"}, "user.a%41=v"},
		"both, as bsdtar does":     {map[string]string{"SCHILY.xattr.user.a%2541": "v", "LIBARCHIVE.xattr.user.a%2541": "dg"}, "user.a%41=v"},
		"star's counts":            {map[string]string{"SCHILY.xattr.user.a%41": "v", "LIBARCHIVE.xattr.user.a%2541": "dw"}, "user.a%41=v"},
		"with padding":             {map[string]string{"LIBARCHIVE.xattr.user.a": "dg=="}, "user.a=v"},
		"two names that are one":   {map[string]string{"LIBARCHIVE.xattr.user.a": "dg", "LIBARCHIVE.xattr.user%2Ea": "dw"}, "user.a=v"},
		"an empty value":           {map[string]string{"SCHILY.xattr.user.a": ""}, "user.a="},
		"many bytes, none of text": {map[string]string{"SCHILY.xattr.user.a": "\x00\n=\xff"}, "user.a=\x00\n=\xff"},
	} {
		blobs := tartest.Blobs{}
		for range 5 { // records come in any order
			target := filepath.Join(t.TempDir(), "r")
			if _, err := unpack.Unpack(t.Context(), []image.Layer{blobs.Layer(tartest.Entry{Name: "f", PAX: c.pax})}, blobs, target, unpack.Options{}); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var got []string
			for k, v := range tree(t, target)["f"].Xattrs {
				got = append(got, k+"="+v)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%s: %q, want %q", name, got, c.want)
			}
		}
	}
}
