package fanout_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"xrx"
	"xrx/consume/fanout"
	"xrx/gro"
	"xrx/internal/consumertest"
	"xrx/internal/frames"
	"xrx/internal/testnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// traffic is numbered segments of 16 flows, each flow's in bursts.
func traffic(g *consumertest.Rig, count int) (list [][]byte) {
	for i := range count {
		flow := i / 8 % 16
		nth := i/128*8 + i%8
		f := frames.TCP(g.From(true, 1000+flow), g.To(true, 9), uint32(nth*500), binary.BigEndian.AppendUint32(make([]byte, 496), uint32(i)))
		list = append(list, g.Frame(f))
	}
	return list
}

// split takes a stream of frames apart, and leaves out what the namespace itself sends.
func split(t *testing.T, stream []byte) (list [][]byte) {
	t.Helper()
	for len(stream) > 0 {
		n := int(binary.BigEndian.Uint32(stream))
		if len(stream) < 4+n {
			t.Fatalf("a frame of %d bytes, and %d are left", n, len(stream)-4)
		}
		if n == 574 {
			list = append(list, stream[4:4+n])
		}
		stream = stream[4+n:]
	}
	return list
}

func TestEachPacketGoesWhereTheModeSays(t *testing.T) {
	for _, c := range []struct {
		mode    fanout.Mode
		writers int
		queues  int
		flows   bool // a flow stays with a writer
	}{{fanout.Hash, 3, 1, true}, {fanout.RoundRobin, 3, 1, false}, {fanout.Queue, 2, 2, true}, {fanout.All, 2, 1, false}, {fanout.Hash, 70, 1, true}, {fanout.Hash, 1, 2, true}} {
		t.Run(fmt.Sprintf("mode %d, %d writers", c.mode, c.writers), func(t *testing.T) {
			g := consumertest.New(t, &xrx.Config{Frames: 8192, GRO: &gro.Config{}}, testnet.Options{Queues: c.queues})
			buffers := make([]bytes.Buffer, c.writers)
			var writers []io.Writer
			for i := range buffers {
				writers = append(writers, &buffers[i])
			}
			f, err := fanout.New(writers, &fanout.Config{Mode: c.mode, Wire: true})
			if err != nil {
				t.Fatal(err)
			}
			g.Consume(xrx.BatchHandler(f.Take))
			list := traffic(g, 2048)
			g.Send(list, g.Received)
			consumertest.Eventually(t, "everything is received", func() bool { return g.Received() >= uint64(len(list)) })
			g.Stop()
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			var all [][]byte
			at, busy := map[string]int{}, 0
			for i := range buffers {
				got := split(t, buffers[i].Bytes())
				if len(got) > 0 {
					busy++
				}
				for _, b := range got {
					if was, ok := at[string(b[54:56])]; ok && was != i && c.flows {
						t.Fatalf("the flow of port %d is with writers %d and %d", b[54:56], was, i)
					}
					at[string(b[54:56])] = i
				}
				if c.mode == fanout.All && len(got) != len(list) {
					t.Errorf("writer %d has %d packets of %d", i, len(got), len(list))
				} else if c.mode != fanout.All {
					all = append(all, got...)
				}
				if s := f.Stats()[i]; len(s.Drops) != 0 || s.Bytes != uint64(buffers[i].Len()) {
					t.Errorf("writer %d: %+v", i, s)
				}
			}
			if busy < min(2, c.writers) {
				t.Errorf("%d of %d writers have packets", busy, c.writers)
			}
			if c.mode != fanout.All {
				slices.SortFunc(all, func(a, b []byte) int { return bytes.Compare(a[len(a)-4:], b[len(b)-4:]) })
				if !slices.EqualFunc(all, list, bytes.Equal) {
					t.Errorf("%d packets sent, %d written, not the same", len(list), len(all))
				}
			}
		})
	}
}

