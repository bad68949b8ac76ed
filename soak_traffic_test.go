package xrx_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"net/netip"

	"github.com/vishvananda/netlink"

	"xrx"
	"xrx/internal/afpacket"
	"xrx/internal/frames"
	"xrx/internal/testnet"
)

// The soak's traffic: flows of UDP and TCP over IPv4 and IPv6, and of an EtherType of its own. Each payload is a unit that
// says which frame of which flow it is and has a checksum over all of it; GRO puts units of one size one behind the other.
//
//	0   4      8            16       20    24
//	magic flow  sequence no. length   CRC   pattern ...
const (
	soakFlows   = 40
	soakMagic   = 0x736f616b // soak
	soakUnit    = 24
	soakType    = 0x88b5 // IEEE 802, local experimental
	soakTCPFrom = 24     // flows before are UDP, or not IP
)

var soakPattern = func() (p [2048]byte) {
	for i := range p {
		p[i] = byte(i*11 + i>>6)
	}
	return p
}()

// soakTraffic sends until it is stopped. What it counts as sent, the kernel took.
type soakTraffic struct {
	n    *testnet.Net
	sent atomic.Uint64

	mu     sync.Mutex // held while a batch is sent
	s      *afpacket.Sender
	paused bool
	seq    [soakFlows]uint64

	unit [1448]byte
	f    frames.Frame
}

// to makes a0, as it is now, the interface that is sent on.
func (s *soakTraffic) to(t testing.TB) {
	t.Helper()
	var now *afpacket.Sender
	s.n.InA(func() {
		l, err := netlink.LinkByName("a0")
		if err == nil {
			now, err = afpacket.NewSender(l.Attrs().Index, afpacket.SenderOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.s != nil {
		s.s.Close()
	}
	s.s = now
}

// pause returns when nothing is being sent any more.
func (s *soakTraffic) pause() { s.set(true) }
func (s *soakTraffic) goOn()  { s.set(false) }

func (s *soakTraffic) set(paused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = paused
}

func (s *soakTraffic) run(stop <-chan struct{}, rng *rand.Rand) {
	buf, list := make([]byte, 0, 64*1600), make([][]byte, 0, 64)
	pause := time.NewTicker(time.Millisecond)
	defer pause.Stop()
	for {
		select {
		case <-stop:
			return
		case <-pause.C:
		}
		s.mu.Lock()
		if s.s != nil && !s.paused {
			buf, list = buf[:0], list[:0]
			for len(list) < 32 {
				flow, burst := rng.IntN(soakFlows), 1+rng.IntN(4)
				for range burst { // GRO has something to merge
					at := len(buf)
					buf = s.frame(buf, flow, rng)
					list = append(list, buf[at:])
				}
			}
			took, _ := s.s.Send(list) // an interface that is down takes none
			s.sent.Add(uint64(took))
		}
		s.mu.Unlock()
	}
}

// frame appends the next frame of a flow. It is addressed to B's MAC and to nobody's IP address: what a filter leaves to
// the kernel, that drops without an answer.
func (s *soakTraffic) frame(b []byte, flow int, rng *rand.Rand) []byte {
	seq := s.seq[flow]
	s.seq[flow]++
	size := 60 + rng.IntN(1300)
	if flow >= soakTCPFrom {
		size = 200 + 90*(flow-soakTCPFrom)%1200
	}
	u := s.unit[:size]
	binary.BigEndian.PutUint32(u, soakMagic)
	binary.BigEndian.PutUint32(u[4:], uint32(flow))
	binary.BigEndian.PutUint64(u[8:], seq)
	binary.BigEndian.PutUint32(u[16:], uint32(size))
	copy(u[soakUnit:], soakPattern[seq%512:])
	binary.BigEndian.PutUint32(u[20:], soakSum(u))
	s.f = frames.Frame{SrcMAC: s.n.A.MAC, DstMAC: s.n.B.MAC, Proto: frames.ProtoUDP, SrcPort: uint16(3000 + flow), DstPort: 9, ID: uint16(seq), Fragment: 0x4000,
		Src: netip.AddrFrom4([4]byte{198, 18, 0, 1}), Dst: netip.AddrFrom4([4]byte{198, 18, 0, 2}), Payload: u, Pad: true}
	if flow%3 == 0 {
		s.f.Src, s.f.Dst = netip.MustParseAddr("2001:2::1"), netip.MustParseAddr("2001:2::2")
	}
	switch {
	case flow >= soakTCPFrom:
		s.f.Proto, s.f.DstPort, s.f.Seq, s.f.Ack, s.f.Flags, s.f.Window = frames.ProtoTCP, 80, uint32(seq)*uint32(size), 1, frames.ACK, 512
	case flow < 2:
		s.f.Src, s.f.Dst, s.f.EtherType = netip.Addr{}, netip.Addr{}, soakType
	case flow < 6:
		s.f.DstPort = 10 // nobody's but the default handler's
	}
	return s.f.Append(b)
}

func soakSum(u []byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE(u[:20]), crc32.IEEETable, u[soakUnit:])
}

// soakUnits calls f for each frame that is in a packet's bytes, whose merged payloads have size bytes each (0: it is not
// merged), and returns what is wrong with them.
func soakUnits(b []byte, size int, f func(flow uint32, seq uint64) error) error {
	at := 14
	switch {
	case len(b) < 60:
		return fmt.Errorf("%d bytes", len(b))
	case b[12] == 0x08 && b[13] == 0:
		at += 20 + map[byte]int{6: 20, 17: 8}[b[23]]
	case b[12] == 0x86 && b[13] == 0xdd:
		at += 40 + map[byte]int{6: 20, 17: 8}[b[20]]
	case b[12] != soakType>>8 || b[13] != soakType&0xff:
		return errForeign
	}
	for b = b[at:]; len(b) > 0; {
		u := b
		if size > 0 {
			u = b[:min(size, len(b))]
		}
		b = b[len(u):]
		if len(u) < soakUnit || binary.BigEndian.Uint32(u) != soakMagic || int(binary.BigEndian.Uint32(u[16:])) != len(u) {
			return fmt.Errorf("a payload of %d bytes, cut every %d, begins % x", len(u), size, u[:min(len(u), soakUnit)])
		}
		flow, seq := binary.BigEndian.Uint32(u[4:]), binary.BigEndian.Uint64(u[8:])
		if sum := soakSum(u); flow >= soakFlows || sum != binary.BigEndian.Uint32(u[20:]) {
			return fmt.Errorf("flow %d, frame %d: checksum %#x, want %#x", flow, seq, sum, binary.BigEndian.Uint32(u[20:]))
		}
		if f != nil {
			if err := f(flow, seq); err != nil {
				return err
			}
		}
	}
	return nil
}

var errForeign = fmt.Errorf("a frame that the soak did not send")

// soakPacket checks every byte of a packet.
func soakPacket(p xrx.Packet, buf []byte, f func(flow uint32, seq uint64) error) ([]byte, error) {
	buf = p.Bytes(buf[:0])
	return buf, soakUnits(buf, p.GSOSize(), f)
}
