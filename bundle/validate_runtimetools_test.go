package bundle

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// runtimeTool is the program of runtime-tools 0.9; "" if it is not there.
func runtimeTool() string {
	path := filepath.Join(os.Getenv("OCI_PEERS"), "oci-runtime-tool")
	if os.Getenv("OCI_PEERS") == "" {
		path = "oci-runtime-tool"
	}
	found, err := exec.LookPath(path)
	if err != nil {
		return ""
	}
	return found
}

// toolOnly is what runtime-tools refuses and Judge does not take for a MUST: a part of its message, and why.
func toolOnly() map[string]string {
	return map[string]string{
		"validate currently only handles version": "config.md#extensibility: an unknown minor version is no error (RS-CF2 MAY)",
		"is not valid, man capabilities(7)":       "config.md#linux-process: runtimes SHOULD NOT fail for capabilities that cannot be granted (RS-B10 SHOULD)",
		"as it's not permitted":                   "the same (RS-CF20 SHOULD)",
		"unsupported mount type":                  "config.md#posix-platform-mounts: the type of a bind mount is a dummy, any other the kernel's (RS-CF14 SHOULD)",
		"requires a new User namespace":           "config-linux.md#user-namespace-mappings has no such sentence (RS-B26 SHOULD)",
		"requires a new Network namespace":        "config-linux.md#sysctl has no such sentence (RS-CL15 SHOULD)",
		"requires a new IPC namespace":            "the same",
		"hostname requires a new UTS namespace":   "config.md#hostname has no such sentence (RS-CF21 SHOULD)",
		"TimeOffsets requires a new time":         "config-linux.md#offset-for-time-namespace has no such sentence (RS-CL3 SHOULD)",
		"apparmor.d":                              "config.md#linux-process: the profile is the host's, not a file of the container",
		"but it MUST be a child of":               "bundle.md: root.path names a directory; an absolute path outside the bundle is allowed by config.md#root",
		"cannot find the root path":               "the root directory is JudgeDir's to look for, not Judge's",
		`"proc" is not absolute`:                  "config.md#mounts since 1.2: SHOULD be absolute on Linux, MAY be relative (RS-B6 SHOULD)",
		"minimum memoryswap":                      "config-linux.md#memory has no such sentence (RS-CL7 SHOULD)",
		"minimum memory limit":                    "the same (RS-CL7 SHOULD)",
		"is reserved":                             "config.md#annotations since 1.1 describes the keys of org.opencontainers.image; conversion.md of image-spec sets them",
		"in the form of 'key=value'":              "config.md#posix-process: the semantics of environ, which takes any text (RS-B8 SHOULD)",
		"device {/dev/x c":                        "config-linux.md#devices: 0 is a number too; one that is absent is RS-CL22 SHOULD",
		"is not executable":                       "the program may come from a mount: no clause asks for it to be in rootfs",
	}
}

// judgeOnly are the clauses of which Judge finds a MUST where runtime-tools finds nothing, and why.
func judgeOnly() map[string]string {
	const (
		schema = "the schema refuses it, which the tool has from the network: TestJudgeSchema"
		absent = "the tool decodes the absent property as 0, and the schema refuses it"
		kernel = "a value that the kernel refuses on every machine: config.md#valid-values"
		newer  = "the tool is for 1.2, which has no such property or platform"
	)
	return map[string]string{
		"RS-B7": schema, "RS-B9": absent, "RS-B11": kernel, "RS-B13": "config.md#posix-platform-hooks: timeout MUST be above 0, path is REQUIRED in every list; the tool knows three lists",
		"RS-B14": "config.md#annotations: keys MUST NOT be an empty string", "RS-B15": schema, "RS-B16": absent, "RS-B17": schema,
		"RS-B18": "config-linux.md#devices: path is the full path", "RS-B19": absent, "RS-B20": kernel, "RS-B21": absent, "RS-B22": schema, "RS-B23": schema, "RS-B25": schema,
		"RS-CF10": kernel, "RS-CF16": schema, "RS-CF27": absent, "RS-CL5": newer, "RS-CL6": kernel, "RS-CL8": kernel, "RS-CL9": schema, "RS-CL10": absent, "RS-CL11": kernel,
		"RS-CL12": schema, "RS-CL14": newer, "RS-CL21": "config-linux.md#rdma: you MUST specify at least one",
		"RS-CS2": kernel, "RS-CS3": kernel, "RS-CS4": kernel, "RS-CS5": kernel, "RS-MT1": "config.md#linux-mount-options: an error MUST be returned",
		"RS-MT2": "config.md#posix-platform-mounts: MUST be specified along with the other",
		"RS-SC4": schema, "RS-SC7": "config-linux.md#seccomp: MUST NOT be set if listenerPath is not set",
		"RS-CW1": schema, "RS-CW2": schema, "RS-CW3": kernel, "RS-CW5": schema, "RS-CW6": kernel, "RS-CW7": kernel,
	}
}

