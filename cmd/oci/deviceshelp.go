package main

import "github.com/spf13/cobra"

// devicesTopic is a topic of `oci help` and does nothing.
func devicesTopic(*app) *cobra.Command {
	return &cobra.Command{Use: "devices", Short: "What --device and --gpus take, and what hooks and the init are", Long: `  --device /HOST[:/CONTAINER][:rwm]   a device of the host, or all below a directory
  --device VENDOR/CLASS=NAME          what a file of the Container Device Interface (CDI) describes
  --gpus all | N | device=NAME        the same for NVIDIA's GPUs: nvidia.com/gpu=all, the first N, or those
                                      named; several by '"device=0,2"'

CDI files, *.json and *.yaml, are read from /etc/cdi and /var/run/cdi, or from each --cdi-spec-dir instead, only if a
device is asked for by such a name. Of two files with one device that of the later directory counts; two in one
directory are an error, as are a key that no version knows and one that is newer than the file's cdiVersion (0.3.0 to
1.1.0). The file says which variables, device nodes, mounts, hooks, groups, network devices and cache classes the
container gets; they replace what the image and the flags have said. With podman N of --gpus is the name of one GPU.
Of YAML anchors, tags and texts of several lines are refused.

--hooks-dir DIR adds programs of the host that run at a stage of the container's life: files *.json as podman reads them
(oci-hooks(5), versions 1.0.0 and 0.1.0), in the order of their names. Of files with one name that of the last DIR counts.
Their conditions ask about the program, annotations (those of --annotation and --label: labels of the image choose
no hook), and whether directories of the host are mounted. No DIR is read unless it is named, where podman reads
/usr/share/containers/oci/hooks.d. The stage precreate, which is podman's own, is refused.

--init runs a process 1 of ` + "1.5 KiB" + ` before the program: signals are handed on to it, which a process 1 does not get by
itself (so that ` + "`oci stop`" + ` need not kill), orphans are reaped, and the program's status is the container's. It is
/run/oci-init in the container and, for images of amd64 and arm64, a file of the bundle: nothing of the host is needed.
--init-path FILE takes another static program, such as tini or catatonit; it is started as FILE -- PROGRAM ARGUMENTS.

All of this is in config.json, for every runtime.`}
}
