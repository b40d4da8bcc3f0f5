package bundle

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/oci-pipeline/oci/conformance/mutant"
	"github.com/oci-pipeline/oci/conformance/spec"
)

// rule is a line of testdata/validate/matrix.json: a sentence of runtime-spec that a config can break.
type rule struct {
	Says     string // the sentence, shortened
	Clause   string // the ID in the ledger
	Pointer  string // where the problem is told
	Platform Platform
	Bad      json.RawMessage   // merged into the base config; null removes a property
	Good     []json.RawMessage // the same, right
}

// TestJudgeMatrix: each rule has an example that breaks it and one that keeps it, and is told at its
// pointer with its clause, and a hint.
func TestJudgeMatrix(t *testing.T) {
	shown := map[string]bool{}
	for _, r := range matrix(t) {
		t.Run(r.Clause+strings.ReplaceAll(r.Pointer, "/", "_"), func(t *testing.T) {
			shown[r.Clause] = true
			p := problemAt(Judge(merged(t, r.Bad), r.Platform).Problems, r)
			if p == nil {
				t.Errorf("%s: not told: %v", r.Says, Judge(merged(t, r.Bad), r.Platform).Problems)
			} else if p.Hint == "" || p.Clause.URL() == "" {
				t.Errorf("%s: %v has no hint or address", r.Says, p)
			}
			if len(r.Good) == 0 {
				t.Errorf("%s: no example that keeps it", r.Says)
			}
			for _, good := range r.Good {
				if p := problemAt(Judge(merged(t, good), r.Platform).Problems, r); p != nil {
					t.Errorf("%s: %s breaks it: %v", r.Says, good, p)
				}
			}
		})
	}
	for _, c := range judged() {
		if !shown[c.ID] {
			t.Errorf("no rule in the matrix for %v", c)
		}
	}
}

func matrix(t testing.TB) []rule {
	t.Helper()
	raw, err := os.ReadFile("testdata/validate/matrix.json")
	if err != nil {
		t.Fatal(err)
	}
	var rules []rule
	if err := json.Unmarshal(raw, &rules); err != nil {
		t.Fatal(err)
	}
	return rules
}

func problemAt(ps Problems, r rule) *Problem {
	for _, p := range ps {
		if p.Pointer == r.Pointer && p.Clause.ID == r.Clause {
			return p
		}
	}
	return nil
}

// merged is the base config with a patch (RFC 7396).
func merged(t testing.TB, patch json.RawMessage) []byte {
	t.Helper()
	var base, change any
	const minimal = `{"ociVersion":"1.3.0","root":{"path":"rootfs"},"process":{"args":["sh"],"cwd":"/","user":{"uid":0,"gid":0}}}`
	if err := json.Unmarshal([]byte(minimal), &base); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(patch, &change); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(mutant.Merge(base, change))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// judged are the clauses of the ledger that a config.json can break.
func judged() []spec.Clause {
	return []spec.Clause{
		spec.BundleJSON, spec.BundleVersion, spec.BundleRoot, spec.BundleMounts, spec.BundleMountDest, spec.BundleProcess, spec.BundleEnv,
		spec.BundleRlimits, spec.BundleCapabilities, spec.BundleUser, spec.BundleHooks, spec.BundleAnnotations, spec.BundleNamespaces,
		spec.BundleIDMappings, spec.BundleIDMappingsUse, spec.BundleTimeOffsets, spec.BundleDevices, spec.BundleDeviceRules, spec.BundleResources,
		spec.BundleBlockIO, spec.BundleSeccomp, spec.BundlePropagation, spec.BundlePaths, spec.BundlePersonality,
		spec.ConfigExtensibility, spec.ConfigNewer, spec.ConfigNull, spec.ConfigSection, spec.ConfigWindows, spec.RootName, spec.RootWindows,
		spec.MountAbsolute, spec.MountNested, spec.MountSource, spec.MountContrary, spec.MountDeprecated, spec.MountIDMapOption, spec.MountType,
		spec.MountIDMappings, spec.ProcessConsole, spec.ProcessConsoleSize, spec.ProcessUserIDs, spec.LinuxDeviceNumber, spec.LinuxPersonalityFlags, spec.MountIDMap, spec.ProcessLinux, spec.ProcessUnused, spec.ProcessEnvOnce, spec.ProcessOther,
		spec.CapabilitySets, spec.HostnameUTS, spec.DomainnameUTS, spec.HookPlatform, spec.HookDeprecated, spec.AnnotationReserved, spec.AnnotationName,
		spec.LinuxFilesystems, spec.LinuxMappingCount, spec.LinuxTimeUse, spec.LinuxDeviceTwice, spec.LinuxDeviceMode, spec.LinuxNetDevices, spec.LinuxMemory,
		spec.LinuxMemoryAdvice, spec.LinuxCPU, spec.LinuxHugePages, spec.LinuxNetwork, spec.LinuxPids, spec.LinuxRdma, spec.LinuxRdt, spec.LinuxRdtL3,
		spec.LinuxMemoryPolicy, spec.LinuxSysctl, spec.LinuxNotify, spec.LinuxListener, spec.LinuxMountLabel, spec.LinuxReadonly,
		spec.RuntimeSeccompFlags, spec.RuntimeSeccompMetadata,
		spec.WindowsLayers, spec.WindowsDevices, spec.WindowsCPU, spec.WindowsNetwork, spec.WindowsCredentials, spec.WindowsResources, spec.WindowsHyperV,
		spec.SolarisMilestone, spec.SolarisLimits, spec.SolarisCPU, spec.SolarisMemory, spec.SolarisAnet,
		spec.VMHypervisor, spec.VMKernel, spec.VMImage, spec.VMHardware,
		spec.FreeBSDDevfs, spec.FreeBSDDevices, spec.FreeBSDJail, spec.FreeBSDNetwork, spec.ZOSFilesystems, spec.ZOSNamespaces,
	}
}
