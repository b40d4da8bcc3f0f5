//go:build linux

#include "textflag.h"

// The interpreter of plans: see stub_amd64.s, of which this is the twin, label for label.
//
// R19 data segment, R20 steps, R21 index of the step, R22 the step, R23 its flags.
TEXT ·stub(SB), NOSPLIT|NOFRAME, $0-0
	MOVD	$0x20000000, R19
	MOVD	8(R19), R20
	MOVD	$0, R21

step:
	MOVD	$104, R9
	MUL	R9, R21, R22
	ADD	R20, R22, R22
	MOVWU	4(R22), R23
	MOVD	8(R22), R0
	MOVD	16(R22), R1
	MOVD	24(R22), R2
	MOVD	32(R22), R3
	MOVD	40(R22), R4
	MOVD	48(R22), R5
	TBZ	$0, R23, load1
	MOVD	(R0), R0
load1:
	TBZ	$1, R23, load2
	MOVD	(R1), R1
load2:
	TBZ	$2, R23, load3
	MOVD	(R2), R2
load3:
	TBZ	$3, R23, load4
	MOVD	(R3), R3
load4:
	TBZ	$4, R23, load5
	MOVD	(R4), R4
load5:
	TBZ	$5, R23, load6
	MOVD	(R5), R5
load6:
	MOVWU	0(R22), R8
	MOVD	$0x10000, R9
	CMP	R9, R8
	BHS	pseudo
	SVC
	CMN	$4095, R0
	BHS	failed
	MOVD	56(R22), R9
	CBZ	R9, stored
	MOVD	R0, (R9)
stored:
	TBZ	$6, R23, next
	CBNZ	R0, next
	MOVD	$61, R0 // ENODATA
	B	rules

next:
	MOVW	96(R22), R9
	TBNZ	$31, R9, fallthrough
	MOVD	R9, R21
	B	step
fallthrough:
	ADD	$1, R21, R21
	B	step

failed:
	NEG	R0, R0
	CMP	$4, R0 // EINTR
	BEQ	step
rules:
	ADD	$64, R22, R9
	MOVD	$4, R10
	MOVD	$0xffffffff, R12
rule:
	MOVWU	(R9), R11
	CBZ	R11, fatal
	CMP	R0, R11
	BEQ	matched
	CMP	R12, R11
	BEQ	matched
	ADD	$8, R9, R9
	SUB	$1, R10, R10
	CBNZ	R10, rule
	B	fatal
matched:
	MOVWU	4(R9), R21
	B	step

pseudo:
	SUB	R9, R8, R8
	CMP	$1, R8
	BEQ	set
	CMP	$2, R8
	BEQ	rules // fail: the errno is the first argument
	AND	R1, R0, R0
	CMP	$3, R8
	BEQ	unequal
	CMP	R2, R0
	BNE	fallthrough
	MOVD	R3, R21
	B	step
unequal:
	CMP	R2, R0
	BEQ	fallthrough
	MOVD	R3, R21
	B	step
set:
	MOVD	R1, (R0)
	B	next

fatal: // write the record {failure, step, errno} and end
	MOVD	$1, R9
	MOVW	R9, 16(R19)
	MOVW	R21, 20(R19)
	MOVW	R0, 24(R19)
	MOVD	0(R19), R0
	ADD	$16, R19, R1
	MOVD	$16, R2
	MOVD	$64, R8 // write
	SVC
	MOVD	$125, R0
	MOVD	$94, R8 // exit_group
	SVC
	UNDEF
	WORD	$0x2d69636f // "oci-stub": the marker
	WORD	$0x62757473

// func stubAddress() unsafe.Pointer
TEXT ·stubAddress(SB), NOSPLIT, $0-8
	MOVD	$·stub(SB), R0
	MOVD	R0, ret+0(FP)
	RET
