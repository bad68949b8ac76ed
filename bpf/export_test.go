package bpf

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// Prog is the plain program, which BPF_PROG_TEST_RUN runs in tests; the device-bound one can't be run so.
func (p *Program) Prog() *ebpf.Program { return p.obj.Plain }

// Spec is the embedded object as read.
func Spec() (*ebpf.CollectionSpec, error) { return loadXrx() }

// PassSpec is the embedded object of the passing program.
func PassSpec() (*ebpf.CollectionSpec, error) { return loadXrxPass() }

// The metadata as bpf2go reads it from the C.
var (
	MetaType   = reflect.TypeFor[xrxXrxMeta]()
	MetaTsType = reflect.TypeFor[xrxXrxMetaTs]()
)

// The numbers of the C enums.
var (
	Flags = []uint8{uint8(xrxXrxFlagXRX_FLAG_HASH_L4), uint8(xrxXrxFlagXRX_FLAG_HASH_HW), uint8(xrxXrxFlagXRX_FLAG_VLAN_INBAND),
		uint8(xrxXrxFlagXRX_FLAG_VLAN_HW), uint8(xrxXrxFlagXRX_FLAG_VLAN_8021AD), uint8(xrxXrxFlagXRX_FLAG_FRAG), uint8(xrxXrxFlagXRX_FLAG_HASH_SYM)}
	TagPlain, TagTimestamp = uint8(xrxXrxTagXRX_TAG_PLAIN), uint8(xrxXrxTagXRX_TAG_TIMESTAMP)
)

// Explanations under test.
var (
	WhyNotAttached    = whyNotAttached
	WhyHintsNotLoaded = whyHintsNotLoaded
	ExplainLoad       = explainLoad
)

// LoadUndoing loads the plain program so that it can be run again and again on one buffer: a wrapper calls it and
// takes the metadata back, which BPF_PROG_TEST_RUN doesn't do between repeats (bpf_test_run in net/bpf/test_run.c at
// v6.18), so that room would run out at the third. The price of the wrapper (a call and a helper) is in
// what is measured.
func LoadUndoing(opts Options) (*Program, error) {
	return loadEdited(opts, xrxProgXrxRx, func(prog asm.Instructions) (asm.Instructions, error) {
		wrapper, err := function(prog, "undoing",
			asm.Mov.Reg(asm.R6, asm.R1),
			asm.Call.Label(xrxProgXrxRx),
			asm.Mov.Reg(asm.R7, asm.R0),
			asm.Mov.Reg(asm.R1, asm.R6),
			asm.Mov.Imm(asm.R2, int32(MetaType.Size())),
			asm.FnXdpAdjustMeta.Call(),
			asm.Mov.Reg(asm.R0, asm.R7),
			asm.Return(),
		)
		return append(wrapper, prog...), err
	})
}

// LoadWithoutBuffLen loads the plain program as a kernel sees it that has no bpf_xdp_get_buff_len: the call's number
// is one that no kernel knows.
func LoadWithoutBuffLen(opts Options) (*Program, error) {
	return loadEdited(opts, xrxProgXrxRx, func(prog asm.Instructions) (asm.Instructions, error) {
		edited := false
		for i := range prog {
			if prog[i].IsBuiltinCall() && prog[i].Constant == int64(asm.FnXdpGetBuffLen) {
				prog[i].Constant, edited = 1<<20, true
			}
		}
		if !edited {
			return nil, errors.New("the program doesn't call bpf_xdp_get_buff_len")
		}
		return prog, nil
	})
}

// NIC is what a made-up driver answers to the metadata kfuncs; each error is a negative errno.
type NIC struct {
	Timestamp                     uint64
	Hash, RSSType                 uint32
	TPID                          uint16 // in network order, as the kernel gives it
	TCI                           uint16
	TimestampErr, HashErr, TagErr int32
	None                          bool // a kernel without the kfuncs
}

