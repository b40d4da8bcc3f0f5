//go:build !linux

package convert

// DetectHost assumes a current Linux, as the config is for another machine.
func DetectHost() Host { return Host{CgroupV2: true, CgroupNamespaces: true, UnprivilegedPorts: true} }
