package bpf_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"

	"xrx/bpf"
	"xrx/umem"
)

// The tests of this file need no privileges.

func TestMetadataHasTheLayoutAgreedOnWithTheReceiver(t *testing.T) {
	offsets := func(typ reflect.Type) string {
		var s []string
		for f := range typ.Fields() {
			if f.Name != "_" {
				s = append(s, fmt.Sprintf("%s@%d+%d", f.Name, f.Offset, f.Type.Size()))
			}
		}
		return fmt.Sprintf("%s of %d", strings.Join(s, " "), typ.Size())
	}
	if got, want := offsets(bpf.MetaType), "Hash@0+4 VlanTci@4+2 Flags@6+1 L3@7+1 L3Off@8+1 L4Off@9+1 L4Proto@10+1 Tag@11+1 of 12"; got != want {
		t.Errorf("kind 1: %s, want %s", got, want)
	}
	if got, want := offsets(bpf.MetaTsType), "RxTimestampNs@0+8 Meta@8+12 of 20"; got != want {
		t.Errorf("kind 2: %s, want %s", got, want)
	}
	if bpf.TagPlain != 0x13 || bpf.TagTimestamp != 0x25 {
		t.Errorf("tags %#x and %#x, want 0x13 and 0x25", bpf.TagPlain, bpf.TagTimestamp)
	}
	want := []uint8{uint8(umem.HashL4), uint8(umem.HashHW), uint8(umem.VLANInBand), uint8(umem.VLANHW), uint8(umem.VLANAD), uint8(umem.Frag), uint8(umem.HashSym)}
	if !slices.Equal(bpf.Flags, want) {
		t.Errorf("flags %v in C, %v in umem", bpf.Flags, want)
	}
}

func TestObjectsAreWhatTheirDocumentationSays(t *testing.T) {
	spec, err := bpf.Spec()
	must(t, err)
	pass, err := bpf.PassSpec()
	must(t, err)
	const hasFrags = 1 << 5
	kfuncs := map[string]int{"xrx_rx": 0, "xrx_rx_hints": 3, "xrx_pass": 0}
	for _, programs := range []map[string]*ebpf.ProgramSpec{spec.Programs, pass.Programs} {
		for name, prog := range programs {
			if prog.License != "Dual BSD/GPL" || prog.Type != ebpf.XDP || prog.SectionName != "xdp.frags" || prog.Flags&hasFrags == 0 {
				t.Errorf("%s: %v in %s, licence %q, flags %#x", name, prog.Type, prog.SectionName, prog.License, prog.Flags)
			}
			want, ok := kfuncs[name]
			if !ok {
				t.Errorf("%s is not a program to be here", name)
			}
			delete(kfuncs, name)
			calls := 0
			for _, ins := range prog.Instructions {
				if ins.IsKfuncCall() {
					calls++
				}
			}
			if calls != want {
				t.Errorf("%s calls %d kfuncs, want %d", name, calls, want)
			}
		}
	}
	if len(kfuncs) != 0 {
		t.Errorf("programs missing: %v", kfuncs)
	}
	if m := spec.Maps[".data.counts"]; m.Type != ebpf.Array || m.ValueSize != uint32(8*bpf.NumReasons) {
		t.Errorf("counters: %v", m)
	}
	for _, file := range []string{"xrx.bpf.c", "pass.bpf.c", "xrx_kernel.h", "xrx_meta.h", "xrx_parse.h"} {
		source, err := os.ReadFile(file)
		must(t, err)
		first, _, _ := strings.Cut(string(source), "\n")
		if !strings.Contains(first, "SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)") {
			t.Errorf("%s begins with %q", file, first)
		}
	}
}

func TestEveryReasonHasAStableName(t *testing.T) {
	want := []string{"redirected", "no_socket", "not_matched", "disabled", "meta_refused", "too_short", "unparsed", "truncated"}
	if len(want) != int(bpf.NumReasons) {
		t.Fatalf("%d reasons, %d names", bpf.NumReasons, len(want))
	}
	for r := range bpf.NumReasons {
		if r.String() != want[r] {
			t.Errorf("reason %d is %q, want %q", int(r), r, want[r])
		}
	}
	if s := bpf.NumReasons.String(); s != "Reason(8)" {
		t.Errorf("no reason is %q", s)
	}
}

func TestOptionsThatCanNotBeAreRefused(t *testing.T) {
	for name, opts := range map[string]bpf.Options{
		"negative queues":                         {MaxQueues: -1},
		"hardware metadata of no device":          {HWMeta: true},
		"hardware hash without hardware metadata": {HWHash: true},
	} {
		if p, err := bpf.Load(opts); err == nil {
			t.Errorf("%s: loaded", name)
			p.Close()
		}
	}
}

