// Package pid1 has the init of a container (--init): a static program of some 1,200 bytes that starts the container's program and,
// as process 1, does for it what the kernel wants of a process 1 and few programs do. It is what tini and catatonit are to Docker and
// podman, without a file of the host: who writes a bundle writes it there, for the machine of the image.
//
// `oci-init [--] PROGRAM [ARGUMENTS]` promises:
//   - Every signal that it gets it hands on to the program, also those that a process 1 does not get by itself: all but SIGCHLD, and SIGTTIN and
//     SIGTTOU, which the kernel sends it for not being in the foreground. None is lost while the program is started, as all are blocked before.
//   - Every process that ends below it is reaped, in a pid namespace of others too (PR_SET_CHILD_SUBREAPER), and though SIGCHLD was
//     ignored by who started the runtime, which is inherited and would leave nothing to wait for.
//   - It ends when the program does, with its exit status, or 128 + n after signal n. 127 is a program that is not there, 126 one that
//     cannot be executed, 125 a process that cannot be started.
//   - The program is in a process group of its own, which is the foreground group of the terminal: Ctrl-C reaches it alone, from the kernel.
//     The signals that were blocked are so again, and no more.
//   - The program is looked for in the PATH of its environment, by its own user. LISTEN_PID=1, which runc and crun set for programs that take
//     sockets (sd_listen_fds(3)), becomes its process id.
//   - No descriptor from 3 on (where the kernel has close_range(2), 5.9) and no working directory is kept: a pipe that the program closes is closed. 0 to 2 are kept, as
//     /proc/1/fd/1 is where others write to.
//
// It is machine code, for amd64 and arm64: source/init_*.s is what it is made of, and a test assembles it again and compares.
package pid1
