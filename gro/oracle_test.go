package gro

import (
	"fmt"
	"strings"
)

// The oracle is GRO once more: slow, on byte slices, with the kernel's own arithmetic for what the kernel computes, and
// with nothing in common with the engine but the rules. It knows what becomes of each packet, not why.

type oracleLevel struct {
	v6       bool
	tos, ttl byte
	df       bool
	id       uint16
}

type oraclePkt struct {
	index     int
	keyed     bool // its flow can be told
	candidate bool // it may be merged or held
	key       string
	levels    []oracleLevel
	tcp       bool
	seq, ack  uint32
	word      uint32
	opts      string
	pay       []byte
	partial   bool
	l2        int // bytes after the Ethernet header
}

// oracleParse reads a packet.
func oracleParse(b []byte, cfg Config) (p oraclePkt) {
	p.l2 = len(b) - 14
	if len(b) < 14 {
		return
	}
	key := fmt.Sprintf("eth %x", b[:12])
	etype, rest := int(b[12])<<8|int(b[13]), b[14:]
	for tags := 0; etype == 0x8100 || etype == 0x88a8; tags++ {
		if len(rest) < 4 || tags == 2 {
			return
		}
		key += fmt.Sprintf(" vlan %x %x", etype, rest[:2])
		etype, rest = int(rest[2])<<8|int(rest[3]), rest[4:]
	}
	proto := map[int]int{0x0800: 4, 0x86dd: 41}[etype]
	if proto == 0 {
		return
	}
	good, sumOK, hdr := true, true, len(b)-len(rest)
	var pseudo uint16
	for proto == 4 || proto == 41 {
		if len(p.levels) == 2 || hdr > 255 {
			return
		}
		var l oracleLevel
		var head int
		if proto == 4 {
			if len(rest) < 20 || rest[0]>>4 != 4 || rest[0]&15 < 5 {
				return
			}
			head = int(rest[0]&15) * 4
			if head > len(rest) {
				return
			}
			frag := int(rest[6])<<8 | int(rest[7])
			if frag&0x1fff != 0 {
				return
			}
			tot := int(rest[2])<<8 | int(rest[3])
			if head != 20 || frag&0xa000 != 0 || tot != len(rest) || slowSum(0, rest[:head]) != 0xffff {
				good = false
			}
			if frag&0x2000 != 0 || tot > len(rest) {
				sumOK = false
			}
			if tot < len(rest) {
				rest = rest[:max(tot, head)]
			}
			l = oracleLevel{tos: rest[1], ttl: rest[8], df: frag&0x4000 != 0, id: uint16(rest[4])<<8 | uint16(rest[5])}
			key += fmt.Sprintf(" v4 %d %x", rest[9], rest[12:20])
			proto = int(rest[9])
			pseudo = slowSum(uint32(proto)+uint32(len(rest)-head), rest[12:20])
		} else {
			if len(rest) < 40 || rest[0]>>4 != 6 {
				return
			}
			n := int(rest[4])<<8 | int(rest[5])
			if n != len(rest)-40 {
				good = false
			}
			if n > len(rest)-40 {
				sumOK = false
			} else {
				rest = rest[:40+n]
			}
			l = oracleLevel{v6: true, tos: rest[0]<<4 | rest[1]>>4, ttl: rest[7]}
			addrs := rest[8:40]
			head, proto = 40, int(rest[6])
			for proto == 0 || proto == 43 || proto == 60 {
				if len(rest) < head+8 {
					return
				}
				next := int(rest[head])
				head += int(rest[head+1])*8 + 8
				if head > len(rest) {
					return
				}
				proto = next
			}
			ext := fmt.Sprintf("%d %x", rest[6], rest[40:head])
			if proto == 44 {
				if head != 40 || len(rest) < 48 || rest[42] != 0 || rest[43]&0xf8 != 0 || len(p.levels) != 0 || rest[40] == 4 || rest[40] == 41 {
					return
				}
				if rest[43]&1 != 0 {
					sumOK = false
				}
				good, head, proto = false, 48, int(rest[40])
				ext = fmt.Sprintf("%d ", proto) // it is compared with packets that have no fragment header
			}
			key += fmt.Sprintf(" v6 %x %x %s", []byte{rest[1] & 15, rest[2], rest[3]}, addrs, ext)
			pseudo = slowSum(uint32(proto)+uint32(len(rest)-head), addrs)
		}
		p.levels = append(p.levels, l)
		rest = rest[head:]
		hdr += head
	}
	if hdr > 255-60 || proto != 6 && proto != 17 {
		return
	}
	check := 16
	if p.tcp = proto == 6; p.tcp {
		if len(rest) < 4 {
			return
		}
		p.key, p.keyed = fmt.Sprintf("%s tcp %x", key, rest[:4]), true
		if len(rest) < 20 {
			return
		}
		doff := int(rest[12]>>4) * 4
		if doff < 20 || doff > len(rest) {
			return
		}
		p.seq, p.ack, p.word = be.Uint32(rest[4:]), be.Uint32(rest[8:]), be.Uint32(rest[12:])
		p.opts, p.pay = string(rest[20:doff]), rest[doff:]
		if rest[13]&(fSYN|fRST|fURG) != 0 || len(p.pay) == 0 {
			good = false
		}
	} else {
		if len(rest) < 8 {
			return
		}
		port, opted := be.Uint16(rest[2:]), false
		for _, u := range cfg.UDPPorts {
			opted = opted || u == port
		}
		if !opted {
			return
		}
		p.key, p.keyed = fmt.Sprintf("%s udp %x", key, rest[:4]), true
		check, p.pay = 6, rest[8:]
		if n := int(be.Uint16(rest[4:])); n != len(rest) || n <= 8 || rest[6] == 0 && rest[7] == 0 {
			good = false
		}
	}
	if good && cfg.Verify != VerifyOff {
		if slowSum(uint32(pseudo), rest) != 0xffff {
			p.partial = be.Uint16(rest[check:]) == pseudo
			good = p.partial && !cfg.KeepPartial
		}
	}
	p.candidate = good && sumOK
	return
}

