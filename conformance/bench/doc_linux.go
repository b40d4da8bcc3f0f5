// Command bench measures this project's binary against the tools that people use instead, and prints
// the ratios as a Markdown table with the target beside each.
//
//	go run ./conformance/bench [--quick] [--only run,create,fetch,pull,unpack,image,link] [--oci bin/oci] [--images DIR]
//
// Every figure comes from one run on one machine: the tools take turns round by round, so that a
// slow moment of the machine hits all of them, and a ratio compares medians (wall clock, and the
// processor time of the whole process tree). The minimum stands beside the median as a measure of
// noise. A tool that is not installed is a row that says "absent". Nothing is asserted here: a
// benchmark informs, a test decides.
//
// The tools that are not installed are looked for in $OCI_PEERS, else in .cache/tools, where .ci/tools
// builds crane, regctl and oras.
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
