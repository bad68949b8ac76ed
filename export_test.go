package xrx

import (
	"errors"

	"xrx/bpf"
	"xrx/umem"
	"xrx/xsk"
)

// Reload puts the receiver's program on the interface anew, loaded with other options. Between runs, in the
// interface's namespace.
func (r *Receiver) Reload(opts bpf.Options) (err error) {
	mode := r.link.Mode()
	if err := errors.Join(r.link.Close(), r.prog.Close()); err != nil {
		return err
	}
	p, err := bpf.Load(opts)
	if err != nil {
		return err
	}
	r.prog = p
	for _, q := range r.queues {
		q.metaRefused = p.MetaRefused
	}
	r.link, err = p.Attach(r.iface.Index, mode)
	return err
}

// ForgeMeta writes into each frame what a driver's own metadata, or a consumer that used the headroom, may have left: the
// tag of ours, and VLAN tags that the device took off, of which no two in a row are the same. Before Run.
func (r *Receiver) ForgeMeta() {
	for _, q := range r.queues {
		for i := range q.pool.Total() {
			h := q.mem.Frame(i)
			h.Off = uint16(q.mem.PacketOffset())
			copy(h.Before(12), []byte{1, 2, 3, 4, byte(i), 0, byte(umem.VLANHW), 4, 14, 34, 6, 0x13})
		}
	}
}

// Detach takes the receiver's program off the interface, so that a test can put another one there, which the receiver then
// takes for its own. Before Run.
func (r *Receiver) Detach() error {
	was := r.link
	r.link = detached{was}
	return was.Close()
}

// detached is a program that is on the interface whenever it is looked for.
type detached struct{ attachment }

func (detached) Condition() (bpf.Condition, error) { return bpf.Attached, nil }
func (detached) Close() error                      { return nil }

// SocketFD returns the descriptor of the first queue's socket.
func (r *Receiver) SocketFD() int { return r.queues[0].sock.FD() }

// IfIndex returns the index of the interface in its namespace.
func (r *Receiver) IfIndex() int { return r.iface.Index }

// KernelStats reads the kernel's counters of the first queue without asking its goroutine, which may be in a handler.
func (r *Receiver) KernelStats() (xsk.Stats, error) { return r.queues[0].sock.Stats() }

// ParsesAsTheMetadataSays reports whether a Mux would choose the packet's handler the same without metadata.
func (p Packet) ParsesAsTheMetadataSays() bool {
	return p.Meta().Kind != 0 && parse(p.Data()) == layersOf(p)
}
