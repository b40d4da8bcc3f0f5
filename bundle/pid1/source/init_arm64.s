#include "textflag.h"

// The init: see init_amd64.s, of which this is the twin, label for label.
//
// R19 constants, R20 arguments of the program, R21 environment, R22 process id of the program (in the child: its name),
// R23 exit status (in the child: length of the name), R24 options of wait4 (in the child: what failed), R25 the stack.
TEXT ·code(SB), NOSPLIT|NOFRAME, $0-0
	WORD	$0x2d69636f // "oci-init": the first marker
	WORD	$0x74696e69
	MOVD	$0xb0, R19
	MOVD	$0x10000, R9
	ADD	R9, R19, R19
	MOVD	RSP, R25
	MOVD	(R25), R9 // argc
	ADD	$16, R25, R20
	ADD	R9<<3, R20, R21
	CMP	$2, R9
	BLT	usage
	MOVD	(R20), R10
	MOVBU	(R10), R11
	CMP	$0x2d, R11
	BNE	named
	MOVBU	1(R10), R11
	CMP	$0x2d, R11
	BNE	named
	MOVBU	2(R10), R11
	CBNZ	R11, named
	ADD	$8, R20, R20
named:
	MOVD	(R20), R9
	CBZ	R9, usage

	MOVD	$135, R8 // rt_sigprocmask
	MOVD	$2, R0
	MOVD	R19, R1
	SUB	$64, R25, R2
	MOVD	$8, R3
	SVC
	MOVD	$134, R8 // rt_sigaction
	MOVD	$17, R0
	ADD	$8, R19, R1
	MOVD	$0, R2
	MOVD	$8, R3
	SVC
	MOVD	$167, R8 // prctl
	MOVD	$36, R0
	MOVD	$1, R1
	MOVD	$0, R2
	MOVD	$0, R3
	MOVD	$0, R4
	SVC
	MOVD	$220, R8 // clone
	MOVD	$17, R0
	MOVD	$0, R1
	MOVD	$0, R2
	MOVD	$0, R3
	MOVD	$0, R4
	SVC
	CBZ	R0, child
	TBNZ	$63, R0, nofork
	MOVD	R0, R22

	MOVD	$49, R8 // chdir
	ADD	$50, R19, R0
	SVC
	MOVD	$436, R8 // close_range
	MOVD	$3, R0
	MOVD	$0xffffffff, R1
	MOVD	$0, R2
	SVC
	MOVD	$-1, R23
	MOVD	$1, R24 // WNOHANG

wait:
	MOVD	$137, R8 // rt_sigtimedwait
	MOVD	R19, R0
	MOVD	$0, R1
	MOVD	$0, R2
	MOVD	$8, R3
	SVC
	CMP	$17, R0 // SIGCHLD
	BEQ	reap
	TBNZ	$63, R0, nowait
	CMP	$21, R0 // SIGTTIN, SIGTTOU
	BEQ	wait
	CMP	$22, R0
	BEQ	wait
	MOVD	R0, R1
	MOVD	$129, R8 // kill
	MOVD	R22, R0
	SVC
	B	wait
nowait:
	CMN	$4, R0 // EINTR
	BEQ	wait
	MOVD	$0, R24
reap:
	MOVD	$260, R8 // wait4
	MOVD	$-1, R0
	SUB	$64, R25, R1
	MOVD	R24, R2
	MOVD	$0, R3
	SVC
	CMP	R22, R0
	BEQ	ended
	CMN	$4, R0
	BEQ	reap
	CMP	$0, R0
	BGT	reap
	TBNZ	$63, R23, wait
	MOVD	R23, R0
	B	exit
ended:
	MOVWU	-64(R25), R9
	LSR	$8, R9, R23
	AND	$0xff, R23, R23
	AND	$0x7f, R9, R9
	CBZ	R9, all
	ADD	$128, R9, R23
all:
	MOVD	$1, R24
	B	reap

child:
	MOVD	$154, R8 // setpgid
	MOVD	$0, R0
	MOVD	$0, R1
	SVC
	MOVD	$172, R8 // getpid
	SVC
	MOVW	R0, -72(R25)
	MOVD	$56, R8 // openat
	MOVD	$-100, R0
	ADD	$40, R19, R1
	MOVD	$0x80000, R2 // O_CLOEXEC|O_NOCTTY|O_RDWR
	MOVD	$0x102, R9
	ORR	R9, R2, R2
	MOVD	$0, R3
	SVC
	TBZ	$63, R0, terminal
	MOVD	$0, R0
terminal:
	MOVD	$29, R8 // ioctl
	MOVD	$0x5410, R1
	SUB	$72, R25, R2
	SVC
	MOVD	$135, R8 // rt_sigprocmask
	MOVD	$2, R0
	SUB	$64, R25, R1
	MOVD	$0, R2
	MOVD	$8, R3
	SVC

	MOVD	$173, R8 // getppid
	SVC
	CMP	$1, R0
	BNE	find
	MOVD	R21, R9
