package xrx_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/safchain/ethtool"

	"xrx"
	"xrx/gro"
	"xrx/internal/afpacket"
	"xrx/internal/frames"
	"xrx/internal/oracle"
	"xrx/internal/testnet"
	"xrx/umem"
)

// kernelSide is a veth pair with the kernel's GRO at b0, and a packet socket that sees what it delivers.
type kernelSide struct {
	t    *testing.T
	r    *afpacket.Reader
	s    *testnet.Sender
	tags bool // it has GRO for VLAN tags; else see oracle.Tags
}

func newKernelSide(t *testing.T) *kernelSide {
	n := testnet.New(t, testnet.Options{})
	n.EnableKernelGRO()
	n.InB(func() {
		e, err := ethtool.NewEthtool()
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if err := e.Change(n.B.Iface, map[string]bool{"rx-udp-gro-forwarding": true}); err != nil { // U1
			t.Fatal(err)
		}
	})
	// A frame with an EtherType that nobody handles goes last to the packet socket that was opened first, after the tap
	// of the frame behind it (pt_prev in __netif_receive_skb_list_core, net/core/dev.c, v6.18): let that be another one.
	n.InB(func() {
		first, err := afpacket.NewReader(n.B.Index, 1)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { first.Close() })
	})
	k := &kernelSide{t: t, r: n.Reader(n.B), s: n.SenderWith(afpacket.SenderOptions{BypassQdisc: true}), tags: true}
	k.tags = k.mergesTagged()
	if !k.tags {
		t.Log("this kernel has no GRO for VLAN tags (CONFIG_VLAN_8021Q): it is asked with source addresses in their place (F4 as F2)")
	}
	return k
}

// mergesTagged reports whether the kernel merges frames with an 802.1Q tag.
func (k *kernelSide) mergesTagged() bool {
	var list [][]byte
	for i := range 3 {
		f := frames.TCP(addrPort(netip.AddrFrom4([4]byte{10, 11, 0, 1}), 1), addrPort(netip.AddrFrom4([4]byte{10, 11, 0, 2}), 2), uint32(i*100), make([]byte, 100))
		f.ID, f.VLANs = uint16(i), []frames.VLAN{{TCI: 5}}
		list = append(list, f.Append(nil))
	}
	for range tries {
		got, err := k.deliver(list)
		if err != nil {
			k.t.Fatal(err)
		}
		if len(got) < len(list) {
			return true
		}
	}
	return false
}

// deliver sends frames at once and returns what the kernel made of them, when it has delivered all.
//
// The first frame is polled at once and held (X1: gro_flush_timeout); the interrupt stays off for 1 ms
// (napi_defer_hard_irqs), when one poll takes the others; 1 ms later an empty poll completes everything. So a burst of
// up to 65 frames is one GRO session, unless a jiffy passes within the first poll.
func (k *kernelSide) deliver(list [][]byte) (got []oracle.Result, err error) {
	if len(list) > 65 {
		return nil, fmt.Errorf("%d frames: more than a poll takes", len(list))
	}
	return k.deliverAny(list)
}

// deliverAny is deliver for up to 256 frames, what a veth's ring holds (VETH_RING_SIZE, drivers/net/veth.c, v6.18): the
// kernel may complete what it holds in between (X4).
func (k *kernelSide) deliverAny(list [][]byte) (got []oracle.Result, err error) {
	if _, err := k.s.Sender.Send(list); err != nil {
		return nil, err
	}
	for arrived := 0; arrived < len(list); {
		p, err := k.r.Read(3 * time.Second)
		if err != nil {
			return got, fmt.Errorf("%d of %d frames delivered: %w", arrived, len(list), err)
		}
		r, err := oracle.FromKernel(p)
		if err != nil {
			return got, err
		}
		got = append(got, r)
		arrived += r.Segs
	}
	return got, nil
}

