//go:build !(armbe || arm64be || m68k || mips || mips64 || mips64p32 || ppc || ppc64 || s390 || s390x || shbe || sparc || sparc64)

package csum

// bigEndian says that a native 16-bit word has the byte at the lower address
// in its high half. The build tags are those of encoding/binary.
const bigEndian = false
