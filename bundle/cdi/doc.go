// Package cdi gives containers devices that the Container Device Interface describes (CNCF, cncf-tags/container-device-interface
// SPEC.md, versions 0.3.0 to 1.1.0): for GPUs, network cards and the like a vendor's file says what beside device nodes a container needs.
//
// What it promises:
//   - A device is called VENDOR/CLASS=NAME. It is looked for in the files *.json and *.yaml of the directories, /etc/cdi and
//     /var/run/cdi unless others are named. A directory that is not there is empty. Of two files that describe one device that of
//     the later directory counts; two in the same directory are an error when the device is asked for.
//   - Files are regular, of at most MaxFile bytes, and strict: an unknown or repeated key, a wrong type, a name that is none, a
//     device that changes nothing, a field newer than the file's cdiVersion are an *Error with the file and the JSON pointer. A bad
//     file stands in the way of no device of another kind; of its own kind nothing is taken from a directory that comes before it, as
//     it may be what stands for that. Its error is told too when a device is not found.
//   - What is applied is what the current library of CDI applies: the edits of the file once, then those of each device, and then all of
//     a kind in turn: variables (replaced where they are), device nodes with a cgroup rule, network devices, mounts (in place of
//     one at the same destination; parents before children afterwards), hooks, intelRdt, groups.
//   - What a device node leaves out is asked of the host: type, number, mode.
//
// Where it differs: annotations of CDI files, which have no effect, are not judged; permissions "none" add no cgroup rule instead of
// an empty one, which runtimes read in different ways; a mount gets no idmap option in a user namespace, as that takes a kernel and a file system
// that can do it.
//
// The types and the rule of versions are those of the module tags.cncf.io/container-device-interface/specs-go. Its package cdi is not used: it
// watches directories (fsnotify) and links a YAML library, 0.13 ms in every start.
package cdi
