package udpconn_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"xrx"
	"xrx/consume/udpconn"
	"xrx/gro"
	"xrx/internal/consumertest"
	"xrx/internal/frames"
	"xrx/internal/testnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const port = 4433

// listen starts a receiver with a connection that is closed before it.
func listen(t *testing.T, g *consumertest.Rig, local netip.AddrPort, cfg *udpconn.Config) *udpconn.Conn {
	t.Helper()
	c, err := udpconn.Listen(local, cfg)
	if err != nil {
		t.Fatal(err)
	}
	g.Consume(xrx.BatchHandler(c.Take))
	t.Cleanup(func() { c.Close() })
	return c
}

// datagrams makes bursts of numbered datagrams, each burst of one size but for its last.
func datagrams(g *consumertest.Rig, v6 bool, count int) (list, payloads [][]byte) {
	for i := range count {
		size := 100 + 100*(i/16%12)
		if i%16 == 15 {
			size = 50 + i%16
		}
		payload := binary.BigEndian.AppendUint32(bytes.Repeat([]byte{byte(i)}, size), uint32(i))
		f := frames.UDP(g.From(v6, 1000), g.To(v6, port), payload)
		f.ID = uint16(i)
		list, payloads = append(list, g.Frame(f)), append(payloads, payload)
	}
	return list, payloads
}

// readers read n datagrams in their several ways.
var readers = map[string]func(t *testing.T, c *udpconn.Conn, n int) (got [][]byte, from netip.AddrPort, most int){
	"ReadFrom": func(t *testing.T, c *udpconn.Conn, n int) (got [][]byte, from netip.AddrPort, most int) {
		buf := make([]byte, 1<<16)
		for range n {
			k, addr, err := c.ReadFrom(buf)
			if err != nil {
				t.Fatal(err)
			}
			from, got = addr.(*net.UDPAddr).AddrPort(), append(got, bytes.Clone(buf[:k]))
		}
		return got, from, 1
	},
	"ReadBatch": func(t *testing.T, c *udpconn.Conn, n int) (got [][]byte, from netip.AddrPort, most int) {
		messages := make([]udpconn.Message, 32)
		for i := range messages {
			messages[i].Buffer = make([]byte, 2000)
		}
		for len(got) < n {
			k, err := c.ReadBatch(messages)
			if err != nil || k == 0 {
				t.Fatal(k, err)
			}
			for _, m := range messages[:k] {
				from, got = m.From, append(got, bytes.Clone(m.Buffer[:m.N]))
			}
			most = max(most, k)
		}
		return got, from, most
	},
	"ReadGRO": func(t *testing.T, c *udpconn.Conn, n int) (got [][]byte, from netip.AddrPort, most int) {
		buf := make([]byte, 1<<16)
		for len(got) < n {
			k, size, addr, err := c.ReadGRO(buf)
			if err != nil {
				t.Fatal(err)
			}
			was := len(got)
			for part := range slices.Chunk(buf[:k], size) {
				got = append(got, bytes.Clone(part))
			}
			from, most = addr, max(most, len(got)-was)
		}
		return got, from, most
	},
}

func TestDatagramsAreWhatWasSentHoweverTheyAreRead(t *testing.T) {
	merging := &gro.Config{Flush: 5e6, UDPPorts: []uint16{port}}
	for how, read := range readers {
		for _, c := range []struct {
			name   string
			gro    *gro.Config
			v6     bool
			merged bool
		}{
			{"IPv4", nil, false, false},
			{"IPv4 merged", merging, false, true},
			{"IPv6 merged", merging, true, true},
			{"lists", &gro.Config{Flush: 5e6, List: gro.ListUDP, UDPPorts: []uint16{port}}, false, true},
			{"verified by the engine", &gro.Config{}, true, false},
		} {
			t.Run(how+" "+c.name, func(t *testing.T) {
				g := consumertest.New(t, &xrx.Config{Frames: 8192, GRO: c.gro}, testnet.Options{})
				conn := listen(t, g, g.To(c.v6, port), &udpconn.Config{Backlog: 4000})
				list, want := datagrams(g, c.v6, 960)
				g.Send(list, g.Received)
				consumertest.Eventually(t, "everything is received", func() bool { return g.Received() >= uint64(len(list)) })
				g.Stop()
				got, from, most := read(t, conn, len(want))
				if !slices.EqualFunc(got, want, bytes.Equal) || from != g.From(c.v6, 1000) {
					t.Errorf("%d datagrams sent, %d read from %v, not the same", len(want), len(got), from)
				}
				if how == "ReadGRO" && c.merged != (most > 1) {
					t.Errorf("%d at once", most)
				}
				if s := conn.Stats(); s.Read != uint64(len(want)) || len(s.Drops) != 0 {
					t.Errorf("%+v", s)
				}
			})
		}
	}
}

