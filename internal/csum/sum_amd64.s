//go:build !purego

#include "go_asm.h"
#include "textflag.h"

// func sumVector(b []byte) uint64
// The kernels have the same arguments and no frame, so that a jump will do. The
// dispatch is here and not in Go to leave Sum a single call.
TEXT ·sumVector(SB), NOSPLIT, $0-32
	CMPB ·useAVX512(SB), $0
	JEQ  avx2
	CMPQ b_len+8(FP), $const_maxAVX512
	JHI  avx2
	JMP  ·sumAVX512(SB)

avx2:
	JMP ·sumAVX2(SB)

// 32 bytes of 0, 32 of 0xff, 32 of 0. As a mask, the 32 bytes at offset i in 0..31
// keep the last i bytes of a vector, those at 64-i its first i bytes.
DATA keep<>+0(SB)/8, $0
DATA keep<>+8(SB)/8, $0
DATA keep<>+16(SB)/8, $0
DATA keep<>+24(SB)/8, $0
DATA keep<>+32(SB)/8, $0xffffffffffffffff
DATA keep<>+40(SB)/8, $0xffffffffffffffff
DATA keep<>+48(SB)/8, $0xffffffffffffffff
DATA keep<>+56(SB)/8, $0xffffffffffffffff
DATA keep<>+64(SB)/8, $0
DATA keep<>+72(SB)/8, $0
DATA keep<>+80(SB)/8, $0
DATA keep<>+88(SB)/8, $0
GLOBL keep<>(SB), RODATA|NOPTR, $96

// WORDS adds the four 64-bit words of x to the sums in a, and their upper halves
// to those in h. Additions in a drop their carries, but h is exact, so that the
// exact sum of the lower halves can be had at the end: a - h<<32.
#define WORDS(x, a, h) \
	VPADDQ x, a, a   \
	VPSRLQ $32, x, x \
	VPADDQ x, h, h

// func sumAVX2(b []byte) uint64
// Needs len(b) >= 64. Y0-Y3 are the a sums, Y4-Y7 the h sums, SI the next byte,
// CX the bytes left.
TEXT ·sumAVX2(SB), NOSPLIT, $0-32
	MOVQ  b_base+0(FP), SI
	MOVQ  b_len+8(FP), CX
	LEAQ  keep<>(SB), DI
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	VPXOR Y7, Y7, Y7

	// The first 0..30 bytes, an even number of them, so that the loads below
	// are 32-byte aligned unless b starts at an odd address.
	MOVQ    SI, DX
	NEGQ    DX
	ANDQ    $30, DX
	MOVQ    DI, BX
	SUBQ    DX, BX
	VMOVDQU (SI), Y0
	VPAND   64(BX), Y0, Y0
	VPSRLQ  $32, Y0, Y4
	ADDQ    DX, SI
	SUBQ    DX, CX
	SUBQ    $128, CX
	JB      ones

fours:
	VMOVDQU (SI), Y8
	VMOVDQU 32(SI), Y9
	VMOVDQU 64(SI), Y10
	VMOVDQU 96(SI), Y11
	WORDS(Y8, Y0, Y4)
	WORDS(Y9, Y1, Y5)
	WORDS(Y10, Y2, Y6)
	WORDS(Y11, Y3, Y7)
	ADDQ    $128, SI
	SUBQ    $128, CX
	JAE     fours

ones:
	ADDQ $96, CX
	JL   last

one:
	VMOVDQU (SI), Y8
	WORDS(Y8, Y0, Y4)
	ADDQ    $32, SI
	SUBQ    $32, CX
	JAE     one

last:
	// CX+32 = 0..31 bytes are left: an odd one by itself, the others with
	// bytes before them that the mask takes out again.
	ADDQ    $32, CX
	XORL    DX, DX
	TESTQ   $1, CX
	JEQ     even
	DECQ    CX
	MOVBLZX (SI)(CX*1), DX

even:
	VMOVDQU -32(SI)(CX*1), Y8
	VPAND   (DI)(CX*1), Y8, Y8
	WORDS(Y8, Y1, Y5)

	VPADDQ       Y1, Y0, Y0
	VPADDQ       Y3, Y2, Y2
	VPADDQ       Y5, Y4, Y4
	VPADDQ       Y7, Y6, Y6
	VPADDQ       Y2, Y0, Y0
	VPADDQ       Y6, Y4, Y4
	VPSLLQ       $32, Y4, Y5
	VPSUBQ       Y5, Y0, Y0
	VPADDQ       Y4, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPADDQ       X1, X0, X0
	VPSHUFD      $0xee, X0, X1
	VPADDQ       X1, X0, X0
	VMOVQ        X0, AX
	ADDQ         DX, AX
	MOVQ         AX, ret+24(FP)
	VZEROUPPER
	RET

