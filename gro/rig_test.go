package gro

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"xrx/umem"
)

// rig is an engine over a pool of its own, and a consumer that copies what it is given and releases it.
type rig struct {
	t   testing.TB
	u   *umem.Umem
	p   *umem.Pool
	e   *Engine
	out []got
}

// got is one delivered packet.
type got struct {
	b    []byte // coalesced bytes
	segs int    // packets it stands for
	gso  int    //
	csum umem.Csum
	list bool
	wire [][]byte // packets that Resegment yields
}

func newRig(t testing.TB, cfg Config, ucfg umem.Config) *rig {
	t.Helper()
	if ucfg.Frames == 0 {
		ucfg.Frames = 512
	}
	u, err := umem.New(ucfg)
	if err != nil {
		t.Fatal(err)
	}
	pools, err := u.Split(1)
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(pools[0], cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, u: u, p: pools[0], e: e}
	t.Cleanup(func() {
		r.settled()
		if err := u.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// settled fails the test unless every frame is home and the counters add up.
func (r *rig) settled() {
	r.t.Helper()
	r.e.FlushAll()
	r.deliver()
	l := r.p.Audit()
	if l.Lost != 0 || l.Free != l.Total {
		r.t.Errorf("ledger: %v", l)
	}
	r.identities()
}

// identities checks what Stats promises.
func (r *rig) identities() {
	r.t.Helper()
	st := r.e.Stats()
	var normal, flush uint64
	for i := range st.Normal {
		normal += st.Normal[i]
		flush += st.Flush[i]
	}
	if st.In != st.Merged+st.Started+normal || st.Started != flush+uint64(st.Held) || st.Out != normal+flush {
		r.t.Errorf("counters don't add up: in %d merged %d started %d normal %d flush %d held %d out %d",
			st.In, st.Merged, st.Started, normal, flush, st.Held, st.Out)
	}
	if st.Held == 0 && r.e.frames() != 0 {
		r.t.Errorf("nothing held, but %d frames counted as held", r.e.frames())
	}
}

// frame puts a packet into frames as the kernel would: in pieces of at most what a chunk takes.
func (r *rig) frame(b []byte) *umem.Header { return r.cut(b, r.u.Usable()) }

// cut is frame with buffers of at most size bytes.
func (r *rig) cut(b []byte, size int) *umem.Header {
	r.t.Helper()
	var head *umem.Header
	for head == nil || len(b) > 0 {
		var slot [1]uint64
		if r.p.Fill(slot[:]) != 1 {
			r.t.Fatal("pool empty")
		}
		n := min(len(b), size)
		addr := slot[0] + uint64(r.u.PacketOffset())
		copy(r.u.Memory()[addr:], b[:n])
		h, f := r.p.Receive(addr, uint32(n))
		if f != umem.NoFault {
			r.t.Fatal(f)
		}
		if head == nil {
			head = h
		} else {
			h.Kind = umem.Fragment
			r.p.Append(head, h)
			head.Total += uint32(n)
		}
		b = b[n:]
	}
	return head
}

// recv gives the packets to the engine as one batch.
func (r *rig) recv(pkts ...[]byte) {
	r.t.Helper()
	hs := make([]*umem.Header, len(pkts))
	for i, b := range pkts {
		hs[i] = r.frame(b)
	}
	r.give(hs...)
}

func (r *rig) give(hs ...*umem.Header) {
	r.t.Helper()
	r.e.Receive(hs)
	r.deliver()
}

// poll ends a poll without hold timer.
func (r *rig) poll() {
	r.e.EndPoll(0, false)
	r.deliver()
}

// deliver hands over what is in Out, and keeps a copy.
func (r *rig) deliver() {
	r.t.Helper()
	if l := r.p.Audit(); l.Lost != 0 {
		r.t.Fatalf("ledger before delivery: %v", l)
	}
	for _, h := range r.e.Out() {
		r.p.Deliver(h)
		g := got{segs: int(h.Segs), gso: int(h.GSOSize), csum: h.Csum, list: IsList(r.u, h), b: make([]byte, h.Total)}
		if n := CopyTo(g.b, r.u, h); n != len(g.b) {
			r.t.Fatalf("Total %d, %d bytes in the chain", h.Total, n)
		}
		if b := slices.Concat(AppendPieces(nil, r.u, h)...); !bytes.Equal(b, g.b) {
			r.t.Fatal("Pieces and CopyTo differ")
		}
		n := 0
		for b := range Pieces(r.u, h) {
			n += len(b)
		}
		if n != len(g.b) {
			r.t.Fatalf("Total %d, %d bytes in Pieces", h.Total, n)
		}
		for w := range Resegment(r.u, h) {
			g.wire = append(g.wire, slices.Concat(w...))
		}
		if len(g.wire) != g.segs {
			r.t.Fatalf("%d packets taken apart into %d", g.segs, len(g.wire))
		}
		if g.csum == umem.CsumFinished {
			checkHeaders(r.t, g.b)
		}
		r.restore(h, g.wire)
		r.out = append(r.out, g)
		r.p.Release(h, h.Gen())
	}
	r.e.ResetOut()
	r.p.Reclaim()
}

// restore takes a packet apart in place: each frame must hold what arrived in it.
func (r *rig) restore(h *umem.Header, wire [][]byte) {
	r.t.Helper()
	Restore(r.u, h)
	var at []byte
	n := 0
	for f := h; f != nil; f = r.u.Deref(f.Seg) {
		if f == h || f.Kind == umem.Segment {
			if len(at) != 0 || n == len(wire) {
				r.t.Fatalf("packet %d of %d begins with %d bytes left of the one before", n, len(wire), len(at))
			}
			at = wire[n]
			n++
		}
		b, ok := bytes.CutPrefix(at, f.Bytes())
		if !ok {
			r.t.Fatalf("packet %d is not restored:\n% x\n% x", n-1, f.Bytes(), at)
		}
		at = b
	}
	if len(at) != 0 || n != len(wire) {
		r.t.Fatalf("%d packets of %d restored, %d bytes left", n, len(wire), len(at))
	}
}

// take returns what was delivered since the last take.
func (r *rig) take() []got {
	o := r.out
	r.out = nil
	return o
}

// counts returns how many packets each delivered one stands for.
func counts(gs []got) (n []int) {
	for _, g := range gs {
		n = append(n, g.segs)
	}
	return n
}

// checkHeaders verifies lengths and checksums of all headers of a packet, slowly and from the bytes alone.
func checkHeaders(t testing.TB, b []byte) {
	t.Helper()
	at, etype := 14, binary.BigEndian.Uint16(b[12:])
	for etype == 0x8100 || etype == 0x88a8 {
		etype, at = binary.BigEndian.Uint16(b[at+2:]), at+4
	}
	proto := byte(4)
	if etype == 0x86dd {
		proto = 41
	}
	var pseudo uint16
	for b = b[at:]; ; {
		switch proto {
		case 4:
			if slowSum(0, b[:20]) != 0xffff {
				t.Fatal("IPv4 header checksum is wrong")
			}
			if n := int(binary.BigEndian.Uint16(b[2:])); n != len(b) {
				t.Fatalf("tot_len is %d of %d", n, len(b))
			}
			proto = b[9]
			pseudo = pseudoOf(b, false, proto, len(b)-20)
			b = b[20:]
		case 41:
			if n := int(binary.BigEndian.Uint16(b[4:])); n != len(b)-40 {
				t.Fatalf("payload_len is %d of %d", n, len(b)-40)
			}
			l3 := b
			proto, b = b[6], b[40:]
			for proto == 0 || proto == 43 || proto == 60 {
				proto, b = b[0], b[int(b[1])*8+8:]
			}
			pseudo = pseudoOf(l3, true, proto, len(b))
		case 17, 6:
			if n := int(binary.BigEndian.Uint16(b[4:])); proto == 17 && n != len(b) {
				t.Fatalf("UDP length is %d of %d", n, len(b))
			}
			if slowSum(uint32(pseudo), b) != 0xffff {
				t.Fatal("L4 checksum is wrong")
			}
			return
		default:
			t.Fatalf("protocol %d in a finished packet", proto)
		}
	}
}
