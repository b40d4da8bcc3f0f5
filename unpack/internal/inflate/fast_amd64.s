//go:build !purego

#include "go_asm.h"
#include "textflag.h"

// What the registers hold throughout:
//
//	BX   bits, next lowest            DX   their number in the low 8 bits, rubbish above
//	SI   tables                       AX   entry of the next literal or length
//	R8   next input byte              R9   where to stop reading
//	R10  next output byte             R11  where to stop writing
//	R12  start of the member
//
// CX, DI, R13, R14 and X0 to X1 are scratch. R15 stays untouched, for dynamic linking.

// REFILL makes the bits 56 to 63. It loads 8 bytes, of which it takes those that fit whole.
#define REFILL \
	SHLXQ DX, (R8), DI; \
	ORQ   DI, BX; \
	MOVL  DX, CX; \
	SHRL  $3, CX; \
	ANDL  $7, CX; \
	ADDQ  $7, R8; \
	SUBQ  CX, R8; \
	ORL   $56, DX

// ENTRY gets the entry of the next literal or length.
#define ENTRY(reg) \
	MOVL BX, reg; \
	ANDL $const_litMask, reg; \
	MOVL tables_lit(SI)(reg*4), reg

// USE drops the bits of the symbol whose entry is reg.
#define USE(reg) \
	SHRXQ reg, BX, BX; \
	SUBL  reg, DX

// func fastBMI2(c *core) event
TEXT ·fastBMI2(SB), NOSPLIT, $0-16
	MOVQ c+0(FP), DI
	MOVQ core_in+0(DI), R8
	MOVQ core_in+8(DI), R9
	SUBQ $const_inSlack, R9
	ADDQ R8, R9
	ADDQ core_pos(DI), R8
	MOVQ core_out+0(DI), R10
	MOVQ R10, R11
	ADDQ core_limit(DI), R11
	MOVQ R10, R12
	ADDQ core_base(DI), R12
	ADDQ core_w(DI), R10
	MOVQ core_bits(DI), BX
	MOVQ core_have(DI), DX
	MOVQ core_tables(DI), SI
	CMPQ R8, R9
	JGT  stop
	CMPQ R10, R11
	JGE  stop
	REFILL
	ENTRY(AX)
	JMP  edge

symbol:
	TESTL AX, AX
	JNS   length
	USE(AX)
	ENTRY(CX)
	SHRL  $16, AX
	MOVB  AL, (R10)
	INCQ  R10
	MOVL  CX, AX
	TESTL CX, CX
	JNS   length
	USE(AX)
	ENTRY(CX)
	SHRL  $16, AX
	MOVB  AL, (R10)
	INCQ  R10
	MOVL  CX, AX
	TESTL CX, CX
	JNS   length
	USE(AX)
	ENTRY(CX)
	SHRL  $16, AX
	MOVB  AL, (R10)
	INCQ  R10
	MOVL  CX, AX
	REFILL

edge:
	CMPQ R8, R9
	JGT  stop
	CMPQ R10, R11
	JLT  symbol
	JMP  stop

length:
	TESTL $const_entryOther, AX
	JNZ   other

plain:
	BZHIQ AX, BX, R13
	USE(AX)
	MOVL  AX, CX
	SHRL  $8, CX
	SHRXQ CX, R13, R13
	SHRL  $16, AX
	ADDQ  AX, R13           // R13 = length
	CMPB  DL, $(28+const_litBits)
	JCC   distance
	REFILL

distance:
	MOVBLZX BL, CX
	MOVL    tables_dist(SI)(CX*4), CX
	TESTL   $const_entryOther, CX
	JNZ     otherdist

plaindist:
	BZHIQ CX, BX, R14
	USE(CX)
	MOVL  CX, DI
	SHRL  $8, DI
	SHRXQ DI, R14, R14
	SHRL  $16, CX
	ADDQ  CX, R14
	MOVQ  R14, CX           // the distance
	NEGQ  R14
	ADDQ  R10, R14          // R14 = where the match is
	CMPQ  R14, R12
	JLT   baddist
	ENTRY(AX)               // before the copy, which does not wait for it
	CMPQ  CX, $16
	JLT   near
	MOVOU (R14), X0
	MOVOU X0, (R10)
	MOVOU 16(R14), X1       // after the store: it may be what was stored
	MOVOU X1, 16(R10)
	CMPQ  R13, $32
	JGT   far
	ADDQ  R13, R10
	REFILL
	JMP   edge

far:
	ADDQ R10, R13           // R13 = end of the output

farther:
	ADDQ  $32, R14
	ADDQ  $32, R10
	MOVOU (R14), X0
	MOVOU X0, (R10)
	MOVOU 16(R14), X1
	MOVOU X1, 16(R10)
	LEAQ  32(R10), CX
	CMPQ  CX, R13
	JLT   farther
	MOVQ  R13, R10
	REFILL
	JMP   edge

near:
	// The pattern of up to 15 bytes, as often as it fits into 16.
	LEAQ    nearStep<>(SB), DI
	MOVBLZX (DI)(CX*1), DI
	SHLQ    $4, CX
	MOVOU   (R14), X0
	LEAQ    nearShuffle<>(SB), R14
	MOVOU   (R14)(CX*1), X1
	PSHUFB  X1, X0
	ADDQ    R10, R13        // R13 = end of the output

