//go:build !(armbe || arm64be || m68k || mips || mips64 || mips64p32 || ppc || ppc64 || s390 || s390x || shbe || sparc || sparc64)

package gro

// native turns the sum of little-endian words into the sum of native words, and back.
func native(s uint16) uint16 { return s }
