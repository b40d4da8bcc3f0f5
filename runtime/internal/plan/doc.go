// Package plan compiles a runtime-spec configuration into the flat list of system calls that
// makes the container.
//
// Compile is pure: it reads the configuration and the facts about the host that it is given, does
// no input or output, needs no privilege, and returns the same Plan for the same input. A Plan is
// data: it can be printed (String), compared with a golden file, and executed by package launch
// in a process that has no Go runtime.
//
// A Step is one system call, or one of four pseudo calls that move a value, compare one, branch,
// or fail. Arguments are numbers, strings, byte images with relocations, or slots: 64-bit cells in
// which earlier steps left their results (mostly file descriptors). Each step says what happens on
// which errno (go on elsewhere, or fail), which place of config.json asked for it (a JSON pointer),
// and why it stands where it stands. A failure is therefore (step, errno), and the step knows the
// words: nothing but two numbers has to cross the process boundary.
//
// The order is the argument for safety, and is this:
//
//  1. Namespaces are joined or made; a user namespace first, because it owns the others.
//  2. All mounts of the host become slaves, so nothing made below is seen outside.
//  3. The root file system is attached as a detached tree; from here on every path of the
//     configuration is resolved below its descriptor with openat2(RESOLVE_IN_ROOT), never as a
//     string (CVE-2019-19921, CVE-2021-30465, CVE-2023-27561, CVE-2024-45310).
//  4. Mounts in the order of the configuration, then devices and their links by descriptor of
//     the new /dev (CVE-2026-41579), then the console from the container's own devpts (CVE-2025-52565).
//  5. Hooks of the runtime; what is set by writing to procfs, through a procfs that this plan
//     mounted itself (CVE-2025-52881); then read-only and masked paths, with the host's /dev/null
//     (CVE-2025-31133); then pivot_root, which needs no directory of the image.
//  6. Identity: limits, bounding set, groups, user, working directory, which must lie inside the
//     root (CVE-2024-21626), and the look-up of the program.
//  7. Every descriptor but those asked for is closed; the process reports that it is ready and
//     waits for its start.
//  8. The seccomp filter, the final capabilities, execve.
//
// Nothing in this package is for use outside the runtime.
package plan
