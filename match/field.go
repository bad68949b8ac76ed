package match

import "github.com/cilium/ebpf/asm"

// Registers of the compiled function: its arguments, and no others but those that calls may spoil, as it calls nothing.
const (
	scratch = asm.R1 // the context at first; then the value under test
	word    = asm.R2 // the last eight bytes of struct xrx_meta, as bpf/xrx_meta.h lays them out
	link    = asm.R3 // EtherType and VLAN tags, as link_of in bpf/xrx.bpf.c packs them
	ip      = asm.R4 // the IP header
	start   = asm.R5 // where the packet starts, until l4 is known
	l4      = asm.R5 // the first four bytes of the L4 header
	end     = asm.R0 // where the packet ends, until tests begin
	second  = asm.R0 // masks and values of 64 bits
)

// Where the arguments' fields are: bits.
const (
	wordL3      = 24
	wordL3Off   = 32
	wordL4Off   = 40
	wordL4Proto = 48

	linkTag1 = 16 // id of the outermost tag, and tagPresent
	linkTag2 = 32

	tagPresent = 0x1000
)

// field is what a test looks at.
type field uint8

const (
	fType field = iota
	fTag1
	fTag2
	fProto
	fSrc4 // loaded as it is in memory; values and masks likewise
	fDst4
	fSrc6High // the first eight bytes of the address, as in memory
	fSrc6Low
	fDst6High
	fDst6Low
	fSrcPort // these are in host order
	fDstPort
	fICMPType
)

// wide fields have 64 bits and take values out of a second register.
func (f field) wide() bool { return f >= fSrc6High && f <= fDst6Low }

// most is the largest value of a field of which ranges are tested.
func (f field) most() uint64 {
	if f == fICMPType {
		return 0xff
	}
	return 0xffff
}

// load puts a field into the scratch register. Fields come out of packet memory, or out of a register that is copied and
// then computed with: either way the verifier forgets what a test learned about the value as soon as the
// register is loaded again, so the paths that meet at a label look alike to it and it follows one of them only.
func (f field) load() []asm.Instruction {
	memory := func(base asm.Register, off int16, size asm.Size) []asm.Instruction {
		return []asm.Instruction{asm.LoadMem(scratch, base, off, size)}
	}
	switch f {
	case fType:
		return bitsOf(link, 0, 0xffff)
	case fTag1:
		return bitsOf(link, linkTag1, 0x1fff)
	case fTag2:
		return bitsOf(link, linkTag2, 0x1fff)
	case fProto:
		return bitsOf(word, wordL4Proto, 0xff)
	case fSrc4:
		return memory(ip, 12, asm.Word)
	case fDst4:
		return memory(ip, 16, asm.Word)
	case fSrc6High, fSrc6Low, fDst6High, fDst6Low:
		return memory(ip, 8+8*int16(f-fSrc6High), asm.DWord)
	case fSrcPort, fDstPort:
		return append(memory(l4, 2*int16(f-fSrcPort), asm.Half), asm.HostTo(asm.BE, scratch, asm.Half))
	}
	return memory(l4, 0, asm.Byte)
}

// bitsOf copies a register, shifted, and masks the copy.
func bitsOf(from asm.Register, shift, mask int32) []asm.Instruction {
	list := []asm.Instruction{asm.Mov.Reg(scratch, from)}
	if shift > 0 {
		list = append(list, asm.RSh.Imm(scratch, shift))
	}
	return append(list, asm.And.Imm(scratch, mask))
}
