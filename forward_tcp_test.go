package xrx_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"xrx"
	"xrx/gro"
	"xrx/internal/testnet"
)

// echoed sends total bytes of the stream from A to a server in C, which compares them and sends them back, and compares
// what comes back: both directions of one connection at once.
func echoed(t *testing.T, w *wire, at netip.Addr, total uint64) {
	t.Helper()
	s := newStream()
	var l *net.TCPListener
	if err := w.C.Do(func() (err error) {
		l, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(addrPort(at, 0)))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const patience = 90 * time.Second
	l.SetDeadline(time.Now().Add(patience))
	served := make(chan error, 1)
	go func() {
		served <- func() error {
			c, err := l.Accept()
			if err != nil {
				return err
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			return s.compare(c, c, total)
		}()
	}()
	var c *net.TCPConn
	w.InA(func() {
		d := net.Dialer{Timeout: vethPatience}
		eventually(t, vethPatience, "A has a route", func() bool { // its link may be down just now
			x, err := d.Dial("tcp", l.Addr().String())
			if errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL) {
				return false
			}
			if err != nil {
				t.Fatal(err)
			}
			c = x.(*net.TCPConn)
			return true
		})
	})
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	sent := make(chan error, 1)
	go func() {
		for off := uint64(0); off < total; {
			n, err := c.Write(s.at(off, int(min(total-off, 1<<16))))
			if err != nil {
				sent <- fmt.Errorf("after %d bytes: %w", off, err)
				return
			}
			off += uint64(n)
		}
		sent <- c.CloseWrite()
	}()
	if err := errors.Join(s.compare(c, io.Discard, total), <-sent, <-served); err != nil {
		t.Fatal(err)
	}
}

// compare reads to the end, compares, and writes what it read to w.
func (s stream) compare(r io.Reader, w io.Writer, total uint64) error {
	buf := make([]byte, 1<<16)
	for got := uint64(0); ; {
		n, err := r.Read(buf)
		if !s.is(buf[:n], got) {
			return fmt.Errorf("the bytes at %d are not what was sent", got)
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		got += uint64(n)
		switch {
		case err == io.EOF && got == total:
			return nil
		case err != nil:
			return fmt.Errorf("%d of %d bytes: %w", got, total, err)
		}
	}
}

// A real connection, with the offloads that veth has by itself: the senders leave checksums partial.
func TestATCPConnectionSurvivesThroughTheForwarder(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	total := uint64(64 << 20)
	if testing.Short() {
		total = 4 << 20
	}
	for _, c := range []struct {
		name    string
		v6      bool
		partial bool
		gro     *gro.Config
	}{
		{"GRO on, partial checksums", false, true, &gro.Config{Profile: gro.Linux618}},
		{"GRO off, partial checksums", false, true, nil},
		{"GRO on, IPv6, partial checksums", true, true, &gro.Config{Profile: gro.Linux618}},
		{"GRO on, checksums as on a wire", false, false, &gro.Config{Profile: gro.Linux618}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWire(t, testnet.Options{}, c.partial)
			at := w.C.IP4
			if c.v6 {
				if at = w.C.IP6; !at.IsValid() {
					t.Skip("the kernel has no IPv6")
				}
			}
			f := w.forward(t, nearIface, &xrx.ForwardConfig{Config: xrx.Config{GRO: c.gro}})
			x := runForward(t, f)
			began := time.Now()
			echoed(t, w, at, total)
			took := time.Since(began)
			x.ended(f)
			for d, way := range f.Directions() {
				q := f.Snapshot(d).Queues[0]
				if q.Tx.Packets == 0 || q.Tx.Bytes < total || q.Tx.Completed != q.Tx.Packets || len(q.Tx.Faults) != 0 {
					t.Errorf("%s to %s: %+v", way.In, way.Out, q.Tx)
				}
				if c.partial != (q.Tx.Checksums > q.Tx.Packets/2) {
					t.Errorf("%s to %s: %d checksums of %d packets completed", way.In, way.Out, q.Tx.Checksums, q.Tx.Packets)
				}
				if c.gro != nil && q.OutPackets >= q.Packets {
					t.Errorf("%s to %s: %d packets were forwarded as %d", way.In, way.Out, q.Packets, q.OutPackets)
				}
				t.Logf("%s to %s: %d packets as %d, %d checksums completed, dropped %v, kernel %+v", way.In, way.Out, q.Packets, q.OutPackets, q.Tx.Checksums, q.Drops, q.Kernel)
			}
			t.Logf("%d MiB there and back in %v", total>>20, took.Round(time.Millisecond))
		})
	}
}
