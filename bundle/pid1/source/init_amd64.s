#include "textflag.h"

// The init, a process that starts another one, forwards signals to it, reaps orphans and ends as it ended. It has no
// memory but its stack, of which only what lies below the pointer is written, and refers to no symbol: the test of package pid1
// assembles it, and takes what is between the markers into code.go. The constants are those of elf.go, at 0x100b0.
//
// R14 constants, R12 arguments of the program, R13 environment, BX process id of the program (in the child: its name),
// R15 exit status (in the child: length of the name), R9 options of wait4 (in the child: what failed).
TEXT ·code(SB), NOSPLIT|NOFRAME, $0-0
	BYTE	$0x6f; BYTE $0x63; BYTE $0x69; BYTE $0x2d // "oci-init": the first marker
	BYTE	$0x69; BYTE $0x6e; BYTE $0x69; BYTE $0x74
	MOVL	$0x100b0, R14
	MOVQ	(SP), AX       // argc
	LEAQ	16(SP), R12    // argv[1]
	LEAQ	16(SP)(AX*8), R13
	CMPQ	AX, $2
	JLT	usage
	MOVQ	(R12), SI
	CMPW	(SI), $0x2d2d // "--"
	JNE	named
	CMPB	2(SI), $0
	JNE	named
	ADDQ	$8, R12
named:
	MOVQ	(R12), AX
	TESTQ	AX, AX
	JEQ	usage

	MOVL	$14, AX // rt_sigprocmask(SIG_SETMASK, all, old): what comes from here on waits, also for the child
	MOVL	$2, DI
	MOVQ	R14, SI
	LEAQ	-64(SP), DX
	MOVL	$8, R10
	SYSCALL
	MOVL	$13, AX // rt_sigaction(SIGCHLD, SIG_DFL): one that is ignored, by who started the runtime, would leave nothing to wait for
	MOVL	$17, DI
	LEAQ	8(R14), SI
	XORL	DX, DX
	MOVL	$8, R10
	SYSCALL
	MOVL	$157, AX // prctl(PR_SET_CHILD_SUBREAPER): in a pid namespace of others it is not process 1
	MOVL	$36, DI
	MOVL	$1, SI
	XORL	DX, DX
	XORL	R10, R10
	XORL	R8, R8
	SYSCALL
	MOVL	$56, AX // clone(SIGCHLD)
	MOVL	$17, DI
	XORL	SI, SI
	XORL	DX, DX
	XORL	R10, R10
	XORL	R8, R8
	SYSCALL
	TESTQ	AX, AX
	JEQ	child
	JLT	nofork
	MOVQ	AX, BX

	MOVL	$80, AX // chdir("/"): the working directory of the program is the program's to hold
	LEAQ	50(R14), DI
	SYSCALL
	MOVL	$436, AX // close_range(3, all): descriptors are the program's too; 0 to 2 stay, as others write to /proc/1/fd/1
	MOVL	$3, DI
	MOVL	$0xffffffff, SI
	XORL	DX, DX
	SYSCALL
	MOVQ	$-1, R15
	MOVL	$1, R9 // WNOHANG

wait:
	MOVL	$128, AX // rt_sigtimedwait(all, no information, no limit)
	MOVQ	R14, DI
	XORL	SI, SI
	XORL	DX, DX
	MOVL	$8, R10
	SYSCALL
	CMPQ	AX, $17 // SIGCHLD
	JEQ	reap
	TESTQ	AX, AX
	JLT	nowait
	CMPQ	AX, $21 // SIGTTIN, SIGTTOU: for who is not in the foreground, which is as it shall be
	JEQ	wait
	CMPQ	AX, $22
	JEQ	wait
	MOVQ	AX, SI
	MOVL	$62, AX // kill
	MOVQ	BX, DI
	SYSCALL
	JMP	wait
nowait:
	CMPQ	AX, $-4 // EINTR
	JEQ	wait
	XORL	R9, R9 // a filter forbids it: then without signals, but not without rest
