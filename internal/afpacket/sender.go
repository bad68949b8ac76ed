package afpacket

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Batch is the largest number of frames handed to the kernel in one call.
const Batch = 64

// SenderOptions tunes a Sender. The zero value is the default.
type SenderOptions struct {
	// BypassQdisc sends past the queueing discipline (PACKET_QDISC_BYPASS).
	BypassQdisc bool
	// VnetHeader means that every frame starts with a virtio-net header of
	// VnetHeaderSize bytes (PACKET_VNET_HDR): checksum and segmentation
	// offload can be asked for.
	VnetHeader bool
}

// Sender writes frames to one interface. It is used by one goroutine.
type Sender struct {
	fd      int
	vector  sendVector
	Retries uint64 // times the kernel had no buffer (ENOBUFS, EAGAIN) and was asked again
}

// NewSender opens a sender on the interface with the given index.
func NewSender(ifindex int, o SenderOptions) (_ *Sender, err error) {
	// Protocol 0: receive nothing.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", explain(err))
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	for _, opt := range []struct {
		on   bool
		name int
	}{{o.BypassQdisc, unix.PACKET_QDISC_BYPASS}, {o.VnetHeader, unix.PACKET_VNET_HDR}} {
		if !opt.on {
			continue
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, opt.name, 1); err != nil {
			return nil, fmt.Errorf("packet socket option %d: %w", opt.name, err)
		}
	}
	// A send buffer smaller than a batch makes the kernel sleep inside it.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 8<<20); err != nil && !errors.Is(err, unix.EPERM) {
		return nil, fmt.Errorf("send buffer: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: ifindex}); err != nil {
		return nil, fmt.Errorf("bind packet socket to interface %d: %w", ifindex, err)
	}
	return &Sender{fd: fd}, nil
}

// Close closes the socket. Idempotent.
func (s *Sender) Close() error {
	if s.fd < 0 {
		return nil
	}
	fd := s.fd
	s.fd = -1
	return unix.Close(fd)
}

// Send writes all frames as fast as the kernel takes them and returns how many
// it took; fewer than all only with an error. A full transmit queue is waited
// for, ENETDOWN and the like are not.
func (s *Sender) Send(frames [][]byte) (sent int, err error) {
	for sent < len(frames) {
		n, err := s.vector.send(s.fd, frames[sent:min(sent+Batch, len(frames))])
		sent += n
		switch {
		case err == nil, errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.EAGAIN):
			s.Retries++
			time.Sleep(20 * time.Microsecond) // there is nothing to poll on for a full qdisc
		default:
			return sent, fmt.Errorf("send on packet socket: %w", err)
		}
	}
	return sent, nil
}

// SendPaced writes all frames at a rate in frames per second, 0 meaning no
// limit, until done or ctx ends (then with the error of ctx).
func (s *Sender) SendPaced(ctx context.Context, frames [][]byte, rate float64) (sent int, err error) {
	pace := NewPacer(rate)
	for sent < len(frames) {
		n, err := pace.Wait(ctx, min(Batch, len(frames)-sent))
		if err != nil {
			return sent, err
		}
		n, err = s.Send(frames[sent : sent+n])
		sent += n
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// explain adds what to try to the errors a user can do something about.
func explain(err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w (needs root, or CAP_NET_RAW)", err)
	}
	return err
}
