package gro

import "xrx/umem"

// A packet is asked for before its turn: the processor that brought it wrote its bytes last, and all of them are read for
// the checksum (docs/adr/0013). So many packets ahead at most, and no more bytes than about so many, which is as
// much as is on its way at a time.
const (
	aheadMost  = 8
	aheadBytes = 4096
)

// headersReach is how much of a packet is read where no checksum is verified.
const headersReach = 128

// Receive takes packets in the order in which they arrived: frames in state Received, alone or with a chain of
// Fragments. Each is merged, held or put into Out.
func (e *Engine) Receive(batch []*umem.Header) {
	pk := &e.pk
	next, coming := 0, 0
	for i, h := range batch {
		for next < len(batch) && next-i <= aheadMost && coming < aheadBytes {
			coming += int(batch[next].Len)
			batch[next].Fetch(e.reach)
			next++
		}
		coming -= int(h.Len)
		switch e.plain(h, pk) {
		case settled:
			continue
		case notPlain:
			e.parse(h, pk)
		}
		e.receive(h, pk)
	}
	e.st.In += uint64(len(batch))
	for e.frames() > e.cfg.Frames {
		e.complete(e.ents[0].newer, Frames)
	}
}

// frames returns how many frames are held.
func (e *Engine) frames() int { return int(e.st.Started+e.st.Merged+e.extra) - int(e.ended) }

// receive decides what becomes of one parsed packet.
func (e *Engine) receive(h *umem.Header, pk *pkt) {
	if e.cfg.Off {
		pk.verdict, pk.keyed = Off, false
	}
	if pk.verdict != None {
		if pk.keyed { // order: what is held of this flow came first (V11)
			if i := e.lookup(h, pk); i != 0 {
				e.complete(i, pk.verdict)
			}
		}
		e.normal(h, pk.verdict)
		return
	}
	if i := e.lookup(h, pk); i != 0 {
		en := &e.ents[i]
		why := e.match(en, pk)
		if why == None {
			e.merge(i, en, h, pk)
			return
		}
		e.complete(i, why) // T10
	}
	if pk.final {
		e.normal(h, TCPPush)
		return
	}
	e.hold(h, pk)
}

// normal delivers a packet as it came.
func (e *Engine) normal(h *umem.Header, why Reason) {
	e.st.Normal[why]++
	e.emit(h)
}

// hold makes h the first packet of a new P.
func (e *Engine) hold(h *umem.Header, pk *pkt) {
	if e.spare == 0 {
		e.complete(e.ents[0].newer, Evicted) // L4
	} else if i := e.crowded(pk.hash); i != 0 {
		e.complete(i, Evicted)
	}
	e.p.Hold(h)
	_, en := e.insert(pk.hash)
	en.key = pk.key
	if pk.shape()&shapeWide != 0 {
		en.wide, en.outer, en.outerID = pk.wide, pk.outer, pk.outerID
	}
	en.opt[0], en.opt[1] = pk.opt[0], pk.opt[1]
	for i := 2; i < optWords(pk.word); i++ {
		en.opt[i] = pk.opt[i]
	}
	en.head = e.u.RefOf(h)
	en.tail = en.head
	en.seq, en.ack, en.word = pk.seq, pk.ack, pk.word
	if pk.bits&bUDP == 0 {
		en.seq += pk.pay
	}
	en.l3, en.id = pk.l3, pk.id
	en.count, en.gso, en.sum = 1, uint16(pk.pay), pk.sum
	en.total, en.lay, en.extra = pk.room, pk.lay, 0
	en.tmpl.size = 0
	if e.cfg.Flush != 0 {
		en.since = unstamped
	}
	en.bits = pk.bits | e.firstBits(pk)
	if h.Seg != 0 {
		e.holdRest(en, h)
		en.tail = h.Tail
	}
	e.st.Started++
	e.st.Held++
}

// firstBits returns an entry's bits that are not the packet's own: list mode, and what V10 and E6 assume of the IP ID
// before there was a second packet.
func (e *Engine) firstBits(pk *pkt) (b uint16) {
	if pk.bits&bUDP != 0 && e.cfg.List&ListUDP != 0 || pk.bits&bUDP == 0 && e.cfg.List&ListTCP != 0 {
		b |= bList
	}
	if pk.l3&dontFragment != 0 || pk.bits&bV6 != 0 || e.cfg.Profile != Linux69 {
		b |= bFixed // an IPv6 packet's ID is 0 here, and stays
	}
	return b | bOuterFixed
}

// holdRest counts the further buffers of h's packet, which is Held.
func (e *Engine) holdRest(en *entry, h *umem.Header) {
	en.extra += h.Bufs - 1
	e.extra += uint64(h.Bufs - 1)
	en.bits |= bChain
}