func TestErrnosAreExplainedInWords(t *testing.T) {
	tests := []struct {
		err    error
		mode   bpf.Mode
		hwMeta bool
		word   string
	}{
		{ebpf.ErrNotSupported, bpf.Native, false, "5.9"},
		{syscall.EPERM, bpf.Native, false, "CAP_NET_ADMIN"},
		{syscall.ENODEV, bpf.Generic, false, "no such interface"},
		{syscall.ERANGE, bpf.Native, false, "MTU"},
		{syscall.ENOSPC, bpf.Native, false, "queues"},
		{syscall.EINVAL, bpf.Native, true, "bound to another device"},
		{syscall.EINVAL, bpf.Native, false, "generic mode"},
		{syscall.EINVAL, bpf.Generic, false, "refuses this mode"},
		{syscall.EOPNOTSUPP, bpf.Native, false, "try generic mode"},
		{syscall.EOPNOTSUPP, bpf.Generic, false, "no XDP program at all"},
		{syscall.Errno(524), bpf.Native, false, "try generic mode"},
		{syscall.ENOMEM, bpf.Native, false, "fewer or smaller rings"},
		{syscall.EBUSY, bpf.Native, false, "try again"},
		{syscall.EIO, bpf.Native, false, "refused"},
	}
	for _, test := range tests {
		if why := bpf.WhyNotAttached(fmt.Errorf("create link: %w", test.err), test.mode, test.hwMeta); !strings.Contains(why, test.word) {
			t.Errorf("%v in %v mode: %q doesn't say %q", test.err, test.mode, why, test.word)
		}
	}
	for err, word := range map[error]string{syscall.EPERM: "CAP_PERFMON", syscall.EACCES: "CAP_PERFMON", syscall.ENOMEM: "MaxQueues", ebpf.ErrNotSupported: "5.9", syscall.EIO: "input/output"} {
		if got := bpf.ExplainLoad(err); !errors.Is(got, err) || !strings.Contains(got.Error(), word) {
			t.Errorf("load, %v: %q doesn't say %q", err, got, word)
		}
	}
	for err, word := range map[error]string{syscall.EOPNOTSUPP: "driver", syscall.EINVAL: "6.3", syscall.EPERM: "CAP_BPF", syscall.EIO: "did not load"} {
		if why := bpf.WhyHintsNotLoaded(err); !strings.Contains(why, word) {
			t.Errorf("device-bound load, %v: %q doesn't say %q", err, why, word)
		}
	}
	refused := &bpf.AttachError{IfIndex: 3, Attempts: []bpf.Attempt{{bpf.Native, true, syscall.EINVAL, "one"}, {bpf.Generic, false, syscall.EPERM, "two"}}}
	if !errors.Is(refused, syscall.EINVAL) || !errors.Is(refused, syscall.EPERM) || errors.Is(refused, syscall.EIO) {
		t.Errorf("%v doesn't unwrap to its attempts' errnos", refused)
	}
	if got, want := refused.Error(), "bpf: attach to interface 3; native with hardware metadata: one (invalid argument); generic: two (operation not permitted)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestFlowHashSpreads looks at the oracle's hash, which the random packets show to be the program's.
func TestFlowHashSpreads(t *testing.T) {
	const flows = 1 << 16
	streams := map[string]func(i uint32) uint32{
		"ports that count up": func(i uint32) uint32 { return flowHash(0x0100000a|uint64(i)<<32, 0x0200000a|443<<32, 6, false, 0) },
		"addresses that count up": func(i uint32) uint32 {
			return flowHash(uint64(bits.ReverseBytes32(0x0a000000+i))|5000<<32, 0x0200000a|443<<32, 17, false, 0)
		},
		"both ends count up": func(i uint32) uint32 {
			return flowHash(uint64(i)|uint64(i)<<32, uint64(i+1)|uint64(i)<<32, 17, true, 1)
		},
		"IPv6 addresses that count up": func(i uint32) uint32 {
			a := slices.Clone(addrA6)
			binary.BigEndian.PutUint32(a[12:], i)
			return flowHash(endpoint6(a, 7, 0), endpoint6(addrB6, 7, 0), 6, false, 0)
		},
	}
	for name, hash := range streams {
		for what, bucket := range map[string]func(uint32) uint32{
			"low bits":  func(h uint32) uint32 { return h & 63 },
			"high bits": func(h uint32) uint32 { return h >> 26 },
			"modulo 7":  func(h uint32) uint32 { return h % 7 },
		} {
			counts := map[uint32]int{}
			for i := range uint32(flows) {
				counts[bucket(hash(i))]++
			}
			expected := float64(flows) / float64(len(counts))
			var chi float64
			for _, n := range counts {
				chi += (float64(n) - expected) * (float64(n) - expected) / expected
			}
			// A good hash's chi-square has the degrees of freedom for its mean and sqrt(2·that) for its deviation.
			if free := float64(len(counts) - 1); len(counts) < 7 || chi > free+6*math.Sqrt(2*free) {
				t.Errorf("%s, %s: chi-square %.0f over %d buckets", name, what, chi, len(counts))
			}
		}
		distinct := map[uint32]bool{}
		for i := range uint32(flows) {
			distinct[hash(i)] = true
		}
		// flows²/2 pairs in 2³² values: half a collision to be expected.
		if missing := flows - len(distinct); missing > 8 {
			t.Errorf("%s: %d of %d flows collide", name, missing, flows)
		}
	}
}

func TestEachInputBitOfTheFlowHashChangesHalfOfItsOutput(t *testing.T) {
	words := [3]uint64{0x0123456789ab, 0xfedcba987654, 6}
	widths := [3]int{48, 48, 8}
	for w, width := range widths {
		for bit := range width {
			var flips, samples int
			for s := range uint64(256) {
				in := words
				in[0] ^= s * 0x9e3779b9
				a := flowHash(in[0]&(1<<48-1), in[1], in[2], false, s)
				in[w] ^= 1 << bit
				b := flowHash(in[0]&(1<<48-1), in[1], in[2], false, s)
				flips += bits.OnesCount32(a ^ b)
				samples++
			}
			if mean := float64(flips) / float64(samples); mean < 12 || mean > 20 {
				t.Errorf("bit %d of input %d flips %.1f of 32 bits", bit, w, mean)
			}
		}
	}
}
