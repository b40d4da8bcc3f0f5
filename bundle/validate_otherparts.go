package bundle

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/oci-pipeline/oci/conformance/spec"
)

// solaris checks the section of that name (config-solaris.md): all its values are strings for zonecfg(1M).
func (r *report) solaris() {
	s := r.s.Solaris
	if s == nil {
		return
	}
	r.size("/solaris/maxShmMemory", spec.SolarisLimits, s.MaxShmMemory)
	if c := s.CappedCPU; c != nil && c.Ncpus != "" {
		if n, err := strconv.ParseFloat(c.Ncpus, 64); err != nil || !(n > 0 && n < 1<<20) {
			r.add("/solaris/cappedCPU/ncpus", spec.SolarisCPU, "a number of CPUs such as 1.5", ErrInvalid, "%q", c.Ncpus)
		}
	}
	if m := s.CappedMemory; m != nil {
		r.size("/solaris/cappedMemory/physical", spec.SolarisMemory, m.Physical)
		r.size("/solaris/cappedMemory/swap", spec.SolarisMemory, m.Swap)
	}
	for i, a := range s.Anet {
		pointer := at("/solaris/anet", i, "")
		if a.Allowedaddr != "" && !address(a.Allowedaddr) {
			r.add(pointer+"/allowedAddress", spec.SolarisAnet, "such as 192.0.2.1/24", ErrInvalid, "%q is no address", a.Allowedaddr)
		}
		if a.Defrouter != "" && !address(a.Defrouter) {
			r.add(pointer+"/defrouter", spec.SolarisAnet, "such as 192.0.2.1", ErrInvalid, "%q is no address", a.Defrouter)
		}
		if a.Configallowedaddr != "" {
			oneOf(r, pointer+"/configureAllowedAddress", spec.SolarisAnet, a.Configallowedaddr, "true", "false")
		}
		if a.Linkprotection != "" {
			for _, word := range strings.Split(a.Linkprotection, ",") {
				oneOf(r, pointer+"/linkProtection", spec.SolarisAnet, strings.TrimSpace(word), "mac-nospoof", "ip-nospoof", "dhcp-nospoof", "restricted", "none")
			}
		}
	}
}

// size takes a number of bytes with a unit of K, M, G or T, or none.
func (r *report) size(pointer string, c spec.Clause, s string) {
	if s == "" {
		return
	}
	number := strings.TrimRight(strings.ToUpper(s), "B")
	if last := len(number) - 1; last >= 0 && strings.IndexByte("KMGT", number[last]) >= 0 {
		number = number[:last]
	}
	if n, err := strconv.ParseFloat(number, 64); err != nil || !(n >= 0 && n < 1<<62) {
		r.add(pointer, c, "such as 512m", ErrInvalid, "%q is no size", s)
	}
}

// address takes an IP address, with the length of a prefix or without.
func address(s string) bool {
	if _, err := netip.ParsePrefix(s); err == nil {
		return true
	}
	_, err := netip.ParseAddr(s)
	return err == nil
}

// vm checks the section of that name (config-vm.md).
func (r *report) vm() {
	v := r.s.VM
	if v == nil {
		return
	}
	if v.Hypervisor.Path != "" || len(v.Hypervisor.Parameters) > 0 {
		r.rooted("/vm/hypervisor/path", spec.VMHypervisor, v.Hypervisor.Path)
	}
	r.rooted("/vm/kernel/path", spec.VMKernel, v.Kernel.Path)
	if v.Kernel.InitRD != "" {
		r.rooted("/vm/kernel/initrd", spec.VMKernel, v.Kernel.InitRD)
	}
	if v.Image.Path != "" || v.Image.Format != "" {
		r.rooted("/vm/image/path", spec.VMImage, v.Image.Path)
		oneOf(r, "/vm/image/format", spec.VMImage, v.Image.Format, "raw", "qcow2", "vdi", "vmdk", "vhd")
	}
	h := v.HwConfig
	if h == nil {
		return
	}
	if h.VCPUs != nil && *h.VCPUs == 0 {
		r.add("/vm/hwConfig/vcpus", spec.VMHardware, "1 or more", ErrInvalid, "0")
	}
	if h.Memory != nil && *h.Memory == 0 {
		r.add("/vm/hwConfig/memory", spec.VMHardware, "bytes, more than 0", ErrInvalid, "0")
	}
}

