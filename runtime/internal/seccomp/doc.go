// Package seccomp compiles the seccomp section of a config.json to the classic BPF program that
// seccomp(2) installs. It is pure Go: no libseccomp, no cgo, no system call, no state.
//
// # What a program decides
//
// The rules are those of runtime-spec config-linux.md#seccomp, read as runc with libseccomp reads
// them, so that a profile means here what it means there:
//
//   - The native architecture is always in the filter. Calls of an architecture that is not listed
//     kill the thread. On x86_64 without SCMP_ARCH_X32 so do numbers with bit 30, the x32 ABI.
//   - A rule without args decides for its call whatever other rules of the call say; among several
//     such rules the first wins. Otherwise the rules are tried in the order of the profile, and
//     the first whose args all match decides; if none does, the default action.
//   - A rule with two conditions on one argument is read as one rule for each of its conditions.
//   - A rule that asks for the default action is left out.
//   - A number above the newest call that the profile knows on an architecture gets ENOSYS instead
//     of a forbidding default action, so that programs fall back to older calls; on s390x so does
//     number 0, which stands for calls that the kernel does not know. A permissive default action
//     (allow, log, trace), or one that is ENOSYS already, is left as it is.
//   - On x86 and s390x the calls of the socketcall and ipc multiplexers are covered too: a rule for
//     connect is also a rule for socketcall(SYS_CONNECT). Conditions cannot be checked there
//     (the arguments lie in memory), so a conditional rule that permits is not carried over and one
//     that forbids is carried over without its conditions.
//   - Conditions compare all 64 bits, on 32-bit architectures the low 32. (libseccomp takes x32
//     for a 32-bit architecture; its registers have 64.)
//   - Names that no supported architecture has are left out and reported in Program.Unknown.
//
// # What it refuses
//
// Unknown actions, operators, flags and architectures, an argument index above 5, an entry
// without names, an errno where the action takes none or out of range, a notify action where it
// would stop the container itself (default action, write), and more than 4096 instructions.
//
// # Shape of a program
//
// Numbers with the same answer are merged to intervals, and each architecture is a binary tree
// over its intervals, then its conditions, then the shared returns: Docker's default profile for
// x86_64, x86 and x32 is some hundreds of instructions where libseccomp's is some thousands, and a
// call is decided after about ten. The code is emitted from its end to its beginning, so that
// every jump is forward to a place that is known already; what is out of reach of an 8-bit offset
// gets its own return or a jump with a 32-bit offset.
package seccomp
