package match

import (
	"slices"

	"github.com/cilium/ebpf/asm"
)

// Compile makes the body of the XDP program's function
//
//	int xrx_match(struct xdp_md *ctx, __u64 word, __u64 link)
//
// which returns 1 for packets that match and 0 for others. It needs Linux 5.1 for 32-bit jumps, no stack, no call, no
// map, and jumps forward only.
func (e *Expr) Compile() (asm.Instructions, error) {
	a := &assembler{jumps: map[int]*label{}}
	if e == nil {
		a.give(1)
		return a.finish()
	}
	a.emit(asm.LoadMem(end, scratch, 4, asm.Word), asm.LoadMem(start, scratch, 0, asm.Word)) // ctx->data_end, ctx->data
	for _, family := range []uint8{4, 6} {
		next := &label{}
		a.emit(bitsOf(word, wordL3, 0xff)...)
		a.jump(asm.JNE.Imm32(scratch, int32(family), ""), next)
		a.family(e, family)
		a.bind(next)
	}
	a.body(e.fold(shape{}))
	return a.finish()
}

// headerSize is how much of an IP header tests may look at.
func headerSize(family uint8) int32 {
	if family == 4 {
		return 20
	}
	return 40
}

// family is the code for packets of one IP version: a body each for those with ports, with an ICMP type, and the rest,
// where the expression makes a difference between them.
func (a *assembler) family(e *Expr, family uint8) {
	outside, rest := &label{}, &label{}
	if e.asks(family, address) {
		a.pointer(ip, wordL3Off, headerSize(family), outside)
	}
	asksPorts, asksType := e.asks(family, port), e.asks(family, icmpType)
	if asksPorts || asksType {
		a.emit(bitsOf(word, wordL4Off, 0xff)...)
		a.jump(asm.JEq.Imm32(scratch, 0, ""), rest)
		a.emit(bitsOf(word, wordL4Proto, 0xff)...)
	}
	if asksPorts {
		with, without := &label{}, &label{}
		a.jump(asm.JEq.Imm32(scratch, protoTCP, ""), with)
		a.jump(asm.JEq.Imm32(scratch, protoUDP, ""), with)
		a.jump(asm.JNE.Imm32(scratch, protoSCTP, ""), without)
		a.bind(with)
		a.pointer(l4, wordL4Off, 4, outside)
		a.body(e.fold(shape{family, ports}))
		a.bind(without)
	}
	if asksType {
		a.jump(asm.JNE.Imm32(scratch, int32(icmpOf(family)), ""), rest)
		a.pointer(l4, wordL4Off, 4, outside)
		a.body(e.fold(shape{family, icmp}))
	}
	a.bind(rest)
	a.body(e.fold(shape{family, opaque}))
	if outside.used {
		a.bind(outside)
		a.give(0) // can't be: the program's parser saw the header; the verifier wants to see it too
	}
}

// asks reports whether there is a term of a kind that an IP version's packets may meet.
func (e *Expr) asks(family uint8, k kind) bool {
	if e.op == leaf {
		return e.term.kind == k && (e.term.family == 0 || e.term.family == family)
	}
	return slices.ContainsFunc(e.kids, func(e *Expr) bool { return e.asks(family, k) })
}

// pointer has to point to a header, size bytes of which are in the packet, by the offset at some bit of word.
func (a *assembler) pointer(to asm.Register, bit, size int32, outside *label) {
	a.emit(bitsOf(word, bit, 0xff)...)
	a.emit(asm.Mov.Reg(to, start), asm.Add.Reg(to, scratch), asm.Mov.Reg(scratch, to), asm.Add.Imm(scratch, size))
	a.jump(asm.JGT.Reg(scratch, end, ""), outside)
}

// body decides by a tree and returns.
func (a *assembler) body(t *tree) {
	a.loaded = false
	if t == always || t == never {
		a.give(int32(map[*tree]int{always: 1, never: 0}[t]))
		return
	}
	yes, no := &label{}, &label{}
	a.tree(t, yes, no, yes)
	a.bind(yes)
	a.give(1)
	a.bind(no)
	a.give(0)
}

func (a *assembler) give(result int32) { a.emit(asm.Mov.Imm(asm.R0, result), asm.Return()) }

// tree jumps to yes or to no. One of them is next: it will be bound right behind, so going on is going there.
func (a *assembler) tree(t *tree, yes, no, next *label) {
	switch t.op {
	case leaf:
		a.test(t.test, yes, no, next)
	case not:
		a.tree(t.kids[0], no, yes, next)
	default:
		last := len(t.kids) - 1
		for _, k := range t.kids[:last] {
			on := &label{}
			if t.op == or {
				a.tree(k, yes, on, on)
			} else {
				a.tree(k, on, no, on)
			}
			if on.used {
				a.bind(on)
			}
		}
		a.tree(t.kids[last], yes, no, next)
	}
}
