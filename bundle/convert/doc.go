// Package convert makes a runtime config (config.json) from an image config, as image-spec's
// conversion.md says, combined with the defaults that Docker gives a container and with what the
// user asks for by flags.
//
// What it promises:
//   - Env, WorkingDir, Entrypoint and Cmd are taken verbatim; a default never shadows a variable
//     that the image sets (IS-V1). Only an empty or relative WorkingDir, or one with "..", is
//     resolved lexically against "/": runtime-spec asks for an absolute cwd.
//   - Labels and the implicit annotations become annotations, labels winning (IS-V2, IS-V5).
//     A label that some runtime acts on is refused unless Options.ImageLabels says otherwise (H-84).
//   - Config.User is resolved in the image's own /etc/passwd and /etc/group, read in the root, at
//     most MaxUserFile bytes, regular files only; what looks like a number is never looked up as a
//     name; an unknown user or group is an error (IS-V3).
//   - Config.ExposedPorts become an annotation, Config.Volumes bind mounts of the directories that
//     Options.VolumeDir supplies. Without VolumeDir the volumes stay plain directories of the root
//     file system, which conversion.md allows ("need not use mountpoints"); no tmpfs is used, as
//     it would hide what the image has there (IS-V4).
//   - --mount, --volume and --tmpfs take what Docker and podman take, and are parsed whole before the first
//     directory is asked for. Where the two differ: "ro" is not recursive ("rro" and bind-recursive=readonly
//     are), as podman and every runtime has it; a tmpfs begins empty (tmpcopyup is an option), as with Docker;
//     a source that is not there is not made, as with podman. z, Z and relabel have no effect. Who calls
//     supplies what only it has (VolumeDir, ImageDir, OverlayDir, MountsOf, Chown).
//   - Devices of the Container Device Interface (package bundle/cdi) are applied to a config that is whole, as podman does, and may
//     replace what flags have set; --gpus N are the first N, as with Docker, where podman takes N for a name.
//   - An init (package bundle/pid1, or a static program of the host) is two arguments and a mount of a file that the caller writes into the
//     bundle. It is for the machine of the image; in an edit for that of the annotation org.opencontainers.image.architecture, else this one.
//   - The namespace of another container is a path that the caller finds (NamespaceOf). Its host name is not changed. An id that the
//     user namespace does not have is an error, also where an edit meets a namespace that is there.
//   - An SELinux label is set only where one is asked for and SELinux is on, as the files would need one too; an AppArmor profile only
//     by name: profiles are loaded by nobody here.
//   - Edit does to a config that is there what Spec does to a new one, option by option, and nothing else; doing it twice is doing it
//     once. A requirement that was broken before is not its business.
//   - Hooks come from directories that the user names (HooksDirs), never from an image: its labels choose none (H-84).
//   - The version claimed is the lowest that the fields need (bundle.MinVersion): "1.0.2", or
//     "1.1.0" with the default seccomp profile, whose errnoRet came with that version.
//
// Spec is a table of named steps (steps in convert.go) over one specs.Spec; each step owns the
// fields it names. What depends on the machine is gathered in Host, so that a test fixes it.
package convert
