#include "textflag.h"

// Two blocks of SHA-256 at once, one of each message, with the SHA extensions of x86 (Intel 64
// manual, volume 1, chapter 12.5). SHA256RNDS2 has a latency of four cycles and can begin every
// second: one message alone leaves half of the unit idle.
//
// A state is in two registers, as the instructions want it: ABEF and CDGH. Four more hold the last
// sixteen words of the message. X0 is the implicit operand of SHA256RNDS2, X13 is for the moment,
// X15 turns words round.

// FIRST does rounds 4g and 4g+1 with the words w, and leaves in X0 what SECOND needs.
#define FIRST(g, w, abef, cdgh) \
	MOVOU       (g*16)(AX), X0; \
	PADDD       w, X0; \
	SHA256RNDS2 X0, abef, cdgh

// SECOND does rounds 4g+2 and 4g+3.
#define SECOND(abef, cdgh) \
	PSHUFD      $0x0e, X0, X0; \
	SHA256RNDS2 X0, cdgh, abef

// LOAD reads four words of the message.
#define LOAD(off, p, w) \
	MOVOU  (off)(p), w; \
	PSHUFB X15, w

// NEXT finishes the words of group g+1, whose first part EARLY has done.
#define NEXT(before, w, next) \
	MOVO       w, X13; \
	PALIGNR    $4, before, X13; \
	PADDD      X13, next; \
	SHA256MSG2 w, next

#define EARLY(before, w) SHA256MSG1 w, before

// The groups of four rounds, by what they do beside them.
#define G0(p, w0, abef, cdgh) \
	LOAD(0, p, w0); FIRST(0, w0, abef, cdgh); SECOND(abef, cdgh)

#define GLOAD(g, p, before, w, abef, cdgh) \
	LOAD(g*16, p, w); FIRST(g, w, abef, cdgh); SECOND(abef, cdgh); EARLY(before, w)

#define G3(p, before, w, next, abef, cdgh) \
	LOAD(48, p, w); FIRST(3, w, abef, cdgh); NEXT(before, w, next); SECOND(abef, cdgh); EARLY(before, w)

#define GFULL(g, before, w, next, abef, cdgh) \
	FIRST(g, w, abef, cdgh); NEXT(before, w, next); SECOND(abef, cdgh); EARLY(before, w)

#define GLATE(g, before, w, next, abef, cdgh) \
	FIRST(g, w, abef, cdgh); NEXT(before, w, next); SECOND(abef, cdgh)

#define GLAST(w, abef, cdgh) \
	FIRST(15, w, abef, cdgh); SECOND(abef, cdgh)

// ENTER brings a state into the form of the instructions, EXIT back.
#define ENTER(h, abef, cdgh) \
	MOVOU   (h), X13; \
	MOVOU   16(h), cdgh; \
	PSHUFD  $0xb1, X13, X13; \
	PSHUFD  $0x1b, cdgh, cdgh; \
	MOVO    X13, abef; \
	PALIGNR $8, cdgh, abef; \
	PBLENDW $0xf0, X13, cdgh

#define EXIT(h, abef, cdgh) \
	PSHUFD  $0x1b, abef, X13; \
	PSHUFD  $0xb1, cdgh, cdgh; \
	MOVO    X13, abef; \
	PBLENDW $0xf0, cdgh, abef; \
	PALIGNR $8, X13, cdgh; \
	MOVOU   abef, (h); \
	MOVOU   cdgh, 16(h)

// func blocks2(a, b *[8]uint32, p, q *byte, n int)
TEXT ·blocks2(SB), NOSPLIT, $64-40
	MOVQ  a+0(FP), DI
	MOVQ  b+8(FP), SI
	MOVQ  p+16(FP), R8
	MOVQ  q+24(FP), R9
	MOVQ  n+32(FP), CX
	LEAQ  constants<>(SB), AX
	MOVOU turn<>(SB), X15
	ENTER(DI, X1, X2)
	ENTER(SI, X7, X8)