// TestJudgeRuntimeTools: runtime-tools' validate and Judge agree on every example of the matrix, or a
// table says why not. Its schema comes from the network, which it does not get here: TestJudgeSchema
// has that part.
func TestJudgeRuntimeTools(t *testing.T) {
	tool := runtimeTool()
	if tool == "" {
		t.Skip("oci-runtime-tool is not there (OCI_PEERS)")
	}
	type example struct {
		raw      []byte
		platform Platform
	}
	var all []example
	for _, r := range matrix(t) {
		for i, patch := range append([]json.RawMessage{r.Bad}, r.Good...) {
			raw := bytes.Replace(merged(t, patch), []byte(`"ociVersion":"1.3.0"`), []byte(`"ociVersion":"1.2.1"`), 1)
			p := Judge(raw, r.Platform).Platform
			if i < 2 && (p == Linux || p == Windows || p == Solaris) {
				all = append(all, example{raw, p})
			}
		}
	}
	dir := t.TempDir()
	var wg sync.WaitGroup
	slots := make(chan int, 2)
	for i, e := range all {
		slots <- i
		wg.Go(func() {
			defer func() { <-slots }()
			sub := filepath.Join(dir, strconv.Itoa(i))
			compareTool(t, tool, sub, e.raw, e.platform)
		})
	}
	wg.Wait()
	t.Logf("%d configs", len(all))
}

func compareTool(t *testing.T, tool, dir string, raw []byte, p Platform) {
	if err := os.MkdirAll(filepath.Join(dir, "rootfs", "bin"), 0o755); err != nil {
		t.Error(err)
		return
	}
	if err := os.WriteFile(filepath.Join(dir, ConfigName), raw, 0o644); err != nil {
		t.Error(err)
		return
	}
	cmd := exec.Command(tool, "validate", "--path", dir, "--platform", string(p))
	cmd.Env = append(os.Environ(), "HTTPS_PROXY=http://127.0.0.1:1", "NO_PROXY=")
	out, _ := cmd.CombinedOutput() // the status is 1 in any case, for want of the schema
	theirs := toolErrors(string(out))
	var ours []string
	for _, q := range Judge(raw, p).Problems.Must() {
		ours = append(ours, q.Clause.ID)
	}
	if len(theirs) > 0 && len(ours) == 0 {
		for _, message := range theirs {
			if !contains(toolOnly(), message) {
				t.Errorf("runtime-tools alone: %s\n%s", message, raw)
			}
		}
	}
	if len(theirs) == 0 {
		for _, id := range ours {
			if _, ok := judgeOnly()[id]; !ok {
				t.Errorf("we alone: %s\n%s", id, raw)
			}
		}
	}
}

func contains(table map[string]string, message string) bool {
	for part := range table {
		if strings.Contains(message, part) {
			return true
		}
	}
	return false
}

// toolErrors takes the errors out of what the tool prints, without that of the schema it could not get.
func toolErrors(out string) []string {
	var list []string
	for _, line := range strings.Split(out, "\n") {
		_, quoted, ok := strings.Cut(line, "level=fatal msg=")
		if !ok {
			continue
		}
		message, err := strconv.Unquote(quoted)
		if err != nil {
			message = quoted
		}
		for _, e := range strings.Split(message, "\n\t* ") {
			e = strings.TrimSpace(e)
			if e != "" && !strings.Contains(e, "occurred:") && !strings.HasPrefix(e, `Get "https:`) {
				list = append(list, e)
			}
		}
	}
	return slices.Compact(list)
}
