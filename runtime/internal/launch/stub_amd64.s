//go:build linux

#include "textflag.h"

// The interpreter of plans. It runs in a process of its own, from a sealed memfd, without a Go
// runtime and without a stack of its own making: registers, the plan's memory, and system calls.
// It is position-independent and refers to no symbol; image_linux.go copies it up to the marker.
//
// R14 data segment, R12 steps, R15 index of the step, R13 the step, BX its flags.
// The layout of the data segment and of a step is that of image_linux.go.
TEXT ·stub(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ	$0x20000000, R14
	MOVQ	8(R14), R12
	XORL	R15, R15

step:
	MOVQ	R15, R13
	IMULQ	$104, R13
	ADDQ	R12, R13
	MOVL	4(R13), BX
	MOVQ	8(R13), DI
	MOVQ	16(R13), SI
	MOVQ	24(R13), DX
	MOVQ	32(R13), R10
	MOVQ	40(R13), R8
	MOVQ	48(R13), R9
	TESTL	$1, BX
	JEQ	load1
	MOVQ	(DI), DI
load1:
	TESTL	$2, BX
	JEQ	load2
	MOVQ	(SI), SI
load2:
	TESTL	$4, BX
	JEQ	load3
	MOVQ	(DX), DX
load3:
	TESTL	$8, BX
	JEQ	load4
	MOVQ	(R10), R10
load4:
	TESTL	$16, BX
	JEQ	load5
	MOVQ	(R8), R8
load5:
	TESTL	$32, BX
	JEQ	load6
	MOVQ	(R9), R9
load6:
	MOVL	0(R13), AX
	CMPL	AX, $0x10000
	JCC	pseudo
	SYSCALL
	CMPQ	AX, $0xfffffffffffff001
	JCC	failed
	MOVQ	56(R13), CX
	TESTQ	CX, CX
	JEQ	stored
	MOVQ	AX, (CX)
stored:
	TESTL	$64, BX
	JEQ	next
	TESTQ	AX, AX
	JNE	next
	MOVL	$61, AX // ENODATA: the other end is gone
	JMP	rules

next:
	MOVLQSX	96(R13), CX
	TESTL	CX, CX
	JLT	fallthrough
	MOVQ	CX, R15
	JMP	step
fallthrough:
	INCQ	R15
	JMP	step

failed:
	NEGQ	AX
	CMPL	AX, $4 // EINTR
	JEQ	step
rules:
	LEAQ	64(R13), CX
	MOVL	$4, R8
rule:
	MOVL	(CX), R9
	TESTL	R9, R9
	JEQ	fatal
	CMPL	R9, AX
	JEQ	matched
	CMPL	R9, $-1
	JEQ	matched
	ADDQ	$8, CX
	DECL	R8
	JNE	rule
	JMP	fatal
matched:
	MOVL	4(CX), R15
	JMP	step

pseudo:
	CMPL	AX, $0x10001
	JEQ	set
	CMPL	AX, $0x10002
	JEQ	fail
	ANDQ	SI, DI
	CMPL	AX, $0x10003
	JEQ	unequal
	CMPQ	DI, DX
	JNE	fallthrough
	MOVQ	R10, R15
	JMP	step
unequal:
	CMPQ	DI, DX
	JEQ	fallthrough
	MOVQ	R10, R15
	JMP	step
set:
	MOVQ	SI, (DI)
	JMP	next
fail:
	MOVQ	DI, AX
	JMP	rules

fatal: // write the record {failure, step, errno} and end
	MOVL	$1, 16(R14)
	MOVL	R15, 20(R14)
	MOVL	AX, 24(R14)
	MOVL	$1, AX
	MOVQ	0(R14), DI
	LEAQ	16(R14), SI
	MOVL	$16, DX
	SYSCALL
	MOVL	$231, AX
	MOVL	$125, DI
	SYSCALL
	UNDEF
	BYTE	$0x6f; BYTE $0x63; BYTE $0x69; BYTE $0x2d // "oci-stub": the marker
	BYTE	$0x73; BYTE $0x74; BYTE $0x75; BYTE $0x62

// func stubAddress() unsafe.Pointer
TEXT ·stubAddress(SB), NOSPLIT, $0-8
	LEAQ	·stub(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