loop:
	MOVOU X1, 0(SP)
	MOVOU X2, 16(SP)
	MOVOU X7, 32(SP)
	MOVOU X8, 48(SP)

	G0(R8, X3, X1, X2)
	G0(R9, X9, X7, X8)
	GLOAD(1, R8, X3, X4, X1, X2)
	GLOAD(1, R9, X9, X10, X7, X8)
	GLOAD(2, R8, X4, X5, X1, X2)
	GLOAD(2, R9, X10, X11, X7, X8)
	G3(R8, X5, X6, X3, X1, X2)
	G3(R9, X11, X12, X9, X7, X8)
	GFULL(4, X6, X3, X4, X1, X2)
	GFULL(4, X12, X9, X10, X7, X8)
	GFULL(5, X3, X4, X5, X1, X2)
	GFULL(5, X9, X10, X11, X7, X8)
	GFULL(6, X4, X5, X6, X1, X2)
	GFULL(6, X10, X11, X12, X7, X8)
	GFULL(7, X5, X6, X3, X1, X2)
	GFULL(7, X11, X12, X9, X7, X8)
	GFULL(8, X6, X3, X4, X1, X2)
	GFULL(8, X12, X9, X10, X7, X8)
	GFULL(9, X3, X4, X5, X1, X2)
	GFULL(9, X9, X10, X11, X7, X8)
	GFULL(10, X4, X5, X6, X1, X2)
	GFULL(10, X10, X11, X12, X7, X8)
	GFULL(11, X5, X6, X3, X1, X2)
	GFULL(11, X11, X12, X9, X7, X8)
	GFULL(12, X6, X3, X4, X1, X2)
	GFULL(12, X12, X9, X10, X7, X8)
	GLATE(13, X3, X4, X5, X1, X2)
	GLATE(13, X9, X10, X11, X7, X8)
	GLATE(14, X4, X5, X6, X1, X2)
	GLATE(14, X10, X11, X12, X7, X8)
	GLAST(X6, X1, X2)
	GLAST(X12, X7, X8)

	MOVOU 0(SP), X13
	PADDD X13, X1
	MOVOU 16(SP), X13
	PADDD X13, X2
	MOVOU 32(SP), X13
	PADDD X13, X7
	MOVOU 48(SP), X13
	PADDD X13, X8

	ADDQ $64, R8
	ADDQ $64, R9
	DECQ CX
	JNZ  loop

	EXIT(DI, X1, X2)
	EXIT(SI, X7, X8)
	RET

// func cpuid7() (ebx uint32)
TEXT ·cpuid7(SB), NOSPLIT, $0-4
	XORL AX, AX
	XORL CX, CX
	CPUID
	CMPL AX, $7
	JLT  none
	MOVL $7, AX
	XORL CX, CX
	CPUID
	MOVL BX, ebx+0(FP)
	RET

none:
	MOVL $0, ebx+0(FP)
	RET

// turn reverses the bytes of each word.
DATA turn<>+0(SB)/8, $0x0405060700010203
DATA turn<>+8(SB)/8, $0x0c0d0e0f08090a0b
GLOBL turn<>(SB), RODATA|NOPTR, $16

// The constants of FIPS 180-4 4.2.2.
DATA constants<>+0(SB)/8, $0x71374491428a2f98
DATA constants<>+8(SB)/8, $0xe9b5dba5b5c0fbcf
DATA constants<>+16(SB)/8, $0x59f111f13956c25b
DATA constants<>+24(SB)/8, $0xab1c5ed5923f82a4
DATA constants<>+32(SB)/8, $0x12835b01d807aa98
DATA constants<>+40(SB)/8, $0x550c7dc3243185be
DATA constants<>+48(SB)/8, $0x80deb1fe72be5d74
DATA constants<>+56(SB)/8, $0xc19bf1749bdc06a7
DATA constants<>+64(SB)/8, $0xefbe4786e49b69c1
DATA constants<>+72(SB)/8, $0x240ca1cc0fc19dc6
DATA constants<>+80(SB)/8, $0x4a7484aa2de92c6f
DATA constants<>+88(SB)/8, $0x76f988da5cb0a9dc
DATA constants<>+96(SB)/8, $0xa831c66d983e5152
DATA constants<>+104(SB)/8, $0xbf597fc7b00327c8
DATA constants<>+112(SB)/8, $0xd5a79147c6e00bf3
DATA constants<>+120(SB)/8, $0x1429296706ca6351
DATA constants<>+128(SB)/8, $0x2e1b213827b70a85
DATA constants<>+136(SB)/8, $0x53380d134d2c6dfc
DATA constants<>+144(SB)/8, $0x766a0abb650a7354
DATA constants<>+152(SB)/8, $0x92722c8581c2c92e
DATA constants<>+160(SB)/8, $0xa81a664ba2bfe8a1
DATA constants<>+168(SB)/8, $0xc76c51a3c24b8b70
DATA constants<>+176(SB)/8, $0xd6990624d192e819
DATA constants<>+184(SB)/8, $0x106aa070f40e3585
DATA constants<>+192(SB)/8, $0x1e376c0819a4c116
DATA constants<>+200(SB)/8, $0x34b0bcb52748774c
DATA constants<>+208(SB)/8, $0x4ed8aa4a391c0cb3
DATA constants<>+216(SB)/8, $0x682e6ff35b9cca4f
DATA constants<>+224(SB)/8, $0x78a5636f748f82ee
DATA constants<>+232(SB)/8, $0x8cc7020884c87814
DATA constants<>+240(SB)/8, $0xa4506ceb90befffa
DATA constants<>+248(SB)/8, $0xc67178f2bef9a3f7
GLOBL constants<>(SB), RODATA|NOPTR, $256