func TestOnlyWhatIsForTheConnectionAndSoundComesThrough(t *testing.T) {
	for _, engine := range []*gro.Config{nil, {}} {
		g := consumertest.New(t, &xrx.Config{GRO: engine}, testnet.Options{})
		conn := listen(t, g, netip.AddrPortFrom(netip.IPv6Unspecified(), port), nil)
		udp := func(v6 bool, to int, payload string, change func(*frames.Frame)) []byte {
			f := frames.UDP(g.From(v6, 1000), g.To(v6, to), []byte(payload))
			if change != nil {
				change(&f)
			}
			return g.Frame(f)
		}
		spoil := func(b []byte, at int) []byte { b[at] ^= 0x40; return b }
		list := [][]byte{
			udp(false, port, "plain", nil),
			udp(false, port, "", nil),
			udp(true, port, "tagged", func(f *frames.Frame) { f.VLANs = []frames.VLAN{{TCI: 7}} }),
			udp(false, port, "no checksum", func(f *frames.Frame) { f.NoChecksum = true }),
			udp(false, port, "partial checksum", func(f *frames.Frame) { f.PartialChecksum = true }),
			udp(true, port, "extension", func(f *frames.Frame) { f.Exts = []frames.Ext{{Type: frames.ExtDestOpts, Body: make([]byte, 7)}} }),
			// none of these:
			udp(false, port+1, "another port", nil),
			g.Frame(frames.TCP(g.From(false, 1000), g.To(false, port), 1, []byte("another protocol"))),
			udp(true, port, "IPv6 without a checksum", func(f *frames.Frame) { f.NoChecksum = true }),
			spoil(udp(false, port, "wrong checksum, which is long enough to need no padding", nil), 60),
			spoil(udp(false, port, "wrong header checksum", nil), 24),
			spoil(udp(false, port, "wrong UDP length", nil), 38),
			udp(false, port, "first fragment", func(f *frames.Frame) { f.Fragment = 0x2000 }),
			udp(false, port, "last fragment", func(f *frames.Frame) { f.Fragment = 9 }),
			udp(true, port, "fragment", func(f *frames.Frame) {
				f.Exts = []frames.Ext{{Type: frames.ExtFragment, Body: []byte{0, 0, 1, 0, 0, 0, 9}}}
			}),
			udp(true, port, "last", nil),
		}
		g.Send(list, g.Received)
		consumertest.Eventually(t, "everything is received", func() bool { return g.Received() >= uint64(len(list)) })
		g.Stop()
		conn.End()
		var got []string
		buf := make([]byte, 100)
		for {
			n, _, err := conn.ReadFromUDPAddrPort(buf)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(buf[:n]))
		}
		if want := []string{"plain", "", "tagged", "no checksum", "partial checksum", "extension", "last"}; !slices.Equal(got, want) {
			t.Errorf("read %q, want %q", got, want)
		}
		s := conn.Stats()
		if s.Drops["fragment"] != 3 || s.Drops["checksum"] != 2 || s.Drops["malformed"] != 2 || s.Drops["backlog"] != 0 {
			t.Errorf("%+v", s)
		}
	}
}

func TestADatagramOfSeveralFramesIsReadWhole(t *testing.T) {
	g := consumertest.New(t, nil, testnet.Options{MTU: 9000})
	conn := listen(t, g, g.To(true, port), nil)
	payload := make([]byte, 8001)
	for i := range payload {
		payload[i] = byte(i * 7 >> 3)
	}
	spoilt := g.Frame(frames.UDP(g.From(true, 1), g.To(true, port), payload))
	spoilt[5000] ^= 1
	list := [][]byte{spoilt, g.Frame(frames.UDP(g.From(true, 1), g.To(true, port), payload))}
	g.Send(list, g.Received)
	buf := make([]byte, 9000)
	if n, _, err := conn.ReadFromUDPAddrPort(buf); err != nil || !bytes.Equal(buf[:n], payload) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if d := conn.Stats().Drops["checksum"]; d != 1 {
		t.Errorf("%d wrong checksums", d)
	}
}

func TestABufferThatIsTooShortLosesTheRestOfTheDatagramOnly(t *testing.T) {
	g := consumertest.New(t, &xrx.Config{GRO: &gro.Config{Flush: 5e6, UDPPorts: []uint16{port}}}, testnet.Options{})
	conn := listen(t, g, g.To(true, port), nil)
	list, want := datagrams(g, true, 4) // 104 bytes each
	g.Send(list, g.Received)
	buf := make([]byte, 250)
	for i, room := range []int{10, 250, 50} {
		n, _, _, err := conn.ReadGRO(buf[:room])
		switch {
		case err != nil:
			t.Error(err)
		case i == 0 && !bytes.Equal(buf[:n], want[0][:10]), i == 2 && !bytes.Equal(buf[:n], want[3][:50]):
			t.Errorf("read %d: %x", i, buf[:n])
		case i == 1 && !bytes.Equal(buf[:n], slices.Concat(want[1], want[2])) && !bytes.Equal(buf[:n], want[1]):
			t.Errorf("read %d: %x", i, buf[:n])
		case i == 1 && n == len(want[1]): // they came apart
			conn.ReadGRO(buf)
		}
	}
}