reap:
	MOVL	$61, AX // wait4(any, status, options, no usage)
	MOVQ	$-1, DI
	LEAQ	-64(SP), SI
	MOVQ	R9, DX
	XORL	R10, R10
	SYSCALL
	CMPQ	AX, BX
	JEQ	ended
	CMPQ	AX, $-4
	JEQ	reap
	TESTQ	AX, AX
	JGT	reap
	TESTQ	R15, R15
	JLT	wait
	MOVQ	R15, DI
	JMP	exit
ended:
	MOVL	-64(SP), CX
	MOVL	CX, AX
	SHRL	$8, CX
	ANDL	$0xff, CX
	MOVQ	CX, R15
	ANDL	$0x7f, AX
	JEQ	all
	ADDL	$128, AX
	MOVQ	AX, R15
all:
	MOVL	$1, R9 // what else has ended is reaped too, but not waited for
	JMP	reap

child:
	MOVL	$109, AX // setpgid(0, 0)
	XORL	DI, DI
	XORL	SI, SI
	SYSCALL
	MOVL	$39, AX // getpid
	SYSCALL
	MOVL	AX, -72(SP)
	MOVL	$257, AX // openat(, "/dev/tty", O_RDWR|O_NOCTTY|O_CLOEXEC): standard input may be another file
	MOVQ	$-100, DI
	LEAQ	40(R14), SI
	MOVL	$0x80102, DX
	XORL	R10, R10
	SYSCALL
	TESTQ	AX, AX
	JGE	terminal
	XORL	AX, AX
terminal:
	MOVQ	AX, DI
	MOVL	$16, AX // ioctl(, TIOCSPGRP, own group): SIGTTOU is blocked; without a terminal it fails
	MOVL	$0x5410, SI
	LEAQ	-72(SP), DX
	SYSCALL
	MOVL	$14, AX // rt_sigprocmask(SIG_SETMASK, old)
	MOVL	$2, DI
	LEAQ	-64(SP), SI
	XORL	DX, DX
	MOVL	$8, R10
	SYSCALL

	// LISTEN_PID=1 is for the program (sd_listen_fds(3)), which is not 1.
	MOVL	$110, AX // getppid
	SYSCALL
	CMPQ	AX, $1
	JNE	find
	MOVQ	R13, DI
listen:
	MOVQ	(DI), SI
	ADDQ	$8, DI
	TESTQ	SI, SI
	JEQ	find
	LEAQ	190(R14), R8 // "LISTEN_PID=1", with its end
	MOVL	$13, CX
same:
	MOVB	(SI), AX
	CMPB	AX, (R8)
	JNE	listen
	INCQ	SI
	INCQ	R8
	DECL	CX
	JNE	same
	LEAQ	-80(SP), SI // the new string, from its end to its beginning
	MOVB	$0, (SI)
	MOVL	-72(SP), AX
	MOVL	$10, CX
digit:
	XORL	DX, DX
	DIVL	CX
	ADDL	$48, DX
	DECQ	SI
	MOVB	DX, (SI)
	TESTL	AX, AX
	JNE	digit
	LEAQ	201(R14), R8
	MOVL	$11, CX
before:
	DECQ	SI
	DECQ	R8
	MOVB	(R8), AX
	MOVB	AX, (SI)
	DECL	CX
	JNE	before
	MOVQ	SI, -8(DI)

find:
	MOVQ	(R12), BX
	MOVQ	BX, SI
name:
	MOVB	(SI), AX
	INCQ	SI
	CMPB	AX, $0x2f
	JEQ	direct
	TESTB	AX, AX
	JNE	name
	SUBQ	BX, SI
	MOVQ	SI, R15 // with its end
	MOVL	$2, R9  // ENOENT
	CMPQ	R15, $1
	JEQ	failed
	CMPQ	R15, $256 // NAME_MAX
	JGT	failed
	LEAQ	129(R14), R8 // the usual PATH
	MOVQ	R13, DI
