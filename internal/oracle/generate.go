package oracle

import (
	"bytes"
	"fmt"
	"math/rand/v2"

	"xrx/internal/frames"
)

// MaxFrames is the most frames of a burst, with Breaks: fewer than a NAPI poll takes (NAPI_POLL_WEIGHT, 64), so that
// the kernel's poll never ends because its budget did and completes what it holds (X4).
const MaxFrames = 60

// Random returns the random burst of a seed: up to 12 flows, interleaved more or less, with changes more or less often,
// in order or not.
func Random(seed uint64) Burst {
	r := rand.New(rand.NewPCG(seed, 0x67726f))
	flows := make([]*flow, 1+r.IntN(pick(r, 1, 3, 8, 12)))
	for n := range flows {
		flows[n] = newFlow(r, n)
	}
	if len(flows) > 1 && oneIn(r, 4) { // two that differ in little
		twin := *flows[0]
		twin.n = 1
		twin.tmpl.Seq += uint32(r.IntN(3) * twin.size)
		flows[1] = &twin
		switch r.IntN(3) {
		case 0:
			twin.tmpl.SrcPort++
		case 1:
			twin.tmpl.VLANs = []frames.VLAN{{TCI: 7}}
			twin.size = max(1, min(twin.size, twin.room()))
		case 2:
			twin.tmpl.FlowLabel ^= 1
			twin.tmpl.Dst = address(twin.tmpl.Src.Is6(), 3)
		}
	}
	var b Burst
	every, stay := pick(r, 2, 3, 8, 8, 20, 1000), pick(r, 1, 3, 20)
	f := flows[0]
	for left := 2 + r.IntN(MaxFrames-2); left > 0; {
		if r.IntN(stay) == 0 {
			f = flows[r.IntN(len(flows))]
		}
		var c *change
		if oneIn(r, every) {
			c = &changes[r.IntN(len(changes))]
		}
		p := f.next(r, c, len(b))
		if left--; p.Break != nil {
			if left--; left < 0 {
				break
			}
		}
		b = append(b, p)
	}
	if oneIn(r, 4) {
		b = disorder(r, b)
	}
	return b
}

// next returns the flow's next packet, with a change if it can have it. mark tells breaking packets apart.
func (f *flow) next(r *rand.Rand, c *change, mark int) Packet {
	p := Packet{Note: f.String()}
	t := &f.tmpl
	t.Payload = make([]byte, f.size)
	for i := range t.Payload {
		t.Payload[i] = byte(r.Uint32())
	}
	before, now, step := *t, *t, f.step
	if c != nil && c.fits(f) {
		if c.before != nil {
			c.before(r, f, &now)
			if c.stays {
				*t = now
			}
		}
	} else {
		c = nil
	}
	p.Frame = f.build(&now)
	if c != nil && c.after != nil {
		h, ok := headersOf(p.Frame)
		if !ok {
			panic(fmt.Sprintf("oracle: %s: headers not found in %x", p.Note, p.Frame))
		}
		p.Frame = c.after(r, p.Frame, h)
	}
	if c != nil && (step != f.step || !bytes.Equal(p.Frame, f.build(&before))) { // some changes change nothing here
		p.Note += ": " + c.name
		p.Allow = c.allow
	}
	if p.Allow == V11 {
		plain := now
		if bare(f) {
			plain.Exts = nil
		}
		plain.IPOptions, plain.Fragment, plain.NoChecksum = nil, plain.Fragment&dontFragment, false
		p.Break = f.breaker(plain, mark)
	}
	if p.Allow == IPv6Version {
		if h, ok := headersOf(f.build(&before)); !ok || !h.v6(f.build(&before)) {
			p.Allow = "" // in IPv4 the kernel does look (V1)
		} else {
			p.Instead = bytes.Clone(p.Frame)
			p.Instead[12+4*len(now.VLANs)], p.Instead[13+4*len(now.VLANs)] = 0x88, 0xb6
		}
	}
	f.advance(len(now.Payload))
	f.size = max(1, min(f.size, f.room()))
	return p
}

// fits reports whether the flow's packets can have the change.
func (c *change) fits(f *flow) bool {
	return (c.udp || f.tmpl.Proto == frames.ProtoTCP) && (c.only == 0 || c.only == family(f.tmpl.Src)) && (c.when == nil || c.when(f))
}

// disorder swaps neighbours, moves, repeats and leaves out a few packets.
func disorder(r *rand.Rand, b Burst) Burst {
	for range 1 + r.IntN(3) {
		i, j := r.IntN(len(b)), r.IntN(len(b))
		switch r.IntN(4) {
		case 0:
			if i+1 < len(b) {
				b[i], b[i+1] = b[i+1], b[i]
			}
		case 1:
			b[i], b[j] = b[j], b[i]
		case 2:
			if b[j].Break == nil && b[i].Break == nil {
				note := b[i].Note
				b[j] = b[i]
				b[j].Note = note + ", again"
			}
		case 3:
			if len(b) > 2 {
				b = append(b[:i:i], b[i+1:]...)
			}
		}
	}
	return b
}