// stuck does not return before it may, and then fails if it is to.
type stuck struct {
	free chan struct{}
	err  error
}

func (s *stuck) Write(b []byte) (int, error) {
	<-s.free
	return len(b), s.err
}

func TestAWriterThatIsSlowOrFailsLosesItsOwnPacketsOnly(t *testing.T) {
	g := consumertest.New(t, nil, testnet.Options{})
	free := make(chan struct{})
	open := make(chan struct{})
	close(open)
	gone := errors.New("gone")
	var good bytes.Buffer
	f, err := fanout.New([]io.Writer{&stuck{free, nil}, &stuck{open, gone}, &good}, &fanout.Config{Mode: fanout.All, Backlog: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	g.Consume(xrx.BatchHandler(f.Take))
	list := traffic(g, 6144) // 4 MB with what a backlog counts; no more is on its way than fits into the good one's
	g.Send(list, func() uint64 { return f.Stats()[2].Written })
	consumertest.Eventually(t, "everything is received", func() bool { return g.Received() >= uint64(len(list)) })
	g.Stop()
	close(free)
	if err := f.Close(); !errors.Is(err, gone) || !strings.Contains(err.Error(), "writer 1") {
		t.Error(err)
	}
	s, received := f.Stats(), g.Received()
	if s[0].Drops["backlog"] == 0 || s[0].Written+s[0].Drops["backlog"] != received || s[0].Err != nil {
		t.Errorf("the slow one: %+v", s[0])
	}
	if s[1].Drops["write"]+s[1].Drops["backlog"] != received || s[1].Written != 0 || s[1].Err == nil {
		t.Errorf("the one that fails: %+v", s[1])
	}
	if s[2].Written != received || len(s[2].Drops) != 0 || !slices.EqualFunc(split(t, good.Bytes()), list, bytes.Equal) || s[2].Err != nil {
		t.Errorf("the good one: %+v of %d", s[2], received)
	}
}

func TestTcpdumpReadsAPcapStream(t *testing.T) {
	testnet.Require(t, "cmd:tcpdump")
	g := consumertest.New(t, nil, testnet.Options{})
	path := filepath.Join(t.TempDir(), "x.pcap")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fanout.New([]io.Writer{file}, &fanout.Config{Format: fanout.Pcap})
	if err != nil {
		t.Fatal(err)
	}
	g.Consume(xrx.BatchHandler(f.Take))
	list := traffic(g, 100)
	g.Send(list, g.Received)
	consumertest.Eventually(t, "everything is received", func() bool { return g.Received() >= uint64(len(list)) })
	g.Stop()
	if err := errors.Join(f.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("tcpdump", "-n", "-r", path).Output()
	if err != nil || uint64(bytes.Count(out, []byte("\n"))) != f.Stats()[0].Written || bytes.Count(out, []byte("length 500")) != 100 {
		t.Errorf("%v, %d lines for %d packets", err, bytes.Count(out, []byte("\n")), f.Stats()[0].Written)
	}
}

func TestAFanoutThatMakesNoSenseIsRefused(t *testing.T) {
	for _, c := range []struct {
		writers []io.Writer
		cfg     fanout.Config
	}{{nil, fanout.Config{}}, {[]io.Writer{io.Discard}, fanout.Config{Mode: 9}}, {[]io.Writer{io.Discard}, fanout.Config{Format: 9}}, {[]io.Writer{io.Discard}, fanout.Config{Backlog: 9}}} {
		if _, err := fanout.New(c.writers, &c.cfg); err == nil || !strings.HasPrefix(err.Error(), "fanout: ") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestTheExampleWrites(t *testing.T) {
	consumertest.Example(t, Example, "a stream of packets: true map[]", func(n *testnet.Net) frames.Frame {
		return frames.UDP(netip.AddrPortFrom(n.A.IP4, 7), netip.AddrPortFrom(n.B.IP4, 9), []byte("hello"))
	})
}
