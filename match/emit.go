package match

import "github.com/cilium/ebpf/asm"

// test jumps by one test; next is the label that is going to follow.
func (a *assembler) test(t test, yes, no, next *label) {
	a.load(t)
	switch {
	case t.set != nil:
		a.search(t.set, yes, no)
		if next == yes {
			a.always(no)
		} else {
			a.leave(no, next)
		}
	case t.bits != 0:
		a.jump(asm.JSet.Imm32(scratch, int32(t.bits), ""), yes)
		a.leave(no, next)
	case t.lo != t.hi:
		if t.lo > 0 {
			a.jump(asm.JLT.Imm32(scratch, int32(t.lo), ""), no)
		}
		a.either(asm.JLE.Imm32(scratch, int32(t.hi), ""), asm.JGT.Imm32(scratch, int32(t.hi), ""), yes, no, next)
	case t.field.wide():
		a.emit(asm.LoadImm(second, int64(t.lo), asm.DWord))
		a.either(asm.JEq.Reg(scratch, second, ""), asm.JNE.Reg(scratch, second, ""), yes, no, next)
	default:
		v := int32(uint32(t.lo))
		a.either(asm.JEq.Imm32(scratch, v, ""), asm.JNE.Imm32(scratch, v, ""), yes, no, next)
	}
}

// either emits the one jump that is needed: the condition to yes where no follows, its contrary to no where yes does.
func (a *assembler) either(holds, contrary asm.Instruction, yes, no, next *label) {
	if next == no {
		a.jump(holds, yes)
	} else {
		a.jump(contrary, no)
	}
}

// leave goes to a label, without an instruction where it follows.
func (a *assembler) leave(to, next *label) {
	if to != next {
		a.always(to)
	}
}

// search jumps to yes if the scratch register is one of the values, and goes on, or jumps to no, if not.
func (a *assembler) search(values []uint64, yes, no *label) {
	if len(values) < setSize {
		for _, v := range values {
			a.jump(asm.JEq.Imm32(scratch, int32(uint32(v)), ""), yes)
		}
		return
	}
	middle := len(values) / 2
	upper := &label{}
	a.jump(asm.JGT.Imm32(scratch, int32(uint32(values[middle-1])), ""), upper)
	a.search(values[:middle], yes, no)
	a.always(no)
	a.bind(upper)
	a.search(values[middle:], yes, no)
}