// answer is what the kernel says about a burst.
func (k *kernelSide) answer(b oracle.Burst) ([]oracle.Result, error) {
	var tags oracle.Tags
	list := b.KernelFrames()
	for i := range list {
		if !k.tags {
			list[i] = tags.Strip(list[i])
		}
	}
	got, err := k.deliver(list)
	if err != nil {
		return nil, err
	}
	for i := range got {
		got[i].Data = tags.Restore(got[i].Data)
	}
	return b.Back(got)
}

// ownSide is a veth pair like the kernel's with a receiver at b0.
type ownSide struct {
	t    *testing.T
	r    *xrx.Receiver
	s    *afpacket.Sender
	sent uint64
}

// newOwnSide opens the receiver. Its hold timer never ends a burst: the end of Run does, so that what is merged does
// not depend on how busy the machine is.
func newOwnSide(t *testing.T, g gro.Config, chunks int) *ownSide {
	n := testnet.New(t, testnet.Options{})
	g.Flush = time.Minute
	return &ownSide{t: t, r: open(t, n, &xrx.Config{GRO: &g, Frames: chunks}), s: sender(t, n)}
}

// deliver sends frames, no more at a time than any ring holds, and returns what the receiver made of them in one
// session. Taken apart again, that must be the frames that were sent, each once.
func (o *ownSide) deliver(list [][]byte) (got []oracle.Result) {
	o.t.Helper()
	wire := map[string]int{} // frames sent and not yet seen in a delivered packet
	for _, f := range list {
		wire[string(f)]++
	}
	x := run(o.t, o.r, xrx.Handler(func(p xrx.Packet) {
		for _, f := range xrx.Wire(p) {
			if wire[string(f)]--; wire[string(f)] < 0 {
				o.t.Errorf("a packet of %d taken apart has a frame that was not sent: %s\n%x", p.Count(), oracle.Describe(f), f)
			}
		}
		if p.Count() > 1 && p.Checksum() != umem.CsumFinished {
			o.t.Errorf("%d packets merged, checksum state %d", p.Count(), p.Checksum())
		}
		got = append(got, oracle.Result{Data: bytes.Clone(p.Bytes(nil)), Segs: p.Count(), GSOSize: p.GSOSize()})
	}))
	for len(list) > 0 {
		batch := list[:min(len(list), 64)]
		list = list[len(batch):]
		if _, err := o.s.Send(batch); err != nil {
			o.t.Fatal(err)
		}
		o.sent += uint64(len(batch))
		eventually(o.t, 5*time.Second, "the frames arrive", func() bool { return o.r.Snapshot().Queues[0].Packets >= o.sent })
	}
	if err := x.end(); err != nil {
		o.t.Fatal(err)
	}
	for f, n := range wire {
		if n > 0 {
			o.t.Errorf("%d times in no delivered packet: %s", n, oracle.Describe([]byte(f)))
		}
	}
	return got
}

// oracleProfile is the receiver's GRO as the kernel of this machine works: on veth there is no hardware hash, so all
// flows share one bucket of 8 (F1, L4).
var oracleProfile = gro.Config{Profile: gro.Linux618, Flows: 8, UDPPorts: oracle.UDPPorts}

// tries is how often the kernel is asked before a difference counts: about one burst in several hundred is cut by a
// jiffy, at a random place. The receiver is asked once.
const tries = 4

// disagree returns the difference between the kernel and what the receiver made of own, empty when the kernel agreed
// once, with both deliveries. asked says how often it was asked.
func disagree(t *testing.T, k *kernelSide, o *ownSide, b oracle.Burst, own [][]byte, differ func(kernel, own []oracle.Result) string) (diff string, kernel, mine []oracle.Result, asked int) {
	t.Helper()
	mine = o.deliver(own)
	for asked = 1; asked <= tries; asked++ {
		var err error
		if kernel, err = k.answer(b); err != nil {
			return err.Error(), kernel, mine, asked
		}
		if diff = differ(kernel, mine); diff == "" {
			return "", kernel, mine, asked
		}
	}
	return diff, kernel, mine, tries
}
