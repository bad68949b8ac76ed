package oracle

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"xrx/internal/afpacket"
	"xrx/internal/frames"
)

func TestBurstsFitWhatTheyAreSentThrough(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(2000) {
		b := Random(seed)
		if n := len(b.KernelFrames()); n < 1 || n > 63 {
			t.Errorf("seed %d: %d frames for the kernel", seed, n)
		}
		for _, f := range b.KernelFrames() {
			if len(f) < 14 || len(f) > 1514 {
				t.Errorf("seed %d: a frame of %d bytes", seed, len(f))
			}
		}
		for _, p := range b {
			for _, c := range changes {
				if bytes.HasSuffix([]byte(p.Note), []byte(": "+c.name)) {
					seen[c.name]++
				}
			}
		}
		again := Random(seed)
		if !slices.EqualFunc(b, again, func(a, b Packet) bool { return bytes.Equal(a.Frame, b.Frame) }) {
			t.Errorf("seed %d: not the same burst again", seed)
		}
	}
	for _, c := range changes {
		if seen[c.name] < 10 {
			t.Errorf("%q: only %d packets in 2000 bursts", c.name, seen[c.name])
		}
	}
}

// What set does to a checksum is what computing it anew would do.
func TestSetKeepsAGoodChecksumGoodAndABadOneBad(t *testing.T) {
	for seed := range uint64(300) {
		for _, p := range Random(seed) {
			h, ok := headersOf(p.Frame)
			if !ok || h.v6(p.Frame) {
				continue
			}
			l3 := bytes.Clone(p.Frame[h.l3:])
			header := l3[:int(l3[0]&15)*4]
			before := frames.Checksum(header, 0)
			for _, at := range []int{1, 4, 5, 8, 15} {
				set(l3, at, l3[at]^byte(seed+1), 10)
			}
			if after := frames.Checksum(header, 0); after != before && after^before != 0xffff {
				t.Fatalf("seed %d: header sums to %04x, before to %04x", seed, after, before)
			}
		}
	}
}

func TestDifferencesAreFound(t *testing.T) {
	one := func(data string, segs, gso int) Result { return Result{[]byte(data), segs, gso} }
	base := []Result{one("ab", 1, 0), one("cdef", 2, 2)}
	for _, c := range []struct {
		name        string
		own         []Result
		bytes, form bool // seen by Difference, by ShapeDifference
	}{
		{"none", []Result{one("ab", 1, 0), one("cdef", 2, 2)}, false, false},
		{"order", []Result{one("cdef", 2, 2), one("ab", 1, 0)}, true, true},
		{"a byte", []Result{one("ab", 1, 0), one("cdeg", 2, 2)}, true, false},
		{"the length", []Result{one("ab", 1, 0), one("cde", 2, 2)}, true, false},
		{"segments", []Result{one("ab", 1, 0), one("cdef", 3, 2)}, true, true},
		{"gso_size", []Result{one("ab", 1, 0), one("cdef", 2, 3)}, true, true},
		{"one less", []Result{one("ab", 1, 0)}, true, true},
		{"one more", []Result{one("ab", 1, 0), one("cdef", 2, 2), one("", 1, 0)}, true, true},
	} {
		if d := Difference(base, c.own); (d != "") != c.bytes {
			t.Errorf("%s: Difference says %q", c.name, d)
		}
		if d := ShapeDifference(base, c.own); (d != "") != c.form {
			t.Errorf("%s: ShapeDifference says %q", c.name, d)
		}
	}
}

func TestMinimiseFindsThePacketsThatMatter(t *testing.T) {
	var b Burst
	for i := range 50 {
		b = append(b, Packet{Frame: []byte{byte(i)}})
	}
	for _, want := range [][]byte{{0}, {49}, {7, 31}, {3, 4, 5, 40}} {
		asked := 0
		got := Minimise(b, 200, func(b Burst) bool {
			asked++
			return !slices.ContainsFunc(want, func(w byte) bool {
				return !slices.ContainsFunc(b, func(p Packet) bool { return p.Frame[0] == w })
			})
		})
		var have []byte
		for _, p := range got {
			have = append(have, p.Frame[0])
		}
		if !bytes.Equal(have, want) || asked > 200 {
			t.Errorf("%v of 50 matter: left %v after %d questions", want, have, asked)
		}
	}
	if got := Minimise(b, 3, func(Burst) bool { return false }); len(got) != len(b) {
		t.Errorf("nothing can be left out, yet %d of 50 are left", len(got))
	}
}

func TestTagsComeBackAsTheyWere(t *testing.T) {
	var tags Tags
	distinct := map[string]string{} // stripped Ethernet header -> tagged one
	for seed := range uint64(300) {
		for _, p := range Random(seed) {
			s := tags.Strip(p.Frame)
			if back := tags.Restore(s); !bytes.Equal(back, p.Frame) {
				t.Fatalf("%x became %x", p.Frame[:22], back[:22])
			}
			etype := binary.BigEndian.Uint16(s[12:])
			if etype == frames.TypeVLAN || etype == frames.TypeQinQ {
				t.Fatalf("a tag is left: %x", s[:22])
			}
			full := string(p.Frame[:len(p.Frame)-len(s)+14])
			if old, ok := distinct[string(s[:14])]; ok && old != full {
				t.Fatalf("%x and %x are both %x", old, full, s[:14])
			}
			distinct[string(s[:14])] = full
		}
	}
}

// The kernel's answer is made comparable: the tag back in place, the pseudo-header's sum finished, segments counted.
func TestWhatTheKernelDeliversIsMadeComparable(t *testing.T) {
	f := frames.TCP(addrs(40000), addrs(9000), 1, make([]byte, 250))
	f.TCPOptions = []byte{1, 1, 1, 1}
	f.PartialChecksum = true
	partial := f.Append(nil)
	f.PartialChecksum, f.VLANs = false, []frames.VLAN{{TPID: frames.TypeQinQ, TCI: 7}}
	want := f.Append(nil)
	r, err := FromKernel(afpacket.Packet{Data: partial, HasVLAN: true, VLAN: 7, TPID: frames.TypeQinQ, VnetHeader: afpacket.VnetHeader{
		Flags: afpacket.VnetNeedsChecksum, GSOType: afpacket.GSOTCPv4 | afpacket.GSOECN, GSOSize: 100, ChecksumStart: 34, ChecksumOffset: 16}})
	if err != nil || r.Segs != 3 || r.GSOSize != 100 || !bytes.Equal(r.Data, want) {
		t.Errorf("%v, %v\n%x\n%x", r, err, r.Data, want)
	}
	if _, err := FromKernel(afpacket.Packet{Data: partial, VnetHeader: afpacket.VnetHeader{GSOType: afpacket.GSOTCPv4, GSOSize: 100}}); err == nil {
		t.Error("a merged packet without a partial checksum was taken")
	}
}

func addrs(port uint16) netip.AddrPort { return netip.AddrPortFrom(address(false, byte(port)), port) }
