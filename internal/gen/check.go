package gen

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"xrx/internal/frames"
)

// ErrForeign says that a frame is none of this package's: another protocol,
// other ports. Every other error of Check means a damaged frame.
var ErrForeign = errors.New("not a generated frame")

// Check verifies one received Ethernet frame: lengths, checksums and every byte
// of the payload. It returns the frame's sequence number (its low 48 bits where
// the payload is shorter than 16 bytes) and flow. Padding after the IP packet
// is ignored; a frame merged by GRO is not accepted.
func Check(frame []byte) (seq uint64, flow uint32, err error) {
	l3, etherType, ok := skipEthernet(frame)
	if !ok {
		return 0, 0, ErrForeign
	}
	packet := frame[l3:]
	var src, dst netip.Addr
	var proto uint8
	var segment []byte
	switch {
	case etherType == frames.TypeIPv4 && len(packet) >= 20 && packet[0] == 0x45:
		total := int(binary.BigEndian.Uint16(packet[2:]))
		if total < 20 || total > len(packet) {
			return 0, 0, fmt.Errorf("IPv4 length %d in %d bytes", total, len(packet))
		}
		if sum := frames.Checksum(packet[:20], 0); sum != 0 {
			return 0, 0, fmt.Errorf("IPv4 header checksum %#04x", binary.BigEndian.Uint16(packet[10:]))
		}
		proto, segment = packet[9], packet[20:total]
		src, _ = netip.AddrFromSlice(packet[12:16])
		dst, _ = netip.AddrFromSlice(packet[16:20])
	case etherType == frames.TypeIPv6 && len(packet) >= 40 && packet[0]>>4 == 6:
		length := int(binary.BigEndian.Uint16(packet[4:]))
		if 40+length > len(packet) {
			return 0, 0, fmt.Errorf("IPv6 payload length %d in %d bytes", length, len(packet)-40)
		}
		proto, segment = packet[6], packet[40:40+length]
		src, _ = netip.AddrFromSlice(packet[8:24])
		dst, _ = netip.AddrFromSlice(packet[24:40])
	default:
		return 0, 0, ErrForeign
	}
	header, err := l4Header(proto, segment)
	if err != nil {
		return 0, 0, err
	}
	flow, ok = flowOf(binary.BigEndian.Uint16(segment), binary.BigEndian.Uint16(segment[2:]))
	if !ok {
		return 0, 0, ErrForeign
	}
	if frames.Checksum(segment, frames.PseudoSum(src, dst, proto, len(segment))) != 0 {
		return 0, 0, errors.New("wrong L4 checksum")
	}
	seq, err = checkPayload(segment[header:], flow)
	return seq, flow, err
}

// skipEthernet returns the offset behind the Ethernet header and its VLAN tags,
// and the EtherType there.
func skipEthernet(frame []byte) (l3 int, etherType uint16, ok bool) {
	for l3 = 14; l3 <= 14+8 && len(frame) >= l3; l3 += 4 {
		etherType = binary.BigEndian.Uint16(frame[l3-2:])
		if etherType != frames.TypeVLAN && etherType != frames.TypeQinQ {
			return l3, etherType, true
		}
	}
	return 0, 0, false
}

// l4Header returns the length of the TCP or UDP header.
func l4Header(proto uint8, segment []byte) (int, error) {
	switch {
	case proto == frames.ProtoUDP && len(segment) >= 8:
		if length := int(binary.BigEndian.Uint16(segment[4:])); length != len(segment) {
			return 0, fmt.Errorf("UDP length %d in %d bytes", length, len(segment))
		}
		if binary.BigEndian.Uint16(segment[6:]) == 0 {
			return 0, errors.New("no UDP checksum")
		}
		return 8, nil
	case proto == frames.ProtoTCP && len(segment) >= 20:
		n := int(segment[12]>>4) * 4
		if n < 20 || n > len(segment) {
			return 0, fmt.Errorf("TCP header of %d in %d bytes", n, len(segment))
		}
		return n, nil
	}
	return 0, ErrForeign
}

func checkPayload(p []byte, flow uint32) (seq uint64, err error) {
	if len(p) < compactHeader {
		return 0, fmt.Errorf("payload of %d bytes", len(p))
	}
	if len(p) < fullHeader {
		seq = uint64(binary.BigEndian.Uint16(p))<<32 | uint64(binary.BigEndian.Uint32(p[2:]))
		if !bytes.Equal(p[compactHeader:], pattern[compactHeader:len(p)]) {
			return 0, fmt.Errorf("frame %d: wrong content", seq)
		}
		return seq, nil
	}
	seq = binary.BigEndian.Uint64(p)
	if got := binary.BigEndian.Uint32(p[8:]); got != flow {
		return 0, fmt.Errorf("frame %d: flow %d by its ports, %d by its payload", seq, flow, got)
	}
	header := fullHeader
	switch {
	case len(p) >= stampedHeader && bytes.Equal(p[13:fullHeader], stampedMagic[:]):
		header = stampedHeader
	case !bytes.Equal(p[13:fullHeader], magic[:]):
		return 0, fmt.Errorf("frame %d: no magic", seq)
	}
	shift := int(p[12])
	if !bytes.Equal(p[header:], pattern[header+shift:len(p)+shift]) {
		return 0, fmt.Errorf("frame %d: wrong content", seq)
	}
	return seq, nil
}
