package gro

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"math"

	"xrx/umem"
)

// Engine is GRO for one queue. It is not safe for concurrent use: the queue's goroutine owns it.
type Engine struct {
	p   *umem.Pool
	u   *umem.Umem
	cfg Config
	off int // Umem.PacketOffset: where a packet starts that has metadata in front of it

	reach int // bytes of a packet that are read, at most

	// Table of held packets, by flow: heads are the buckets, ents the held packets, both linked by index. Index 0 is
	// "none", and the anchor of the list by age: ents[0].newer is the oldest held packet, ents[0].older the youngest.
	heads []uint32
	ents  []entry
	mask  uint32
	spare uint32 // unused entries, linked through next
	seed  [4]uint64

	// What T4 compares of the TCP word at offset 12, by profile.
	tcpSame, tcpNever uint32
	maxSize, maxSegs  uint32
	keepSegs          [2]uint32 // TCP, UDP: with as many packets P can take one more without being completed by it
	mtu               int
	udpPorts          [1 << 16 / 64]uint64 // bit per opted-in destination port

	extra uint64 // frames held so far beyond one per packet
	ended uint64 // frames in packets completed so far
	out   []*umem.Header
	nout  int
	st    Stats

	pk pkt // the packet being parsed
}

// New makes an engine over p's frames, with everything that it will ever allocate.
func New(p *umem.Pool, cfg Config) (*Engine, error) {
	if p == nil {
		return nil, errors.New("gro: no pool")
	}
	if err := cfg.validate(p.Total()); err != nil {
		return nil, err
	}
	e := &Engine{p: p, u: p.Umem(), cfg: cfg, off: p.Umem().PacketOffset()}
	if cfg.NoMeta {
		e.off = -1 // where no packet starts
	}
	e.maxSize, e.maxSegs = uint32(cfg.MaxSize), uint32(cfg.MaxSegs)
	e.keepSegs = [2]uint32{e.maxSegs, min(e.maxSegs, udpCount-1)}
	if e.reach = math.MaxInt; cfg.Verify == VerifyOff {
		e.reach = headersReach
	}
	if e.mtu = cfg.MTU; e.mtu == 0 {
		e.mtu = 1 << 30
	}
	buckets := 1
	for buckets < 2*cfg.Flows {
		buckets *= 2
	}
	e.heads, e.mask = make([]uint32, buckets), uint32(buckets-1)
	e.ents = make([]entry, cfg.Flows+1)
	for i := cfg.Flows; i > 0; i-- {
		e.ents[i].next, e.spare = e.spare, uint32(i)
	}
	for i := range e.seed {
		var b [8]byte
		rand.Read(b[:]) // never fails since Go 1.24
		e.seed[i] = binary.NativeEndian.Uint64(b[:])
	}
	for _, port := range cfg.UDPPorts {
		e.udpPorts[port/64] |= 1 << (port % 64)
	}
	switch cfg.Profile { // T4
	case Linux69:
		e.tcpSame, e.tcpNever = ^uint32(tcpCWR|tcpFIN|tcpPSH), tcpCWR
	case Linux618:
		e.tcpSame, e.tcpNever = ^uint32(tcpFIN|tcpPSH), tcpCWR
	case Linux7:
		e.tcpSame, e.tcpNever = ^uint32(tcpFIN|tcpPSH), 0
	}
	// A packet is in Out at most once between two ResetOut, under its first frame, and no frame can arrive again before
	// it was delivered: one place per frame of the pool can't overflow, however often Receive is called.
	e.out = make([]*umem.Header, p.Total())
	return e, nil
}

// Config returns the settings with defaults filled in.
func (e *Engine) Config() Config { return e.cfg }

// Out returns what is to be delivered, in order: packets as they came (Received) and completed ones (Held). The caller
// hands each to Pool.Deliver (or Drop) and then calls ResetOut; the slice is valid until then.
func (e *Engine) Out() []*umem.Header { return e.out[:e.nout] }

// ResetOut empties Out, and counts what was in it as out.
func (e *Engine) ResetOut() {
	e.st.Out += uint64(e.nout)
	e.nout = 0
}

// Stats returns the engine's counters, to be read on the queue's goroutine.
func (e *Engine) Stats() *Stats { return &e.st }

// emit puts a packet into Out. It fails, by panicking, only if the caller delivered Out without ResetOut.
func (e *Engine) emit(h *umem.Header) {
	e.out[e.nout] = h
	e.nout++
}

// SetMTU says that the interface's MTU is another one now: Config.MTU. It belongs to the goroutine that calls Receive.
func (e *Engine) SetMTU(mtu int) {
	e.cfg.MTU = mtu
	if e.mtu = mtu; mtu == 0 {
		e.mtu = 1 << 30
	}
}