func TestAReaderThatIsSlowLosesPacketsByName(t *testing.T) {
	g := consumertest.New(t, nil, testnet.Options{})
	conn := listen(t, g, g.To(false, port), &udpconn.Config{Backlog: 64})
	list, _ := datagrams(g, false, 2000)
	g.Send(list, g.Received)
	consumertest.Eventually(t, "the receiver has everything although nobody reads", func() bool { return g.Received() >= uint64(len(list)) })
	g.Stop()
	if s := conn.Stats(); s.Drops["backlog"] != 2000-64 {
		t.Errorf("%+v", s)
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	g := consumertest.New(t, nil, testnet.Options{})
	conn := listen(t, g, g.To(false, port), nil)
	list, _ := datagrams(g, false, 600)
	g.Send(list, g.Received)
	consumertest.Eventually(t, "everything is received", func() bool { return g.Received() >= uint64(len(list)) })
	g.Stop()
	buf := make([]byte, 2000)
	if n := testing.AllocsPerRun(500, func() {
		if _, _, err := conn.ReadFromUDPAddrPort(buf); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a datagram", n)
	}
}

func conn(t *testing.T, cfg *udpconn.Config) *udpconn.Conn {
	t.Helper()
	c, err := udpconn.Listen(netip.MustParseAddrPort("127.0.0.1:4433"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestReadsEndWithTheDeadlineWithEndAndWithClose(t *testing.T) {
	c := conn(t, nil)
	buf := make([]byte, 10)
	read := func() error {
		_, _, err := c.ReadFrom(buf)
		return err
	}
	var timeout net.Error
	c.SetReadDeadline(time.Now().Add(-time.Second))
	if err := read(); !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("deadline in the past: %v", err)
	}
	c.SetDeadline(time.Now().Add(10 * time.Millisecond))
	if err := read(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
	c.SetReadDeadline(time.Now().Add(time.Hour)) // moved while a reader waits
	ended := make(chan error, 1)
	go func() { ended <- read() }()
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a deadline that was moved: %v", err)
	}
	c.SetReadDeadline(time.Time{})
	go func() { ended <- read() }()
	c.End()
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("End: %v", err)
	}

	c = conn(t, nil)
	go func() { ended <- read() }()
	c.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Close: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

func TestWritesTakeTheKernelsWayOrSayThatThereIsNone(t *testing.T) {
	c := conn(t, nil)
	if _, err := c.WriteTo([]byte("x"), c.LocalAddr()); !errors.Is(err, udpconn.ErrNoSend) || !strings.Contains(err.Error(), "Config.Send") {
		t.Errorf("without: %v", err)
	}
	c.Close()
	a, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c = conn(t, &udpconn.Config{Send: a})
	if _, err := c.WriteTo([]byte("hello"), b.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	b.SetReadDeadline(time.Now().Add(consumertest.Patience))
	if n, from, err := b.ReadFrom(buf); err != nil || string(buf[:n]) != "hello" || from.String() != a.LocalAddr().String() {
		t.Errorf("%q from %v, %v", buf[:n], from, err)
	}
	c.Close()
	if _, err := c.WriteTo([]byte("x"), b.LocalAddr()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestAnAddressThatMakesNoSenseIsRefused(t *testing.T) {
	for _, c := range []struct {
		local string
		cfg   udpconn.Config
	}{{"127.0.0.1:0", udpconn.Config{}}, {"[::]:0", udpconn.Config{}}, {"127.0.0.1:1", udpconn.Config{Backlog: 3}}} {
		if _, err := udpconn.Listen(netip.MustParseAddrPort(c.local), &c.cfg); err == nil || !strings.HasPrefix(err.Error(), "udpconn: ") {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := udpconn.Listen(netip.AddrPort{}, nil); err == nil {
		t.Error("no address was accepted")
	}
}

func TestTheExampleReads(t *testing.T) {
	consumertest.Example(t, Example, ":7 sent 5 bytes, 5 a datagram", func(n *testnet.Net) frames.Frame {
		return frames.UDP(netip.AddrPortFrom(n.A.IP4, 7), netip.AddrPortFrom(n.B.IP4, port), []byte("hello"))
	})
}
