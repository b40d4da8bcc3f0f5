package unpack

import (
	"cmp"
	"encoding/base64"
	"net/url"
	"slices"
	"sort"
	"strings"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// xattr is one extended attribute of an entry.
type xattr struct {
	name  string
	value string // raw bytes
}

// The prefixes of PAX records that carry xattrs: star's and libarchive's.
const (
	paxSchily     = "SCHILY.xattr."
	paxLibarchive = "LIBARCHIVE.xattr."
)

const capabilityXattr = "security.capability"

// decodeXattrs gives the xattrs that PAX records carry, sorted by name, the file capability last:
// the kernel drops it at each later change of the owner. libarchive's encoding (name URL-encoded,
// value base64) counts where star's is absent; so do ACLs as text. odd tells what cannot be used.
//
// star's names are taken as they are, as by all who build images; GNU tar alone writes a percent sign in
// one as %25, and an equals sign as %3D.
func decodeXattrs(records map[string]string, dir bool) (list []xattr, odd []string, err error) {
	if len(records) == 0 {
		return nil, nil, nil
	}
	for k, v := range records {
		if name, ok := strings.CutPrefix(k, paxSchily); ok {
			// libarchive writes both, and encodes the name in either.
			if _, twice := records[paxLibarchive+name]; !twice {
				list = append(list, xattr{name, v})
			}
			continue
		}
		enc, ok := strings.CutPrefix(k, paxLibarchive)
		if !ok {
			continue
		}
		name, err := url.PathUnescape(enc)
		if err != nil {
			return nil, nil, fail("decode", k, spec.LayerTar, ErrTar, "xattr name is not URL-encoded")
		}
		if _, ok := records[paxSchily+name]; ok && name != enc {
			continue
		}
		raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(v, "=\n"))
		if err != nil {
			return nil, nil, fail("decode", k, spec.LayerTar, ErrTar, "xattr value is not base64")
		}
		list = append(list, xattr{name, string(raw)})
	}
	for _, x := range list {
		if x.name == "" || len(x.name) > 255 || strings.ContainsRune(x.name, 0) {
			return nil, nil, fail("decode", x.name, spec.LayerTar, ErrTar, "invalid xattr name")
		}
	}
	list, odd = decodeACLs(list, records, dir)
	sort.Slice(list, func(i, j int) bool {
		ci, cj := list[i].name == capabilityXattr, list[j].name == capabilityXattr
		if ci != cj {
			return cj
		}
		return cmp.Or(cmp.Compare(list[i].name, list[j].name), cmp.Compare(list[i].value, list[j].value)) < 0
	})
	// Two encodings of one name: which one counts is not said, but it is always the same.
	return slices.CompactFunc(list, func(a, b xattr) bool { return a.name == b.name }), odd, nil
}

// skipXattr gives the reason why an image's xattr is not set, or "". What belongs to this host or
// to overlayfs is never taken from an image: an entry must not become a whiteout or an opaque
// directory by its own saying (H-26), nor bring a foreign label.
func skipXattr(name string) string {
	switch {
	case strings.HasPrefix(name, "trusted.overlay."), strings.HasPrefix(name, "user.overlay."):
		return "overlayfs would act on it"
	case name == "security.selinux", name == "security.ima", name == "security.evm", name == "security.apparmor":
		return "labels belong to the host"
	case name == "system.nfs4_acl", name == "system.nfs4acl":
		return "NFS ACLs belong to the server"
	case name == OwnerXattr:
		return "it is where the owner is kept that the entry itself names"
	}
	return ""
}