nearer:
	MOVOU X0, (R10)
	ADDQ  DI, R10
	CMPQ  R10, R13
	JLT   nearer
	MOVQ  R13, R10
	REFILL
	JMP   edge

other:
	TESTL $const_entrySub, AX
	JZ    stop
	MOVQ  BX, DI
	SHRQ  $const_litBits, DI
	MOVL  AX, CX
	SHRL  $8, CX
	ANDL  $15, CX
	BZHIQ CX, DI, CX
	MOVL  AX, DI
	SHRL  $16, DI
	ADDL  DI, CX
	MOVL  tables_lit(SI)(CX*4), CX
	TESTL CX, CX
	JS    longliteral
	TESTL $const_entryOther, CX
	JNZ   stop
	USE(AX)                 // the bits that led to the subtable
	MOVL  CX, AX
	JMP   plain

longliteral:
	USE(AX)
	USE(CX)
	SHRL $16, CX
	MOVB CL, (R10)
	INCQ R10
	REFILL
	ENTRY(AX)
	JMP  edge

otherdist:
	TESTL $const_entrySub, CX
	JZ    badcode
	USE(CX)
	MOVL  CX, DI
	SHRL  $8, DI
	ANDL  $15, DI
	BZHIQ DI, BX, DI
	SHRL  $16, CX
	ADDL  DI, CX
	MOVL  tables_dist(SI)(CX*4), CX
	TESTL $const_entryOther, CX
	JZ    plaindist

badcode:
	MOVQ $const_badCode, R14
	JMP  done

baddist:
	MOVQ $const_badDist, R14
	JMP  done

stop:
	MOVQ $const_atEdge, R14

done:
	MOVQ    c+0(FP), DI
	SUBQ    core_in+0(DI), R8
	MOVQ    R8, core_pos(DI)
	SUBQ    core_out+0(DI), R10
	MOVQ    R10, core_w(DI)
	MOVBLZX DL, DX
	MOVQ    DX, core_have(DI)
	BZHIQ   DX, BX, BX
	MOVQ    BX, core_bits(DI)
	MOVQ    R14, ret+8(FP)
	RET

// nearShuffle repeats, for each distance below 16, the first bytes of a register throughout it.
DATA nearShuffle<>+0x00(SB)/8, $0x0000000000000000
DATA nearShuffle<>+0x08(SB)/8, $0x0000000000000000
DATA nearShuffle<>+0x10(SB)/8, $0x0000000000000000
DATA nearShuffle<>+0x18(SB)/8, $0x0000000000000000
DATA nearShuffle<>+0x20(SB)/8, $0x0100010001000100
DATA nearShuffle<>+0x28(SB)/8, $0x0100010001000100
DATA nearShuffle<>+0x30(SB)/8, $0x0100020100020100
DATA nearShuffle<>+0x38(SB)/8, $0x0002010002010002
DATA nearShuffle<>+0x40(SB)/8, $0x0302010003020100
DATA nearShuffle<>+0x48(SB)/8, $0x0302010003020100
DATA nearShuffle<>+0x50(SB)/8, $0x0201000403020100
DATA nearShuffle<>+0x58(SB)/8, $0x0004030201000403
DATA nearShuffle<>+0x60(SB)/8, $0x0100050403020100
DATA nearShuffle<>+0x68(SB)/8, $0x0302010005040302
DATA nearShuffle<>+0x70(SB)/8, $0x0006050403020100
DATA nearShuffle<>+0x78(SB)/8, $0x0100060504030201
DATA nearShuffle<>+0x80(SB)/8, $0x0706050403020100
DATA nearShuffle<>+0x88(SB)/8, $0x0706050403020100
DATA nearShuffle<>+0x90(SB)/8, $0x0706050403020100
DATA nearShuffle<>+0x98(SB)/8, $0x0605040302010008
DATA nearShuffle<>+0xa0(SB)/8, $0x0706050403020100
DATA nearShuffle<>+0xa8(SB)/8, $0x0504030201000908
DATA nearShuffle<>+0xb0(SB)/8, $0x0706050403020100
DATA nearShuffle<>+0xb8(SB)/8, $0x04030201000a0908
DATA nearShuffle<>+0xc0(SB)/8, $0x0706050403020100
DATA nearShuffle<>+0xc8(SB)/8, $0x030201000b0a0908
DATA nearShuffle<>+0xd0(SB)/8, $0x0706050403020100
DATA nearShuffle<>+0xd8(SB)/8, $0x0201000c0b0a0908
DATA nearShuffle<>+0xe0(SB)/8, $0x0706050403020100
DATA nearShuffle<>+0xe8(SB)/8, $0x01000d0c0b0a0908
DATA nearShuffle<>+0xf0(SB)/8, $0x0706050403020100
DATA nearShuffle<>+0xf8(SB)/8, $0x000e0d0c0b0a0908
GLOBL nearShuffle<>(SB), RODATA|NOPTR, $256

// nearStep is how many of the 16 bytes are whole repetitions.
DATA nearStep<>+0x00(SB)/8, $0x0e0c0f100f101000
DATA nearStep<>+0x08(SB)/8, $0x0f0e0d0c0b0a0910
GLOBL nearStep<>(SB), RODATA|NOPTR, $16