env:
	MOVQ	(DI), SI
	ADDQ	$8, DI
	TESTQ	SI, SI
	JEQ	element
	LEAQ	203(R14), R10 // "PATH="
	MOVL	$5, CX
path:
	MOVB	(SI), AX
	CMPB	AX, (R10)
	JNE	env
	INCQ	SI
	INCQ	R10
	DECL	CX
	JNE	path
	MOVQ	SI, R8
element:
	LEAQ	-8192(SP), DI
	MOVQ	DI, R10
	LEAQ	-4400(SP), CX // no more than the kernel takes
copy:
	MOVB	(R8), AX
	TESTB	AX, AX
	JEQ	copied
	CMPB	AX, $0x3a
	JEQ	copied
	INCQ	R8
	CMPQ	R10, CX
	JEQ	copy
	MOVB	AX, (R10)
	INCQ	R10
	JMP	copy
copied:
	CMPQ	R10, CX
	JEQ	next
	CMPQ	R10, DI // an empty element is the working directory
	JEQ	relative
	MOVB	$0x2f, (R10)
	INCQ	R10
relative:
	MOVQ	BX, SI
append:
	MOVB	(SI), AX
	MOVB	AX, (R10)
	INCQ	SI
	INCQ	R10
	TESTB	AX, AX
	JNE	append
	MOVL	$59, AX // execve
	MOVQ	R12, SI
	MOVQ	R13, DX
	SYSCALL
	CMPQ	AX, $-2 // ENOENT, ENOTDIR: look further
	JEQ	next
	CMPQ	AX, $-20
	JEQ	next
	NEGQ	AX
	MOVQ	AX, R9
	CMPQ	AX, $13 // EACCES: look further, but tell of it
	JNE	failed
next:
	MOVB	(R8), AX
	TESTB	AX, AX
	JEQ	failed
	INCQ	R8
	JMP	element
direct:
	MOVL	$59, AX
	MOVQ	BX, DI
	MOVQ	R12, SI
	MOVQ	R13, DX
	SYSCALL
	NEGQ	AX
	MOVQ	AX, R9

failed:
	MOVL	$1, AX // write(2, "oci-init: ")
	MOVL	$2, DI
	LEAQ	52(R14), SI
	MOVL	$10, DX
	SYSCALL
	MOVQ	BX, DX
length:
	MOVB	(DX), AX
	INCQ	DX
	TESTB	AX, AX
	JNE	length
	DECQ	DX
	SUBQ	BX, DX
	MOVL	$1, AX
	MOVL	$2, DI
	MOVQ	BX, SI
	SYSCALL
	LEAQ	62(R14), SI // not found
	MOVL	$12, DX
	MOVL	$127, R15
	CMPQ	R9, $2
	JEQ	say
	CMPQ	R9, $20
	JEQ	say
	LEAQ	74(R14), SI // cannot be executed
	MOVL	$21, DX
	MOVL	$126, R15
	JMP	say
nofork:
	LEAQ	106(R14), R12
	MOVL	$23, R13
	JMP	broken
usage:
	LEAQ	95(R14), R12
	MOVL	$11, R13
broken:
	MOVL	$1, AX
	MOVL	$2, DI
	LEAQ	52(R14), SI
	MOVL	$10, DX
	SYSCALL
	MOVQ	R12, SI
	MOVQ	R13, DX
	MOVL	$125, R15
say:
	MOVL	$1, AX
	MOVL	$2, DI
	SYSCALL
	MOVQ	R15, DI
exit:
	MOVL	$231, AX // exit_group
	SYSCALL
	UNDEF
	BYTE	$0x74; BYTE $0x69; BYTE $0x6e; BYTE $0x69 // "tini-ico": the second marker
	BYTE	$0x2d; BYTE $0x69; BYTE $0x63; BYTE $0x6f
