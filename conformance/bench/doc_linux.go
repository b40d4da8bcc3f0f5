// Command bench measures this project's binary against the tools that people use instead, and prints
// the ratios as a Markdown table with the target beside each.
//
//	go run ./conformance/bench [--quick] [--only run,create,fetch,pull,unpack,big,engines,image,link] [--oci bin/oci] [--images DIR]
//
// Every figure comes from one run on one machine: the tools take turns round by round, so that a
// slow moment of the machine hits all of them, and a ratio compares medians (wall clock, and the
// processor time of the whole process tree). The minimum stands beside the median as a measure of
// noise. A tool that is not installed is a row that says "absent". Nothing is asserted here: a
// benchmark informs, a test decides.
//
// The tools that are not installed are looked for in $OCI_PEERS, else in .cache/tools, where .ci/tools
// builds crane, regctl and oras, and with the word bench also containerd 2.
//
// The parts about unpacking:
//
//   - unpack: layout -> merged tree, of the image python;
//   - big: the same for two images of this machine's own files, which GNU tar and gzip -6 pack once, into
//     .cache/bench: one of 1 GiB, one of 60,000 small files. The row "limit" is what the bytes and
//     files cost at least (unpack/internal/yardstick);
//   - pull: registry -> store -> merged tree, in two commands;
//   - engines: registry -> what a container can start from, also with podman and containerd, each with storage of
//     its own below the scratch directory. Both keep the layers apart for overlay mounts, as `oci run` does.
//     What containerd's daemon spends is counted. It takes igzip or unpigz where they are
//     installed; without, it inflates by itself, which is a row of its own.
//
// big and engines take more rounds, and engines the image of 1 GiB too, when --only names them: all parts
// together stay below seven minutes.
//
// The part link is measured only when it is named (make bench-link): registry -> store over a link of
// 100 Mbit/s and 20 ms, which this program makes of two network namespaces and two TUN devices. It also
// says what each tool asked of the registry.
//
// What the tools write goes to $TMPDIR, or without one to /dev/shm, so that a busy disk does not hide
// the difference.
//
// It needs root and Linux. It enters a mount namespace of its own, in which the cgroup v2 part of a
// hybrid hierarchy is hidden: Debian's crun refuses such a machine otherwise. All tools see the same.
package main
