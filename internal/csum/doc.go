// Package csum is the Internet checksum (RFC 1071) of xrx: the one's-complement
// sum of a byte slice, and the arithmetic on such sums that verifying, caching
// and patching checksums takes. It allocates nothing.
//
// Sums are 16-bit, folded, not complemented, and in the machine's byte order:
// the sum of byte-swapped words is the byte-swapped sum (RFC 1071 section 2(B)),
// so nothing is swapped on the way in or out. A checksum field is written with
// binary.NativeEndian.PutUint16(b, ^sum) and a covered packet is intact when the
// sum over all of it, pseudo-header and checksum field included, is 0xffff. Do
// not mix these sums with values read by binary.BigEndian.
//
// # Kernels
//
// Sum takes AVX-512 or AVX2 on amd64 and NEON on arm64 for longer inputs, Go
// for the rest, for other machines and with the build tag purego. All return
// the same 16 bits. GODEBUG=cpu.avx512f=off or cpu.avx2=off takes a kernel out.
//
// Nanoseconds for one call, best of five runs, Xeon (Sapphire Rapids class, 2.6
// GHz, virtual), Go 1.26.8. "L1" sums one frame again and again, "L2" walks 64
// frames 2048 bytes apart; both start 34 bytes into a 2048-byte chunk:
//
//	bytes        Go L1   Go L2   AVX2 L1  AVX2 L2   AVX-512 L1  AVX-512 L2
//	   20          3.2     4.8
//	   40          3.9     5.3
//	   64          4.2     5.6
//	   96          4.8     6.8       5.4      7.4          6.0         7.6
//	  256          8.7    12.4       6.6      8.3          7.3         8.5
//	 1200           41      44        15       19           14          16
//	 1448           48      54        17       22           14          17
//	 9000          366                85                    64
//	65535         2800               721                   489
//
//	go test -run x -bench Sum -count 5 ./internal/csum (Go: with -tags purego)
//
// NEON is tested under emulation only; no figure is claimed for it.
//
// Tried and rejected, at 1448 bytes unless said:
//   - Go with two plain accumulators, words and their upper halves, for want of
//     a carry chain: 58 ns against 47. Go unrolled to 128 bytes: 48 against 50
//     but 1.4 ns more below 128.
//   - ADCQ with memory operands in assembly: 35 ns in L1, 38 in L2. At 128
//     bytes it is 1 ns faster than AVX2, at 256 no more.
//   - Unaligned loads: AVX2 28 ns in L2 against 21, AVX-512 20 against 15. The L4
//     header is 34 bytes into the packet, so that every 64-byte load would
//     touch two lines.
//   - AVX-512 with 64-bit adds and shifts in place of VPDPBUSD: 16.3 ns in L2
//     against 14.4.
//   - Two lines per AVX-512 iteration: the same here, 91 ns against 62 for 9000.
//   - PREFETCHT0 4 or 8 lines ahead within the input: 1 to 3 ns slower in L2, no
//     better from L3, for each kernel. What pays for frames in L3 (not in L2)
//     is to touch the first line of the frame two ahead: 85 ns to 69. That is
//     the caller's to do, who knows the frames.
package csum
