package gen

import (
	"context"
	"sync/atomic"

	"xrx/internal/afpacket"
)

// packetSender sends with sendmmsg from a fixed set of buffers.
type packetSender struct {
	writer *Writer
	socket *afpacket.Sender
	pace   *schedule
	frames [afpacket.Batch][]byte
	out    atomic.Uint64 // frames, for sent; written once a batch
}

func openPacket(s Stream, ifindex int, o Options) (*packetSender, error) {
	writer, err := NewWriter(s)
	if err != nil {
		return nil, err
	}
	socket, err := afpacket.NewSender(ifindex, afpacket.SenderOptions{})
	if err != nil {
		return nil, err
	}
	p := &packetSender{writer: writer, socket: socket, pace: newSchedule(s, o)}
	for i := range p.frames {
		p.frames[i] = make([]byte, 0, s.maxSize())
	}
	return p, nil
}

func (p *packetSender) sent() uint64 { return p.out.Load() }

func (p *packetSender) close() error { return p.socket.Close() }

func (p *packetSender) send(ctx context.Context, count uint64, r *Result) error {
	defer func() { r.Late = p.pace.lateness() }()
	for r.Frames < count {
		n, err := p.pace.wait(ctx, int(min(count-r.Frames, afpacket.Batch)))
		if err != nil {
			return nil // ctx ended
		}
		for i := range n {
			p.pace.stamp(p.writer, i)
			p.frames[i] = p.writer.Append(p.frames[i][:0])
		}
		sent, err := p.socket.Send(p.frames[:n])
		for _, f := range p.frames[:sent] {
			r.Bytes += uint64(len(f))
		}
		r.Frames += uint64(sent)
		p.out.Store(r.Frames)
		r.Retries = p.socket.Retries
		if err != nil {
			return err
		}
	}
	return nil
}
