package runtime

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// writeIDMaps writes the id maps of pid's new user namespace (user_namespaces(7)); where this process may not, newuidmap(1) and
// newgidmap(1) do it.
func writeIDMaps(pid int, l *specs.Linux) error {
	proc := "/proc/" + strconv.Itoa(pid)
	if err := writeMap(proc+"/uid_map", "newuidmap", pid, l.UIDMappings); err != nil {
		return fmt.Errorf("uid map (config.json: /linux/uidMappings): %w", err)
	}
	gids := l.GIDMappings
	err := os.WriteFile(proc+"/gid_map", mapText(gids), 0)
	if errors.Is(err, unix.EPERM) && len(gids) == 1 && gids[0].Size == 1 {
		// A process without CAP_SETGID may map its own group if setgroups is given up (CVE-2014-8989).
		if err = os.WriteFile(proc+"/setgroups", []byte("deny"), 0); err == nil {
			err = os.WriteFile(proc+"/gid_map", mapText(gids), 0)
		}
	} else if errors.Is(err, unix.EPERM) {
		err = mapHelper("newgidmap", pid, gids)
	}
	if err != nil {
		return fmt.Errorf("gid map (config.json: /linux/gidMappings): %w", err)
	}
	return nil
}

func writeMap(path, helper string, pid int, m []specs.LinuxIDMapping) error {
	err := os.WriteFile(path, mapText(m), 0)
	if errors.Is(err, unix.EPERM) {
		return mapHelper(helper, pid, m)
	}
	return err
}

func mapText(m []specs.LinuxIDMapping) []byte {
	var b strings.Builder
	for _, e := range m {
		fmt.Fprintf(&b, "%d %d %d\n", e.ContainerID, e.HostID, e.Size)
	}
	return []byte(b.String())
}

func mapHelper(name string, pid int, m []specs.LinuxIDMapping) error {
	args := []string{strconv.Itoa(pid)}
	for _, e := range m {
		args = append(args, strconv.Itoa(int(e.ContainerID)), strconv.Itoa(int(e.HostID)), strconv.Itoa(int(e.Size)))
	}
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
