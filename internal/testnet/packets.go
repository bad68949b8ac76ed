package testnet

import (
	"context"

	"xrx/internal/afpacket"
	"xrx/internal/vethnet"
)

// Sender writes frames to a0; it fails the test instead of returning errors.
type Sender struct {
	*afpacket.Sender
	n *Net
}

// Sender opens a packet socket on a0, closed when the test ends.
func (n *Net) Sender() *Sender { n.t.Helper(); return n.SenderWith(afpacket.SenderOptions{}) }

// SenderWith is Sender with options.
func (n *Net) SenderWith(o afpacket.SenderOptions) *Sender {
	n.t.Helper()
	s := &Sender{n: n}
	var err error
	n.InA(func() { s.Sender, err = afpacket.NewSender(n.A.Index, o) })
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { s.Close() })
	return s
}

// Send writes all frames as fast as the kernel takes them.
func (s *Sender) Send(frames ...[]byte) {
	s.n.t.Helper()
	if _, err := s.Sender.Send(frames); err != nil {
		s.n.t.Fatal(err)
	}
}

// SendPaced writes all frames at rate frames per second.
func (s *Sender) SendPaced(frames [][]byte, rate float64) {
	s.n.t.Helper()
	if _, err := s.Sender.SendPaced(context.Background(), frames, rate); err != nil {
		s.n.t.Fatal(err)
	}
}

// Reader opens a packet socket that receives what arrives on the interface of
// e, with virtio-net headers; closed when the test ends.
func (n *Net) Reader(e *End) *afpacket.Reader {
	n.t.Helper()
	var r *afpacket.Reader
	var err error
	n.in(e, func() { r, err = afpacket.NewReader(e.Index, 0) })
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { r.Close() })
	return r
}

// EnableKernelGRO switches the kernel's GRO on at b0, with a flush timeout that
// lets it hold frames across polls: without it nothing is merged on a veth.
func (n *Net) EnableKernelGRO() {
	n.t.Helper()
	if err := n.B.SetOffload(vethnet.GRO, true); err != nil {
		n.t.Fatal(err)
	}
	for name, value := range map[string]string{"gro_flush_timeout": "1000000", "napi_defer_hard_irqs": "1"} {
		if err := n.B.SysClass(name, value); err != nil {
			n.t.Fatalf("%s: %v", name, err)
		}
	}
}
