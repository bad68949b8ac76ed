package match

import (
	"fmt"
	"math"

	"github.com/cilium/ebpf/asm"
)

// label is a place to jump to: known once it is bound.
type label struct {
	at    int // in units of eight bytes
	bound bool
	used  bool
}

// assembler collects instructions and the jumps in them whose distance is not known yet.
type assembler struct {
	list  asm.Instructions
	jumps map[int]*label // by index in list
	size  int            // in units of eight bytes

	// What the scratch register holds here, whichever way led here.
	holds  test
	loaded bool
}

func (a *assembler) emit(list ...asm.Instruction) {
	for _, i := range list {
		a.list = append(a.list, i)
		a.size += int(i.Size()) / asm.InstructionSize
	}
}

// jump emits a jump instruction to a label.
func (a *assembler) jump(i asm.Instruction, to *label) {
	a.jumps[len(a.list)] = to
	to.used = true
	a.emit(asm.Instruction{OpCode: i.OpCode, Dst: i.Dst, Src: i.Src, Constant: i.Constant})
}

func (a *assembler) always(to *label) { a.jump(asm.Ja.Label(""), to) }

// bind puts a label here.
func (a *assembler) bind(l *label) {
	l.at, l.bound = a.size, true
	a.loaded = false
}

// load has a test's field in the scratch register, its mask laid over it.
func (a *assembler) load(t test) {
	if a.loaded && a.holds.field == t.field && a.holds.mask == t.mask {
		return
	}
	a.emit(t.field.load()...)
	switch {
	case t.mask == 0:
	case t.field.wide():
		a.emit(asm.LoadImm(second, int64(t.mask), asm.DWord), asm.And.Reg(scratch, second))
	default:
		a.emit(asm.And.Imm32(scratch, int32(uint32(t.mask))))
	}
	a.holds, a.loaded = test{field: t.field, mask: t.mask}, true
}

// finish writes the distances into the jumps.
func (a *assembler) finish() (asm.Instructions, error) {
	at := 0
	for i := range a.list {
		at += int(a.list[i].Size()) / asm.InstructionSize
		to := a.jumps[i]
		if to == nil {
			continue
		}
		distance := to.at - at
		if !to.bound || distance < 0 || distance > math.MaxInt16 {
			return nil, fmt.Errorf("match: a jump over %d instructions: the expression is too large", distance)
		}
		a.list[i].Offset = int16(distance)
	}
	return a.list, nil
}
