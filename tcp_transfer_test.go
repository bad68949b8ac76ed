package xrx_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"xrx"
	"xrx/gro"
	"xrx/internal/frames"
	"xrx/internal/testnet"
	"xrx/umem"
)

// vethPatience bounds the wait for what takes milliseconds on an idle machine.
const vethPatience = 10 * time.Second

// stream is what is sent over TCP: bytes known by their offset, so that each packet can be checked by itself.
type stream struct{ period []byte }

func newStream() stream {
	s := stream{make([]byte, 1<<20+7)} // no multiple of any segment size
	r := rand.NewChaCha8([32]byte{'t', 'c', 'p'})
	r.Read(s.period)
	return s
}

// is reports whether b is what the stream has at an offset.
func (s stream) is(b []byte, off uint64) bool {
	for len(b) > 0 {
		at := s.period[off%uint64(len(s.period)):]
		n := min(len(at), len(b))
		if !bytes.Equal(at[:n], b[:n]) {
			return false
		}
		b, off = b[n:], off+uint64(n)
	}
	return true
}

// at returns up to n bytes at an offset.
func (s stream) at(off uint64, n int) []byte {
	at := s.period[off%uint64(len(s.period)):]
	return at[:min(n, len(at))]
}

// watcher follows one direction of a TCP connection through what a receiver delivers.
type watcher struct {
	stream
	port  atomic.Uint32 // of the server
	isn   uint32        // the SYN's sequence number
	syn   bool
	next  atomic.Uint64 // bytes of the stream seen without a gap
	ahead map[uint64]uint64
	fault error // the first one

	bad, partial int // by the receiver's word
	merged       int // packets of more than one segment
	largest      int // bytes
}

// see takes one delivered packet. It trusts nothing that the receiver says: addresses, lengths and checksums are read
// and computed from the bytes.
func (w *watcher) see(p xrx.Packet) {
	b := p.Bytes(nil)
	if err := w.check(b); err != nil && w.fault == nil {
		w.fault = fmt.Errorf("packet of %d bytes, %d segments of %d: %w", len(b), p.Count(), p.GSOSize(), err)
	}
	switch p.Checksum() {
	case umem.CsumOK, umem.CsumFinished:
	case umem.CsumPartial:
		w.partial++
	default:
		w.bad++
	}
	if p.Count() > 1 {
		w.merged++
	}
	w.largest = max(w.largest, len(b))
}

func (w *watcher) check(b []byte) error {
	l4, src, dst := 34, netip.Addr{}, netip.Addr{}
	switch binary.BigEndian.Uint16(b[12:]) {
	case frames.TypeIPv4:
		ip := b[14:]
		if frames.Checksum(ip[:20], 0) != 0 || int(binary.BigEndian.Uint16(ip[2:])) != len(ip) || ip[9] != frames.ProtoTCP {
			return fmt.Errorf("IPv4 header %x", ip[:20])
		}
		src, dst = netip.AddrFrom4([4]byte(ip[12:])), netip.AddrFrom4([4]byte(ip[16:]))
	case frames.TypeIPv6:
		ip := b[14:]
		if int(binary.BigEndian.Uint16(ip[4:])) != len(ip)-40 || ip[6] != frames.ProtoTCP {
			return fmt.Errorf("IPv6 header %x", ip[:40])
		}
		l4, src, dst = 54, netip.AddrFrom16([16]byte(ip[8:])), netip.AddrFrom16([16]byte(ip[24:]))
	default:
		return fmt.Errorf("Ethernet header %x", b[:14])
	}
	tcp := b[l4:]
	if port := binary.BigEndian.Uint16(tcp[2:]); uint32(port) != w.port.Load() {
		return fmt.Errorf("for port %d", port)
	}
	if sum := frames.Checksum(tcp, frames.PseudoSum(src, dst, frames.ProtoTCP, len(tcp))); sum != 0 {
		return fmt.Errorf("the TCP checksum is wrong by %04x", sum)
	}
	seq := binary.BigEndian.Uint32(tcp[4:])
	if tcp[13]&frames.SYN != 0 {
		w.isn, w.syn = seq, true
		return nil
	}
	payload := tcp[int(tcp[12]>>4)*4:]
	switch {
	case len(payload) == 0:
		return nil
	case !w.syn:
		return errors.New("data before the SYN")
	}
	// The stream may be longer than 2^32; what arrives is near the next byte.
	next := w.next.Load()
	off := uint64(int64(next) + int64(int32(seq-w.isn-1-uint32(next))))
	if !w.is(payload, off) {
		return fmt.Errorf("the bytes at %d are not what was sent", off)
	}
	w.cover(off, off+uint64(len(payload)))
	return nil
}

// cover notes that the bytes from..to were seen. Retransmissions repeat some, and a gap is filled later.
func (w *watcher) cover(from, to uint64) {
	w.ahead[from] = max(to, w.ahead[from])
	next := w.next.Load()
	for again := true; again; {
		again = false
		for f, t := range w.ahead {
			if f <= next {
				delete(w.ahead, f)
				next, again = max(next, t), true
			}
		}
	}
	w.next.Store(next)
}

