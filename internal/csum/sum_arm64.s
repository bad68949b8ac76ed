//go:build !purego

#include "textflag.h"

// WORDS adds the four 32-bit words of x to the 64-bit sums in a and b.
#define WORDS(x, a, b) \
	VUADDW  x.S2, a.D2, a.D2 \
	VUADDW2 x.S4, b.D2, b.D2

// func sumVector(b []byte) uint64
// Needs len(b) >= 8. V0-V7 are sums, R0 is the next byte, R1 the bytes left,
// R5 the end.
TEXT ·sumVector(SB), NOSPLIT, $0-32
	MOVD b_base+0(FP), R0
	MOVD b_len+8(FP), R1
	ADD  R0, R1, R5
	VEOR V0.B16, V0.B16, V0.B16
	VEOR V1.B16, V1.B16, V1.B16
	VEOR V2.B16, V2.B16, V2.B16
	VEOR V3.B16, V3.B16, V3.B16
	VEOR V4.B16, V4.B16, V4.B16
	VEOR V5.B16, V5.B16, V5.B16
	VEOR V6.B16, V6.B16, V6.B16
	VEOR V7.B16, V7.B16, V7.B16
	SUBS $64, R1
	BLO  tail32

loop:
	VLD1.P 64(R0), [V16.B16, V17.B16, V18.B16, V19.B16]
	WORDS(V16, V0, V1)
	WORDS(V17, V2, V3)
	WORDS(V18, V4, V5)
	WORDS(V19, V6, V7)
	SUBS   $64, R1
	BHS    loop

	// R1-64 has the low 6 bits of the bytes left, which is all that is
	// looked at from here on.
tail32:
	TBZ    $5, R1, tail16
	VLD1.P 32(R0), [V16.B16, V17.B16]
	WORDS(V16, V0, V1)
	WORDS(V17, V2, V3)

tail16:
	TBZ    $4, R1, tail8
	VLD1.P 16(R0), [V16.B16]
	WORDS(V16, V4, V5)

tail8:
	MOVD   ZR, R6
	TBZ    $3, R1, tail
	MOVD.P 8(R0), R2
	MOVWU  R2, R3
	LSR    $32, R2, R2
	ADD    R2, R3, R6

tail:
	// 1..7 bytes: the eight bytes that end with them, less the others.
	ANDS  $7, R1, R1
	BEQ   reduce
	MOVD  -8(R5), R2
	LSL   $3, R1, R1
	NEG   R1, R1      // shifts count modulo 64
	LSR   R1, R2, R2
	MOVWU R2, R3
	LSR   $32, R2, R2
	ADD   R2, R6, R6
	ADD   R3, R6, R6

reduce:
	VADD V1.D2, V0.D2, V0.D2
	VADD V3.D2, V2.D2, V2.D2
	VADD V5.D2, V4.D2, V4.D2
	VADD V7.D2, V6.D2, V6.D2
	VADD V2.D2, V0.D2, V0.D2
	VADD V6.D2, V4.D2, V4.D2
	VADD V4.D2, V0.D2, V0.D2
	VMOV V0.D[0], R2
	VMOV V0.D[1], R3
	ADD  R2, R6, R6
	ADD  R3, R6, R6
	MOVD R6, ret+24(FP)
	RET