// rooted asks for an absolute path whatever the platform is.
func (r *report) rooted(pointer string, c spec.Clause, path string) {
	r.text(pointer, path)
	switch {
	case path == "":
		r.add(pointer, c, "an absolute path", ErrMissing, "")
	case path[0] != '/':
		r.add(pointer, c, "an absolute path", ErrInvalid, "%q is not an absolute path", path)
	}
}

// freebsd checks the section of that name (config-freebsd.md).
func (r *report) freebsd() {
	f := r.s.FreeBSD
	if f == nil {
		return
	}
	for i, d := range f.Devices {
		pointer := at("/freebsd/devices", i, "/path")
		switch {
		case d.Path == "":
			r.add(pointer, spec.FreeBSDDevices, "a path relative to /dev", ErrMissing, "")
		case d.Path[0] == '/' || slices.Contains(strings.Split(d.Path, "/"), ".."):
			r.add(pointer, spec.FreeBSDDevices, "a path relative to /dev", ErrInvalid, "%q", d.Path)
		}
		if d.Mode != nil && *d.Mode > 0o777 {
			r.add(at("/freebsd/devices", i, "/mode"), spec.FreeBSDDevices, "at most 511 (0777)", ErrInvalid, "%d", *d.Mode)
		}
	}
	j := f.Jail
	if j == nil {
		return
	}
	both := []specs.FreeBSDSharing{specs.FreeBSDShareNew, specs.FreeBSDShareInherit}
	all := append(both, specs.FreeBSDShareDisable)
	for _, share := range []struct {
		name  string
		value specs.FreeBSDSharing
		words []specs.FreeBSDSharing
	}{
		{"host", j.Host, both},
		{"vnet", j.Vnet, both},
		{"ip4", j.Ip4, all},
		{"ip6", j.Ip6, all},
		{"sysvmsg", j.SysVMsg, all},
		{"sysvsem", j.SysVSem, all},
		{"sysvshm", j.SysVShm, all},
	} {
		if share.value != "" {
			oneOf(r, "/freebsd/jail/"+share.name, spec.FreeBSDJail, share.value, share.words...)
		}
	}
	if n := j.EnforceStatfs; n != nil && (*n < 0 || *n > 2) {
		r.add("/freebsd/jail/enforceStatfs", spec.FreeBSDJail, "0, 1 or 2 (jail(8))", ErrInvalid, "%d", *n)
	}
	r.addresses("/freebsd/jail/ip4Addr", j.Ip4Addr, netip.Addr.Is4)
	r.addresses("/freebsd/jail/ip6Addr", j.Ip6Addr, netip.Addr.Is6)
}

func (r *report) addresses(pointer string, list []string, family func(netip.Addr) bool) {
	for i, s := range list {
		if a, err := netip.ParseAddr(s); err != nil || !family(a) {
			r.add(at(pointer, i, ""), spec.FreeBSDJail, "an address of that family", ErrInvalid, "%q", s)
		}
	}
}

// zos checks the section of that name (config-zos.md).
func (r *report) zos() {
	if r.s.ZOS == nil {
		return
	}
	seen := map[specs.ZOSNamespaceType]bool{}
	for i, n := range r.s.ZOS.Namespaces {
		pointer := at("/zos/namespaces", i, "")
		oneOf(r, pointer+"/type", spec.ZOSNamespaces, n.Type, specs.ZOSPIDNamespace, specs.ZOSMountNamespace, specs.ZOSIPCNamespace, specs.ZOSUTSNamespace)
		if seen[n.Type] {
			r.add(pointer+"/type", spec.ZOSNamespaces, "each type once", ErrDuplicate, "namespace %q", string(n.Type))
		}
		seen[n.Type] = true
		if n.Path != "" {
			r.rooted(pointer+"/path", spec.ZOSNamespaces, n.Path)
		}
	}
}