// BYTES adds the bytes of x at even addresses to the 32-bit sums in e and those
// at odd addresses to the sums in o.
#define BYTES(x, e, o) \
	VPDPBUSD Z12, x, e \
	VPDPBUSD Z13, x, o

// func sumAVX512(b []byte) uint64
// Needs len(b) in 65..1<<20. Every load is one aligned cache line. The bytes of
// the first and the last line that are not in b are masked out: the CPU does not
// access them, and both lines hold at least one byte of b. Z0-Z3 are the even
// sums, Z4-Z7 the odd ones. Registers above Z15 stay unused: VZEROUPPER does not
// put them back to their initial state, and the kernel would save them at every
// context switch from then on.
TEXT ·sumAVX512(SB), NOSPLIT, $0-32
	MOVQ         b_base+0(FP), SI
	MOVQ         b_len+8(FP), CX
	MOVL         $0x00010001, AX
	VPBROADCASTD AX, Z12
	VPSLLD       $8, Z12, Z13
	VPXORD       Z0, Z0, Z0
	VPXORD       Z1, Z1, Z1
	VPXORD       Z2, Z2, Z2
	VPXORD       Z3, Z3, Z3
	VPXORD       Z4, Z4, Z4
	VPXORD       Z5, Z5, Z5
	VPXORD       Z6, Z6, Z6
	VPXORD       Z7, Z7, Z7

	// The first line, from b on.
	MOVQ       SI, BX
	ANDQ       $63, BX
	ANDQ       $-64, SI
	MOVQ       $-1, AX
	SHLXQ      BX, AX, DX
	KMOVQ      DX, K1
	VMOVDQU8.Z (SI), K1, Z8
	BYTES(Z8, Z0, Z4)
	ADDQ       $64, SI
	LEAQ       -64(CX)(BX*1), CX // left: 1 byte or more

	// Whole lines, as long as more than that is left.
	SUBQ $257, CX
	JLT  twos

fours:
	VMOVDQA64 (SI), Z8
	VMOVDQA64 64(SI), Z9
	VMOVDQA64 128(SI), Z10
	VMOVDQA64 192(SI), Z11
	BYTES(Z8, Z0, Z4)
	BYTES(Z9, Z1, Z5)
	BYTES(Z10, Z2, Z6)
	BYTES(Z11, Z3, Z7)
	ADDQ      $256, SI
	SUBQ      $256, CX
	JGE       fours

twos:
	ADDQ      $128, CX
	JLT       ones
	VMOVDQA64 (SI), Z8
	VMOVDQA64 64(SI), Z9
	BYTES(Z8, Z0, Z4)
	BYTES(Z9, Z1, Z5)
	ADDQ      $128, SI
	SUBQ      $128, CX

ones:
	ADDQ      $64, CX
	JLT       last
	VMOVDQA64 (SI), Z8
	BYTES(Z8, Z2, Z6)
	ADDQ      $64, SI
	SUBQ      $64, CX

last:
	ADDQ       $65, CX // 1..64 bytes are left; BZHI with 64 keeps every bit
	BZHIQ      CX, AX, AX
	KMOVQ      AX, K1
	VMOVDQU8.Z (SI), K1, Z9
	BYTES(Z9, Z3, Z7)

	// Words: even + odd<<8, below 1<<32 in every lane for 1 MiB.
	VPADDD        Z1, Z0, Z0
	VPADDD        Z3, Z2, Z2
	VPADDD        Z5, Z4, Z4
	VPADDD        Z7, Z6, Z6
	VPADDD        Z2, Z0, Z0
	VPADDD        Z6, Z4, Z4
	VPSLLD        $8, Z4, Z4
	VPADDD        Z4, Z0, Z0
	VEXTRACTI64X4 $1, Z0, Y1
	VPMOVZXDQ     Y0, Z0
	VPMOVZXDQ     Y1, Z1
	VPADDQ        Z1, Z0, Z0
	VEXTRACTI64X4 $1, Z0, Y1
	VPADDQ        Y1, Y0, Y0
	VEXTRACTI128  $1, Y0, X1
	VPADDQ        X1, X0, X0
	VPSHUFD       $0xee, X0, X1
	VPADDQ        X1, X0, X0
	VMOVQ         X0, AX

	// Lines were summed by address. If b starts at an odd one, the sum has its
	// bytes exchanged: 8 bits up, modulo 65535, puts them back. AX is below 1<<36.
	ANDQ  $1, BX
	SHLQ  $3, BX
	SHLXQ BX, AX, AX
	MOVQ  AX, ret+24(FP)
	VZEROUPPER
	RET
