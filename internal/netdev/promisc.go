package netdev

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Promiscuous is an interface in promiscuous mode, for as long as it is not closed: the mode hangs on a packet socket
// that receives nothing, so it goes with the process too (packet(7), PACKET_MR_PROMISC).
type Promiscuous struct{ fd int }

// NewPromiscuous switches the mode on, in the network namespace of the calling thread.
func NewPromiscuous(index int) (*Promiscuous, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // protocol 0: no packets
	if err != nil {
		return nil, fmt.Errorf("promiscuous mode: packet socket: %w", err)
	}
	if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("promiscuous mode: %w", err)
	}
	return &Promiscuous{fd}, nil
}

// Close switches the mode off, unless somebody else wants it too. Idempotent.
func (p *Promiscuous) Close() error {
	if p.fd < 0 {
		return nil
	}
	fd := p.fd
	p.fd = -1
	return unix.Close(fd)
}
