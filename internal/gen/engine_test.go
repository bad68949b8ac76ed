package gen_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"xrx/internal/frames"
	"xrx/internal/gen"
	"xrx/internal/testnet"
	"xrx/internal/vethnet"
)

// stream returns a stream from a0 to b0 of n.
func stream(n *testnet.Net, tcp, ipv6 bool) gen.Stream {
	s := gen.Stream{TCP: tcp, SrcMAC: n.A.MAC, DstMAC: n.B.MAC, Src: n.A.IP4, Dst: n.B.IP4}
	if ipv6 {
		s.Src, s.Dst = n.A.IP6, n.B.IP6
	}
	return s
}

// listening makes b0 take redirected frames, unmerged, and returns a function
// that reads everything that came into a tally.
func listening(t *testing.T, n *testnet.Net) func() *gen.Tally {
	t.Helper()
	if err := n.B.AttachPass(); err != nil {
		t.Fatal(err)
	}
	if err := n.B.SetOffload(vethnet.GRO, false); err != nil {
		t.Fatal(err)
	}
	r := n.Reader(n.B)
	done := make(chan struct{})
	tally := &gen.Tally{}
	result := make(chan error, 1)
	go func() {
		for {
			p, err := r.Read(50 * time.Millisecond)
			switch {
			case err == nil:
				tally.Add(p.Data)
			case !errors.Is(err, os.ErrDeadlineExceeded):
				result <- err
				return
			default:
				select {
				case <-done: // and nothing came for 50 ms since
					result <- nil
					return
				default:
				}
			}
		}
	}()
	return func() *gen.Tally {
		t.Helper()
		close(done)
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		if d, err := r.Drops(); err != nil || d != 0 {
			t.Fatalf("the test's own reader lost %d frames: %v", d, err)
		}
		return tally
	}
}