listen:
	MOVD	(R9), R10
	ADD	$8, R9, R9
	CBZ	R10, find
	ADD	$190, R19, R11
	MOVD	$13, R12
same:
	MOVBU	(R10), R13
	MOVBU	(R11), R14
	CMP	R13, R14
	BNE	listen
	ADD	$1, R10, R10
	ADD	$1, R11, R11
	SUB	$1, R12, R12
	CBNZ	R12, same
	SUB	$80, R25, R10
	MOVB	ZR, (R10)
	MOVWU	-72(R25), R11
	MOVD	$10, R12
digit:
	UDIV	R12, R11, R13
	MSUB	R12, R11, R13, R14 // R11 - R13 * 10
	ADD	$48, R14, R14
	SUB	$1, R10, R10
	MOVB	R14, (R10)
	MOVD	R13, R11
	CBNZ	R11, digit
	ADD	$201, R19, R11
	MOVD	$11, R12
before:
	SUB	$1, R10, R10
	SUB	$1, R11, R11
	MOVBU	(R11), R13
	MOVB	R13, (R10)
	SUB	$1, R12, R12
	CBNZ	R12, before
	MOVD	R10, -8(R9)

find:
	MOVD	(R20), R22
	MOVD	R22, R10
name:
	MOVBU	(R10), R11
	ADD	$1, R10, R10
	CMP	$0x2f, R11
	BEQ	direct
	CBNZ	R11, name
	SUB	R22, R10, R23
	MOVD	$2, R24 // ENOENT
	CMP	$1, R23
	BEQ	failed
	CMP	$256, R23
	BGT	failed
	ADD	$129, R19, R4
	MOVD	R21, R9
env:
	MOVD	(R9), R10
	ADD	$8, R9, R9
	CBZ	R10, element
	ADD	$203, R19, R11
	MOVD	$5, R12
path:
	MOVBU	(R10), R13
	MOVBU	(R11), R14
	CMP	R13, R14
	BNE	env
	ADD	$1, R10, R10
	ADD	$1, R11, R11
	SUB	$1, R12, R12
	CBNZ	R12, path
	MOVD	R10, R4
element:
	SUB	$8192, R25, R0
	MOVD	R0, R10
	MOVD	$3792, R12
	ADD	R0, R12, R12
copy:
	MOVBU	(R4), R11
	CBZ	R11, copied
	CMP	$0x3a, R11
	BEQ	copied
	ADD	$1, R4, R4
	CMP	R10, R12
	BEQ	copy
	MOVB	R11, (R10)
	ADD	$1, R10, R10
	B	copy
copied:
	CMP	R10, R12
	BEQ	next
	CMP	R10, R0
	BEQ	relative
	MOVD	$0x2f, R11
	MOVB	R11, (R10)
	ADD	$1, R10, R10
relative:
	MOVD	R22, R11
append:
	MOVBU	(R11), R13
	MOVB	R13, (R10)
	ADD	$1, R10, R10
	ADD	$1, R11, R11
	CBNZ	R13, append
	MOVD	$221, R8 // execve
	MOVD	R20, R1
	MOVD	R21, R2
	SVC
	CMN	$2, R0
	BEQ	next
	CMN	$20, R0
	BEQ	next
	NEG	R0, R24
	CMP	$13, R24
	BNE	failed
next:
	MOVBU	(R4), R11
	CBZ	R11, failed
	ADD	$1, R4, R4
	B	element
direct:
	MOVD	$221, R8
	MOVD	R22, R0
	MOVD	R20, R1
	MOVD	R21, R2
	SVC
	NEG	R0, R24

failed:
	MOVD	$64, R8 // write
	MOVD	$2, R0
	ADD	$52, R19, R1
	MOVD	$10, R2
	SVC
	MOVD	R22, R2
length:
	MOVBU	(R2), R11
	ADD	$1, R2, R2
	CBNZ	R11, length
	SUB	$1, R2, R2
	SUB	R22, R2, R2
	MOVD	$2, R0
	MOVD	R22, R1
	SVC
	ADD	$62, R19, R1
	MOVD	$12, R2
	MOVD	$127, R23
	CMP	$2, R24
	BEQ	say
	CMP	$20, R24
	BEQ	say
	ADD	$74, R19, R1
	MOVD	$21, R2
	MOVD	$126, R23
	B	say
nofork:
	ADD	$106, R19, R20
	MOVD	$23, R21
	B	broken
usage:
	ADD	$95, R19, R20
	MOVD	$11, R21
broken:
	MOVD	$64, R8
	MOVD	$2, R0
	ADD	$52, R19, R1
	MOVD	$10, R2
	SVC
	MOVD	R20, R1
	MOVD	R21, R2
	MOVD	$125, R23
say:
	MOVD	$64, R8
	MOVD	$2, R0
	SVC
	MOVD	R23, R0
exit:
	MOVD	$94, R8 // exit_group
	SVC
	UNDEF
	WORD	$0x696e6974 // "tini-ico": the second marker
	WORD	$0x6f63692d
