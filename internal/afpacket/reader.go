package afpacket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// VnetHeaderSize is the length of struct virtio_net_hdr, bytes
// (include/uapi/linux/virtio_net.h, v6.18).
const VnetHeaderSize = 10

// Flags and GSO types of a VnetHeader (same file).
const (
	VnetNeedsChecksum = 1 // the checksum field holds a partial sum
	VnetDataValid     = 2 // the checksum was verified

	GSONone  = 0
	GSOTCPv4 = 1
	GSOUDP   = 3
	GSOTCPv6 = 4
	GSOUDPL4 = 5
	GSOECN   = 0x80
)

// auxdataSize is the length of struct tpacket_auxdata, bytes
// (include/uapi/linux/if_packet.h, v6.18).
const auxdataSize = 20

// VnetHeader is struct virtio_net_hdr in the host's byte order.
type VnetHeader struct {
	Flags          uint8
	GSOType        uint8
	HeaderLen      uint16 // bytes
	GSOSize        uint16 // payload bytes of each merged segment
	ChecksumStart  uint16
	ChecksumOffset uint16
}

// Packet is one received frame.
type Packet struct {
	VnetHeader
	Data []byte // valid until the next Read; starts with the Ethernet header
	// HasVLAN tells that the kernel took the outer tag out of Data and put
	// it here (PACKET_AUXDATA).
	HasVLAN bool
	VLAN    uint16 // TCI
	TPID    uint16
}

// Reader receives every frame that arrives on one interface, not those sent on
// it. It is used by one goroutine.
type Reader struct {
	fd  int
	buf []byte
	oob []byte
}

// NewReader opens a reader on the interface with the given index. buffer is
// the size in bytes of the socket's queue, 0 meaning 32 MiB.
func NewReader(ifindex, buffer int) (_ *Reader, err error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", explain(err))
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if buffer == 0 {
		buffer = 32 << 20
	}
	for _, o := range []struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer},
		{unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1},
		{unix.SOL_PACKET, unix.PACKET_AUXDATA, 1},
		{unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return nil, fmt.Errorf("packet socket option %d: %w", o.name, explain(err))
		}
	}
	address := &unix.SockaddrLinklayer{Ifindex: ifindex, Protocol: bigEndian(unix.ETH_P_ALL)}
	if err := unix.Bind(fd, address); err != nil {
		return nil, fmt.Errorf("bind packet socket to interface %d: %w", ifindex, err)
	}
	return &Reader{
		fd:  fd,
		buf: make([]byte, VnetHeaderSize+14+4+65535),
		oob: make([]byte, unix.CmsgSpace(auxdataSize)),
	}, nil
}

// Close closes the socket. Idempotent.
func (r *Reader) Close() error {
	if r.fd < 0 {
		return nil
	}
	fd := r.fd
	r.fd = -1
	return unix.Close(fd)
}

// Read waits up to timeout for the next frame; os.ErrDeadlineExceeded says
// that none came.
func (r *Reader) Read(timeout time.Duration) (Packet, error) {
	deadline := time.Now().Add(timeout)
	for {
		n, oobn, flags, _, err := unix.Recvmsg(r.fd, r.buf, r.oob, unix.MSG_DONTWAIT)
		switch {
		case err == nil && flags&unix.MSG_TRUNC != 0:
			return Packet{}, errors.New("read packet socket: frame longer than 65535 bytes")
		case err == nil && n < VnetHeaderSize:
			return Packet{}, fmt.Errorf("read packet socket: %d bytes", n)
		case err == nil:
			return parse(r.buf[:n], r.oob[:oobn]), nil
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EAGAIN):
			return Packet{}, fmt.Errorf("read packet socket: %w", err)
		}
		left := time.Until(deadline)
		if left <= 0 {
			return Packet{}, os.ErrDeadlineExceeded
		}
		pollFd := []unix.PollFd{{Fd: int32(r.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(pollFd, int(left.Milliseconds())+1); err != nil && !errors.Is(err, unix.EINTR) {
			return Packet{}, fmt.Errorf("poll packet socket: %w", err)
		}
	}
}

// Drops returns the frames that did not fit in the socket's queue since the
// last call (PACKET_STATISTICS).
func (r *Reader) Drops() (uint32, error) {
	s, err := unix.GetsockoptTpacketStats(r.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0, fmt.Errorf("packet socket statistics: %w", err)
	}
	return s.Drops, nil
}

func parse(b, oob []byte) Packet {
	p := Packet{
		VnetHeader: VnetHeader{
			Flags: b[0], GSOType: b[1],
			HeaderLen:      binary.NativeEndian.Uint16(b[2:]),
			GSOSize:        binary.NativeEndian.Uint16(b[4:]),
			ChecksumStart:  binary.NativeEndian.Uint16(b[6:]),
			ChecksumOffset: binary.NativeEndian.Uint16(b[8:]),
		},
		Data: b[VnetHeaderSize:],
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return p
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_PACKET || m.Header.Type != unix.PACKET_AUXDATA || len(m.Data) < auxdataSize {
			continue
		}
		// struct tpacket_auxdata: u32 status, len, snaplen; u16 mac,
		// net, vlan_tci, vlan_tpid (include/uapi/linux/if_packet.h, v6.18).
		if binary.NativeEndian.Uint32(m.Data)&unix.TP_STATUS_VLAN_VALID != 0 {
			p.HasVLAN = true
			p.VLAN = binary.NativeEndian.Uint16(m.Data[16:])
			p.TPID = binary.NativeEndian.Uint16(m.Data[18:])
		}
	}
	return p
}

// bigEndian returns v as the kernel wants it in a sockaddr_ll: its bytes in
// network order, whatever order the host has.
func bigEndian(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}