// transfer sends total bytes of the stream from A to a server in B, and returns when the server has read and compared
// all of it and the watcher has seen all of it. It writes no further than window bytes beyond what was seen: a copy has
// no flow control of its own.
func transfer(t *testing.T, n *testnet.Net, at netip.Addr, w *watcher, total, window uint64) {
	t.Helper()
	var listener *net.TCPListener
	n.InB(func() {
		var err error
		if listener, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(addrPort(at, 0))); err != nil {
			t.Fatal(err)
		}
	})
	defer listener.Close()
	listener.SetDeadline(time.Now().Add(vethPatience))
	// At most this many bytes are on their way, so no more frames than a veth's ring holds (256): none is lost.
	raw, err := listener.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if cerr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 128<<10) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	w.port.Store(uint32(listener.Addr().(*net.TCPAddr).Port))
	served := make(chan error, 1)
	go func() { served <- w.serve(listener, total) }()

	var c *net.TCPConn
	n.InA(func() {
		if c, err = net.DialTCP("tcp", nil, listener.Addr().(*net.TCPAddr)); err != nil {
			t.Fatal(err)
		}
	})
	defer c.Close()
	for sent := uint64(0); sent < total; {
		eventually(t, vethPatience, "the receiver sees what was sent", func() bool { return sent < w.next.Load()+window })
		c.SetWriteDeadline(time.Now().Add(vethPatience))
		k, err := c.Write(w.at(sent, int(min(total-sent, window/4))))
		if err != nil {
			t.Fatalf("after %d bytes: %v", sent, err)
		}
		sent += uint64(k)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-served:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(vethPatience):
		t.Fatal("the server has not read everything")
	}
	eventually(t, vethPatience, "the receiver sees everything", func() bool { return w.next.Load() >= total })
}

// serve accepts one connection and compares what it reads.
func (w *watcher) serve(l *net.TCPListener, total uint64) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(6 * vethPatience))
	buf, got := make([]byte, 1<<16), uint64(0)
	for {
		n, err := c.Read(buf)
		if !w.is(buf[:n], got) {
			return fmt.Errorf("server: the bytes at %d are not what was sent", got)
		}
		got += uint64(n)
		switch {
		case err == io.EOF && got == total:
			return nil
		case err != nil:
			return fmt.Errorf("server: %d of %d bytes: %w", got, total, err)
		}
	}
}

// Segments as the kernel's TCP sends them: the packets that GRO makes of them hold the stream, whole and in order, with
// headers and checksums that are right.
func TestTCPTransferIsCoalescedWithoutChangingTheStream(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	total := uint64(64 << 20)
	if testing.Short() {
		total = 8 << 20
	}
	for _, c := range []struct {
		name  string
		v6    bool
		flush time.Duration
	}{
		{"IPv4, flush at the end of each poll", false, 0},
		{"IPv4, held for up to 500us", false, 500 * time.Microsecond},
		{"IPv6, flush at the end of each poll", true, 0},
		{"IPv6, held for up to 500us", true, 500 * time.Microsecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := testnet.New(t, testnet.Options{})
			at := n.B.IP4
			if c.v6 {
				if at = n.B.IP6; !at.IsValid() {
					t.Skip("the kernel has no IPv6")
				}
			}
			iface := mirrored(t, n)
			var r *xrx.Receiver
			n.InB(func() {
				var err error
				if r, err = xrx.Open(iface, &xrx.Config{GRO: &gro.Config{Profile: gro.Linux618, Flush: c.flush}}); err != nil {
					t.Fatal(err)
				}
			})
			t.Cleanup(func() {
				if err := r.Close(); err != nil {
					t.Error(err)
				}
				if l := r.Ledger(); l.Lost != 0 || l.Free != l.Total {
					t.Errorf("ledger after Close: %v", l)
				}
			})
			w := &watcher{stream: newStream(), ahead: map[uint64]uint64{}}
			x := run(t, r, xrx.Handler(w.see))
			began := time.Now()
			transfer(t, n, at, w, total, 1<<20)
			took := time.Since(began)
			if err := x.end(); err != nil {
				t.Fatal(err)
			}
			q := r.Snapshot().Queues[0]
			if w.fault != nil {
				t.Error(w.fault)
			}
			if w.bad != 0 || w.partial != 0 {
				t.Errorf("%d packets with a bad checksum, %d with a partial one, says the receiver", w.bad, w.partial)
			}
			if next := w.next.Load(); next != total || len(w.ahead) != 0 {
				t.Errorf("%d of %d bytes, and %d pieces beyond", next, total, len(w.ahead))
			}
			if q.Ledger.Lost != 0 || q.Kernel.Lost() != 0 || len(q.Drops) != 0 || q.OutSegments != q.Packets {
				t.Errorf("ledger %v, kernel %+v, drops %v, %d received and %d delivered", q.Ledger, q.Kernel, q.Drops, q.Packets, q.OutSegments)
			}
			ratio := float64(q.Packets) / float64(max(1, q.OutPackets))
			if w.merged == 0 || ratio < 2 {
				t.Errorf("%d of %d packets merged, %.2f packets in one", w.merged, q.OutPackets, ratio)
			}
			t.Logf("%d MiB in %v: %d packets delivered as %d, coalescing ratio %.2f, largest %d bytes; why they ended: %v",
				total>>20, took.Round(time.Millisecond), q.Packets, q.OutPackets, ratio, w.largest, q.GRO)
		})
	}
}