// run opens an engine on a0 and runs it to the end.
func run(t *testing.T, n *testnet.Net, engine string, s gen.Stream, o gen.Options) gen.Result {
	t.Helper()
	o.Iface = n.A.Iface
	var r gen.Result
	n.InA(func() {
		e, err := gen.Open(engine, s, o)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if r, err = e.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
	return r
}

func TestEveryEngineSendsEveryKindOfFrame(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	const count = 4000
	for _, engine := range []string{gen.Live, gen.XSK, gen.Packet} {
		for _, tcp := range []bool{false, true} {
			for _, ipv6 := range []bool{false, true} {
				name := fmt.Sprintf("%s, TCP %v, IPv6 %v", engine, tcp, ipv6)
				t.Run(name, func(t *testing.T) {
					if engine != gen.XSK { // whose library leaks by design
						testnet.NoLeaks(t)
					}
					n := testnet.New(t, testnet.Options{})
					for _, c := range []struct {
						name  string
						adapt func(*gen.Stream)
					}{
						{"smallest", func(s *gen.Stream) { s.Sizes = []int{s.MinSize()} }},
						{"mixed sizes, many flows", func(s *gen.Stream) { s.Sizes, s.Flows = gen.Range(s.MinSize(), 1514), 300 }},
						{"largest, bursts", func(s *gen.Stream) { s.Sizes, s.Flows, s.Burst = []int{1514}, 3, 20 }},
						{"stamped", func(s *gen.Stream) { s.Stamp, s.Flows = true, 70; s.Sizes = gen.Range(s.MinSize(), 200) }},
						{"VLAN", func(s *gen.Stream) { s.Sizes, s.VLANs = []int{90, 1000}, []frames.VLAN{{TCI: 7}} }},
						{"QinQ", func(s *gen.Stream) {
							s.Sizes, s.VLANs = []int{400, 90}, []frames.VLAN{{TPID: frames.TypeQinQ, TCI: 7}, {TCI: 8}}
						}},
					} {
						if engine == gen.XSK && c.name != "mixed sizes, many flows" {
							continue // one socket per queue and process
						}
						s := stream(n, tcp, ipv6)
						c.adapt(&s)
						collect := listening(t, n)
						r := run(t, n, engine, s, gen.Options{Count: count, Rate: pace(engine)})
						tally := collect()
						if err := tally.Err(count); err != nil {
							t.Errorf("%s: %v", c.name, err)
						}
						if r.Frames != count || r.Dropped != 0 {
							t.Errorf("%s: result %+v", c.name, r)
						}
						// The kernel takes the outer tag off what is read.
						if want := r.Bytes - uint64(4*min(1, len(s.VLANs))*count); tally.Bytes != want {
							t.Errorf("%s: %d bytes arrived, want %d", c.name, tally.Bytes, want)
						}
						if want := max(1, s.Flows); tally.Flows() != want {
							t.Errorf("%s: %d flows arrived, want %d", c.name, tally.Flows(), want)
						}
						if err := n.B.DetachPass(); err != nil {
							t.Fatal(err)
						}
					}
				})
			}
		}
	}
}

// pace keeps an engine below what the test's reader holds.
func pace(engine string) float64 {
	if engine == gen.Live {
		return 0
	}
	return 200_000
}

func TestXSKSendsOnTheQueueAskedFor(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	n := testnet.New(t, testnet.Options{Queues: 2})
	collect := listening(t, n)
	for queue := range 2 {
		s := stream(n, false, false)
		s.Src = netip.AddrFrom4([4]byte{10, 11, 0, byte(1 + queue)})
		if r := run(t, n, gen.XSK, s, gen.Options{Queue: queue, Count: 300}); r.Frames != 300 {
			t.Errorf("queue %d: %+v", queue, r)
		}
	}
	// Both runs number their frames from 0.
	if tally := collect(); tally.Frames != 300 || tally.Duplicates != 300 || tally.Damaged != 0 {
		t.Errorf("%+v", tally)
	}
}

func TestEnginesWriteTheSameFrames(t *testing.T) {
	testnet.Require(t, "root", "veth")
	for _, tcp := range []bool{false, true} {
		n := testnet.New(t, testnet.Options{})
		s := stream(n, tcp, tcp)
		s.Flows, s.Burst, s.Sizes = 3, 2, []int{100, 1514, 700, 85}
		if err := n.B.AttachPass(); err != nil {
			t.Fatal(err)
		}
		if err := n.B.SetOffload(vethnet.GRO, false); err != nil {
			t.Fatal(err)
		}
		r := n.Reader(n.B)
		w, err := gen.NewWriter(s)
		if err != nil {
			t.Fatal(err)
		}
		run(t, n, gen.Live, s, gen.Options{Count: 100})
		for i := range 100 {
			p, err := r.Read(2 * time.Second)
			if err != nil {
				t.Fatalf("frame %d: %v", i, err)
			}
			// Headers are alike up to the checksum, which differs with the pattern's shift.
			want := w.Append(nil)
			headers := 14 + 20 + 6
			if tcp {
				headers = 14 + 40 + 16
			}
			if len(p.Data) != len(want) || string(p.Data[:headers]) != string(want[:headers]) {
				t.Fatalf("frame %d:\nlive       %x\nuser space %x", i, p.Data, want)
			}
		}
	}
}

func TestLiveFramesSurviveAReceiverThatChangesThem(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	// The kernel strips the outer tag in place, then recycles the page:
	// more frames than the pool has pages show whether that is undone.
	s := stream(n, false, false)
	s.Sizes, s.VLANs = []int{64}, []frames.VLAN{{TCI: 5}}
	collect := listening(t, n)
	run(t, n, gen.Live, s, gen.Options{Count: 6000})
	if err := collect().Err(6000); err != nil {
		t.Error(err)
	}
}

func TestRunsStopWhenTold(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	if err := n.B.AttachPass(); err != nil {
		t.Fatal(err)
	}
	for _, engine := range []string{gen.Live, gen.Packet} {
		t.Run(engine, func(t *testing.T) {
			n.InA(func() {
				o := gen.Options{Iface: n.A.Iface, Duration: 1500 * time.Millisecond}
				e, err := gen.Open(engine, stream(n, false, false), o)
				if err != nil {
					t.Fatal(err)
				}
				defer e.Close()
				r, err := e.Run(context.Background())
				if err != nil || r.Frames == 0 || r.Elapsed < o.Duration || r.Elapsed > o.Duration+time.Second {
					t.Errorf("after a duration: %+v, %v", r, err)
				}
				// The live engine's calls prepare before they send; the others send all the time.
				if r.Sending <= 0 || r.Sending > r.Elapsed || (r.Sending < r.Elapsed) != (engine == gen.Live) {
					t.Errorf("sending for %v of %v", r.Sending, r.Elapsed)
				}
				t.Logf("%.0f kpps, sending for %v, stopped %v late", r.PPS()/1e3, r.Sending, r.Elapsed-o.Duration)
			})
			n.InA(func() {
				e, err := gen.Open(engine, stream(n, false, false), gen.Options{Iface: n.A.Iface})
				if err != nil {
					t.Fatal(err)
				}
				defer e.Close()
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				time.AfterFunc(300*time.Millisecond, cancel)
				r, err := e.Run(ctx)
				if err != nil || r.Frames == 0 || r.Elapsed > 1300*time.Millisecond {
					t.Errorf("after a cancel: %+v, %v", r, err)
				}
			})
		})
	}
}

func TestPacedRunsKeepTheRate(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	for _, engine := range []string{gen.XSK, gen.Packet} {
		t.Run(engine, func(t *testing.T) {
			n := testnet.New(t, testnet.Options{})
			r := run(t, n, engine, stream(n, false, false), gen.Options{Rate: 20_000, Count: 10_000})
			if r.Frames != 10_000 || r.PPS() > 20_100 || r.PPS() < 10_000 {
				t.Errorf("%+v: %.0f frames per second", r, r.PPS())
			}
		})
	}
}

func TestEnginesThatCannotWorkSayWhy(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{Queues: 2})
	good := stream(n, false, false)
	big, small, mixed := good, good, good
	big.Sizes, small.Sizes = []int{1515}, []int{59}
	mixed.Dst = netip.MustParseAddr("fd00::1")
	for _, c := range []struct {
		name, engine string
		s            gen.Stream
		o            gen.Options
		want         string
	}{
		{"live onto a peer without XDP", gen.Live, good, gen.Options{}, "takes no redirected frames"},
		{"live at a rate", gen.Live, good, gen.Options{Rate: 5}, "cannot be paced"},
		{"packet on a queue", gen.Packet, good, gen.Options{Queue: 1}, "xsk can"},
		{"xsk on a queue that is not there", gen.XSK, good, gen.Options{Queue: 7}, "queue 7"},
		{"frames beyond the MTU", gen.Packet, big, gen.Options{}, "MTU"},
		{"frames too short for the content", gen.Packet, small, gen.Options{}, "size 59"},
		{"two IP versions", gen.Packet, mixed, gen.Options{}, "one IP version"},
		{"an interface that is not there", gen.Packet, good, gen.Options{Iface: "nosuch"}, "nosuch"},
		{"an engine that is not there", "warp", good, gen.Options{}, `engine "warp"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.o.Iface == "" {
				c.o.Iface = n.A.Iface
			}
			n.InA(func() {
				e, err := gen.Open(c.engine, c.s, c.o)
				if err == nil {
					e.Close()
					t.Fatal("it opened")
				}
				if !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v: want it to say %q", err, c.want)
				}
			})
		})
	}
}

func TestAutoTakesLiveWhereItWorks(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	auto := func() (name, reason string) {
		n.InA(func() {
			e, why, err := gen.OpenAuto(stream(n, false, false), gen.Options{Iface: n.A.Iface})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			name, reason = e.Name(), why
		})
		return name, reason
	}
	if name, reason := auto(); name != gen.Packet || !strings.Contains(reason, "redirected") {
		t.Errorf("peer without XDP: %s, %q", name, reason)
	}
	if err := n.B.AttachPass(); err != nil {
		t.Fatal(err)
	}
	if name, reason := auto(); name != gen.Live || reason != "" {
		t.Errorf("peer with XDP: %s, %q", name, reason)
	}
}

func TestAnInterfaceThatGoesDownEndsTheRun(t *testing.T) {
	testnet.Require(t, "root", "veth", "afxdp")
	for _, engine := range []string{gen.XSK, gen.Packet} {
		t.Run(engine, func(t *testing.T) {
			n := testnet.New(t, testnet.Options{})
			n.InA(func() {
				e, err := gen.Open(engine, stream(n, false, false), gen.Options{Iface: n.A.Iface, Rate: 10_000, Duration: 5 * time.Second})
				if err != nil {
					t.Fatal(err)
				}
				defer e.Close()
				down := time.AfterFunc(100*time.Millisecond, func() {
					if err := n.A.Down(); err != nil {
						t.Error(err)
					}
				})
				defer down.Stop()
				r, err := e.Run(context.Background())
				if err == nil || r.Elapsed > 4*time.Second {
					t.Errorf("%+v, %v", r, err)
				}
			})
		})
	}
}