// LoadFaked loads the program with hints, not bound to a device, with the driver's part played by functions put in
// the kfuncs' place: BPF_PROG_TEST_RUN refuses device-bound programs, and no device here has such answers.
func LoadFaked(opts Options, nic NIC) (*Program, error) {
	opts.HWMeta, opts.IfIndex = true, 1
	return loadEdited(opts, xrxProgXrxRxHints, func(prog asm.Instructions) (asm.Instructions, error) {
		for i := range prog {
			ins := &prog[i]
			name := ins.Reference()
			switch {
			case ins.IsKfuncCall():
				*ins = asm.Call.Label("fake_" + name).WithSource(ins.Source())
			case ins.OpCode.IsDWordLoad() && len(name) > 4 && name[:4] == "bpf_":
				present := int64(1)
				if nic.None {
					present = 0
				}
				*ins = asm.LoadImm(ins.Dst, present, asm.DWord).WithSource(ins.Source())
			}
		}
		answer := func(name string, errno int32, stores ...asm.Instruction) error {
			if errno != 0 {
				stores = nil
			}
			fn, err := function(prog, name, append(stores, asm.Mov.Imm(asm.R0, errno), asm.Return())...)
			prog = append(prog, fn...)
			return err
		}
		if err := answer("fake_bpf_xdp_metadata_rx_timestamp", nic.TimestampErr,
			asm.LoadImm(asm.R3, int64(nic.Timestamp), asm.DWord), asm.StoreMem(asm.R2, 0, asm.R3, asm.DWord)); err != nil {
			return nil, err
		}
		if err := answer("fake_bpf_xdp_metadata_rx_hash", nic.HashErr,
			asm.LoadImm(asm.R4, int64(nic.Hash), asm.DWord), asm.StoreMem(asm.R2, 0, asm.R4, asm.Word),
			asm.StoreImm(asm.R3, 0, int64(nic.RSSType), asm.Word)); err != nil {
			return nil, err
		}
		if err := answer("fake_bpf_xdp_metadata_rx_vlan_tag", nic.TagErr,
			asm.LoadImm(asm.R4, int64(nic.TPID), asm.DWord), asm.StoreMem(asm.R2, 0, asm.R4, asm.Half),
			asm.LoadImm(asm.R4, int64(nic.TCI), asm.DWord), asm.StoreMem(asm.R3, 0, asm.R4, asm.Half)); err != nil {
			return nil, err
		}
		return prog, nil
	})
}

// loadEdited loads one program of the object, by itself and as the plain one, after edit went over its instructions.
func loadEdited(opts Options, name string, edit func(asm.Instructions) (asm.Instructions, error)) (*Program, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	spec, err := loadXrx()
	if err != nil {
		return nil, err
	}
	if err := configure(spec, opts); err != nil {
		return nil, err
	}
	prog := spec.Programs[name]
	prog.Ifindex = 0
	prog.Flags &^= flagXDPDevBoundOnly
	if prog.Instructions, err = edit(prog.Instructions); err != nil {
		return nil, err
	}
	spec.Programs = map[string]*ebpf.ProgramSpec{xrxProgXrxRx: prog}
	p := newProgram(opts, spec)
	if err := spec.LoadAndAssign(&p.obj, nil); err != nil {
		return nil, err
	}
	return p.mapped()
}

// function makes instructions a function beside those of model: the kernel wants all to have types and lines, or none.
func function(model asm.Instructions, name string, body ...asm.Instruction) (asm.Instructions, error) {
	typ := btf.FuncMetadata(&model[0])
	if typ == nil {
		return nil, fmt.Errorf("the program has no BTF")
	}
	own := *typ
	own.Name, own.Linkage = name, btf.StaticFunc // a global one would be verified on its own, for any arguments
	body[0] = btf.WithFuncMetadata(body[0].WithSymbol(name), &own).WithSource(model[0].Source())
	return body, nil
}