// oracleHeld is P.
type oracleHeld struct {
	oraclePkt        // of the first packet
	pkts      []int  // indices
	next      uint32 // sequence number
	len       int    // skb->len
	atomic    bool   // 6.9: NAPI_GRO_CB(p)->is_atomic
	fixed     [2]bool
}

type oracle struct {
	cfg  Config
	held []*oracleHeld // oldest first
	out  []string      // one per delivered packet: its indices
}

func (o *oracle) deliver(idx ...int) {
	o.out = append(o.out, strings.Trim(fmt.Sprint(idx), "[]"))
}

func (o *oracle) complete(p *oracleHeld) {
	for i, q := range o.held {
		if p == q {
			o.held = append(o.held[:i:i], o.held[i+1:]...)
			break
		}
	}
	o.deliver(p.pkts...)
}

func (o *oracle) flush() {
	for len(o.held) > 0 {
		o.complete(o.held[0])
	}
}

func (o *oracle) receive(index int, b []byte) {
	s := oracleParse(b, o.cfg)
	s.index = index
	var p *oracleHeld
	if s.keyed {
		for _, q := range o.held {
			if q.key == s.key {
				p = q
			}
		}
	}
	if !s.candidate {
		if p != nil {
			o.complete(p)
		}
		o.deliver(index)
		return
	}
	final := s.tcp && s.word&(0x09<<16) != 0 // PSH or FIN
	if p != nil {
		if o.merge(p, &s) {
			if final || len(s.pay) < len(p.pay) || !s.tcp && len(p.pkts) >= 64 {
				o.complete(p)
			}
			return
		}
		o.complete(p)
	}
	if final {
		o.deliver(index)
		return
	}
	if len(o.held) == o.cfg.Flows {
		o.complete(o.held[0])
	}
	h := &oracleHeld{oraclePkt: s, pkts: []int{index}, next: s.seq + uint32(len(s.pay)), len: s.l2}
	inner := s.levels[len(s.levels)-1]
	h.atomic = inner.df || inner.v6 // is_atomic as the last level leaves it
	o.held = append(o.held, h)
}

// ipid returns whether the IP IDs forbid merging.
func (o *oracle) ipid(p *oracleHeld, s *oraclePkt) bool {
	count := uint16(len(p.pkts))
	if o.cfg.Profile != Linux69 {
		// inet_gro_flush of 6.18: the second packet decides between fixed and counting, per level.
		bad := false
		for i, l := range s.levels {
			if l.v6 {
				continue
			}
			offset := l.id - p.levels[i].id
			if count == 1 && offset == 0 {
				p.fixed[i] = true
			}
			want := count
			if p.fixed[i] {
				want = 0
			}
			bad = bad || offset != want
		}
		return bad
	}
	// inet_gro_receive and ipv6_gro_receive of 6.9, level after level, then the test in tcp_gro_receive.
	var flushID uint16
	atomic := true // of the skb
	for i, l := range s.levels {
		if l.v6 {
			if atomic {
				flushID = 0
			}
			atomic = true
			continue
		}
		f := l.id - p.levels[i].id
		if !p.atomic || !l.df {
			f ^= count
			if f != 0 {
				f = 0xffff
			}
		}
		if atomic {
			flushID = f
		} else {
			flushID |= f
		}
		atomic = l.df
	}
	if flushID != 1 || count != 1 || !p.atomic {
		return flushID != 0
	}
	p.atomic = false
	return false
}

// merge is the rest of the rules.
func (o *oracle) merge(p *oracleHeld, s *oraclePkt) bool {
	for i, l := range s.levels {
		q := p.levels[i]
		if l.tos != q.tos || l.ttl != q.ttl || l.df != q.df {
			return false
		}
	}
	if o.ipid(p, s) || s.partial != p.partial || len(s.pay) > len(p.pay) {
		return false
	}
	list := o.cfg.List&ListUDP != 0 && !s.tcp || o.cfg.List&ListTCP != 0 && s.tcp
	if s.tcp {
		diff := s.word ^ p.word
		const cwr, finPsh = 0x80 << 16, 0x09 << 16
		switch {
		case list && diff != 0,
			o.cfg.Profile == Linux69 && (diff&^(cwr|finPsh) != 0 || s.word&cwr != 0),
			o.cfg.Profile == Linux618 && (diff&^finPsh != 0 || s.word&cwr != 0),
			o.cfg.Profile == Linux7 && diff&^finPsh != 0:
			return false
		}
		if s.ack != p.ack || s.opts != p.opts || s.seq != p.next {
			return false
		}
	}
	add := len(s.pay)
	if list {
		if add = s.l2; len(p.pkts) >= 64 {
			return false
		}
	}
	if p.len+add >= 65536 {
		return false
	}
	p.pkts = append(p.pkts, s.index)
	p.len += len(s.pay)
	p.next += uint32(len(s.pay))
	return true
}
