// Package launch executes plans: it turns a plan.Plan into a tiny program, starts it in new
// namespaces and in its cgroup, and speaks with it until the container's own program runs.
//
// The program is an ELF image in a sealed memfd: an interpreter of some 400 bytes (stub_amd64.s,
// stub_arm64.s), the steps, and the strings and structures they point to, all at fixed addresses.
// One ForkExec with CLONE_NEW*, CLONE_PIDFD and CLONE_INTO_CGROUP starts it. What this buys:
//
//   - The only executable that a container can ever reach through /proc/PID/exe is a sealed
//     throw-away file; the host's binary is out of reach by construction (CVE-2019-5736).
//   - It is single-threaded, so that every setns works; it has no heap, no signal handlers and
//     no descriptors but those handed to it; it costs some 20 KiB in the container's cgroup, so
//     that pids.limit=1 and a memory limit of 1 MiB start.
//   - It costs what a fork would, 0.13 ms from encoding to reaping for an empty plan (BenchmarkStart), where starting a
//     static C program takes 0.7 ms and a Go program 1.8 ms: no second start of a Go runtime inside the container.
//
// The alternative, a nosplit Go function after a raw clone3, was left aside: until its execve the
// host's binary is the child's /proc/PID/exe, and a script with "#!/proc/self/exe" would get it.
//
// The process reports with 16-byte records (plan.RecordSize) on a pipe or FIFO: a failure as
// (step, errno), the points at which it waits, and the end of file when execve succeeded.
package launch
