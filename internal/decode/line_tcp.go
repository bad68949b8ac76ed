package decode

import (
	"encoding/binary"
	"strconv"
)

// appendTCP is print-tcp.c without relative sequence numbers (tcpdump -S).
func (p *Packet) appendTCP(b []byte) []byte {
	if p.IP.Payload < 20 || len(p.Data) < p.L4+20 {
		return append(b, "[|tcp]"...)
	}
	b = append(p.AppendFlags(append(b, "Flags ["...)), ']')
	if p.Payload > 0 || p.Flags&7 != 0 { // SYN, FIN, RST
		b = strconv.AppendUint(append(b, ", seq "...), uint64(p.Seq), 10)
		if p.Payload > 0 {
			b = strconv.AppendUint(append(b, ':'), uint64(p.Seq+uint32(p.Payload)), 10)
		}
	}
	if p.Flags&0x10 != 0 {
		b = strconv.AppendUint(append(b, ", ack "...), uint64(p.Ack), 10)
	}
	b = appendInt(append(b, ", win "...), int(p.Window))
	if p.Flags&0x20 != 0 {
		b = appendInt(append(b, ", urg "...), int(p.Urgent))
	}
	if len(p.Options) > 0 {
		b = append(appendOptions(append(b, ", options ["...), p.Options), ']')
	}
	return appendInt(append(b, ", length "...), p.Payload)
}

// appendOptions are the TCP options, separated by commas (RFC 9293, section 3.1; IANA's TCP option kinds).
func appendOptions(b, o []byte) []byte {
	for first := true; len(o) > 0; first = false {
		if !first {
			b = append(b, ',')
		}
		switch o[0] {
		case 0:
			return append(b, "eol"...)
		case 1:
			b, o = append(b, "nop"...), o[1:]
			continue
		}
		if len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
			return append(b, "[bad opt]"...)
		}
		b = appendOption(b, o[0], o[2:o[1]])
		o = o[o[1]:]
	}
	return b
}

func appendOption(b []byte, kind byte, v []byte) []byte {
	switch {
	case kind == 2 && len(v) == 2:
		return appendInt(append(b, "mss "...), int(binary.BigEndian.Uint16(v)))
	case kind == 3 && len(v) == 1:
		return appendInt(append(b, "wscale "...), int(v[0]))
	case kind == 4 && len(v) == 0:
		return append(b, "sackOK"...)
	case kind == 5 && len(v)%8 == 0 && len(v) > 0:
		b = append(appendInt(append(b, "sack "...), len(v)/8), ' ')
		for ; len(v) > 0; v = v[8:] {
			b = strconv.AppendUint(append(b, '{'), uint64(binary.BigEndian.Uint32(v)), 10)
			b = strconv.AppendUint(append(b, ':'), uint64(binary.BigEndian.Uint32(v[4:])), 10)
			b = append(b, '}')
		}
		return b
	case kind == 8 && len(v) == 8:
		b = strconv.AppendUint(append(b, "TS val "...), uint64(binary.BigEndian.Uint32(v)), 10)
		return strconv.AppendUint(append(b, " ecr "...), uint64(binary.BigEndian.Uint32(v[4:])), 10)
	}
	b = appendInt(append(b, "unknown-"...), int(kind))
	for i, x := range v {
		if i == 0 {
			b = append(b, " 0x"...)
		}
		b = append(b, "0123456789abcdef"[x>>4], "0123456789abcdef"[x&15])
	}
	return b
}
