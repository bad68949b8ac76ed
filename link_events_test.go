package xrx_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"xrx"
	"xrx/bpf"
	"xrx/internal/testnet"
)

// promised is how soon an event is reported; a busy test machine gets more, and the log has what it was.
const promised, patience = time.Second, 5 * time.Second

// eventLog is a Config.OnEvent.
type eventLog struct {
	mu   sync.Mutex
	list []xrx.Event
}

func (l *eventLog) on(e xrx.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, e)
}

func (l *eventLog) find(k xrx.EventKind, n int) (e xrx.Event, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.list {
		if e.Kind == k {
			if n--; n == 0 {
				return e, true
			}
		}
	}
	return e, false
}

// await waits for the nth event of a kind, which was caused at began, and says how long that took.
func (l *eventLog) await(t *testing.T, k xrx.EventKind, n int, began time.Time) (e xrx.Event) {
	t.Helper()
	eventually(t, patience, k.String(), func() (ok bool) { e, ok = l.find(k, n); return ok })
	took := e.At.Sub(began)
	t.Logf("%-16s %8v  %s", k, took.Round(100*time.Microsecond), e)
	if took > patience {
		t.Errorf("%v was noticed after %v, %v is promised", k, took, promised)
	}
	return e
}

// load sends frames without a pause until it is stopped. Errors of a link that is down are its business.
func load(t *testing.T, n *testnet.Net) (stop func()) {
	t.Helper()
	s, m := sender(t, n), newFrameMaker(n, 8)
	list := make([][]byte, 16)
	for i := range list {
		list[i], _ = m.frame(nil, uint64(i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			s.Send(list)
			time.Sleep(100 * time.Microsecond)
		}
	})
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); wg.Wait() }) }
	t.Cleanup(stop)
	return stop
}

// under is a receiver under load with its events.
type under struct {
	*running
	r    *xrx.Receiver
	log  *eventLog
	got  *atomic.Uint64
	quit func()
}

func underLoad(t *testing.T, n *testnet.Net, cfg xrx.Config) *under {
	t.Helper()
	u := &under{log: &eventLog{}, got: new(atomic.Uint64)}
	cfg.OnEvent = u.log.on
	u.r = open(t, n, &cfg)
	u.running = run(t, u.r, xrx.Handler(func(xrx.Packet) { u.got.Add(1) }))
	u.quit = load(t, n)
	u.flows(t)
	return u
}

// flows waits until packets come (again).
func (u *under) flows(t *testing.T) {
	t.Helper()
	before := u.got.Load()
	eventually(t, patience, "packets arrive", func() bool { return u.got.Load() > before+100 })
}

// whole ends Run and checks the ledger.
func (u *under) whole(t *testing.T) {
	t.Helper()
	u.quit()
	if err := u.end(); err != nil {
		t.Error(err)
	}
	u.balanced(t)
}

func (u *under) balanced(t *testing.T) {
	t.Helper()
	if l := u.r.Ledger(); l.Lost != 0 || l.Free+l.Filling != l.Total {
		t.Errorf("ledger: %v", l)
	}
}

// inBothModes runs a test with the program in the driver and in the stack.
func inBothModes(t *testing.T, f func(t *testing.T, mode bpf.Mode)) {
	for _, mode := range []bpf.Mode{bpf.Native, bpf.Generic} {
		t.Run(mode.String(), func(t *testing.T) { f(t, mode) })
	}
}

func TestALinkThatGoesDownUnderLoadIsReportedCostsNothingAndComesBack(t *testing.T) {
	testnet.Require(t, "root", "veth")
	inBothModes(t, func(t *testing.T, mode bpf.Mode) {
		n := testnet.New(t, testnet.Options{})
		u := underLoad(t, n, xrx.Config{Attach: mode})
		for round := 1; round <= 2; round++ {
			began := time.Now()
			if err := n.B.Down(); err != nil {
				t.Fatal(err)
			}
			u.log.await(t, xrx.LinkDown, round, began)
			if round == 1 {
				u.quit() // what the generator costs is not the receiver's
				idle(t, u.r)
				u.quit = load(t, n)
			}
			began = time.Now()
			if err := n.B.Up(); err != nil {
				t.Fatal(err)
			}
			u.log.await(t, xrx.LinkUp, round, began)
			u.flows(t)
		}
		if c := u.r.Snapshot().Events; c["link_down"] != 2 || c["link_up"] != 2 {
			t.Errorf("counted %v", c)
		}
		u.whole(t)
	})
}

// idle measures the processor time of the queues' threads over a second: the rest of this process is the test.
func idle(t *testing.T, r *xrx.Receiver) {
	t.Helper()
	spent := func() (sum time.Duration) {
		for _, q := range r.Snapshot().Queues {
			sum += q.CPU.User + q.CPU.Sys
		}
		return sum
	}
	before, began := spent(), time.Now()
	time.Sleep(time.Second) // the measurement itself
	cost, took := spent()-before, time.Since(began)
	t.Logf("down: %.2f %% of a processor", 100*cost.Seconds()/took.Seconds())
	if cost > took/20 {
		t.Errorf("down, the queue used %v of %v", cost, took)
	}
}

func TestACarrierThatGoesWithThePeerIsReported(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	u := underLoad(t, n, xrx.Config{})
	began := time.Now()
	if err := n.A.Down(); err != nil {
		t.Fatal(err)
	}
	u.log.await(t, xrx.LinkDown, 1, began)
	began = time.Now()
	if err := n.A.Up(); err != nil {
		t.Fatal(err)
	}
	u.log.await(t, xrx.LinkUp, 1, began)
	u.flows(t)
	u.whole(t)
}

func TestADeletionUnderLoadEndsRunAndIsReported(t *testing.T) {
	testnet.Require(t, "root", "veth")
	inBothModes(t, func(t *testing.T, mode bpf.Mode) {
		n := testnet.New(t, testnet.Options{Queues: 2})
		u := underLoad(t, n, xrx.Config{Attach: mode})
		began := time.Now()
		if err := n.B.Delete(); err != nil {
			t.Fatal(err)
		}
		if err := u.wait(patience); !errors.Is(err, xrx.ErrDeleted) {
			t.Errorf("Run returned %v", err)
		}
		t.Logf("Run ended after %v", time.Since(began).Round(100*time.Microsecond))
		u.quit()
		u.balanced(t)
	})
}

func TestAMoveToAnotherNamespaceEndsRunAsADeletion(t *testing.T) {
	testnet.Require(t, "root", "veth", "cmd:ip")
	n, other := testnet.New(t, testnet.Options{}), testnet.New(t, testnet.Options{})
	u := underLoad(t, n, xrx.Config{})
	began := time.Now()
	n.Exec(n.B, "ip", "link", "set", "b0", "netns", fmt.Sprintf("/proc/%d/fd/%d", syscall.Getpid(), other.A.FD()))
	if err := u.wait(patience); !errors.Is(err, xrx.ErrDeleted) {
		t.Errorf("Run returned %v", err)
	}
	t.Logf("Run ended after %v", time.Since(began).Round(100*time.Microsecond))
	u.quit()
	u.balanced(t)
}

func TestARenamedInterfaceIsFollowed(t *testing.T) {
	testnet.Require(t, "root", "veth", "cmd:ip")
	n := testnet.New(t, testnet.Options{})
	u := underLoad(t, n, xrx.Config{})
	began := time.Now()
	n.Exec(n.B, "ip", "link", "set", "b0", "down")
	n.Exec(n.B, "ip", "link", "set", "b0", "name", "west0")
	u.log.await(t, xrx.LinkRenamed, 1, began)
	if u.r.Interface() != "west0" {
		t.Errorf("it is called %s, want west0", u.r.Interface())
	}
	n.Exec(n.B, "ip", "link", "set", "west0", "up")
	u.flows(t)
	n.Exec(n.B, "ip", "link", "set", "west0", "down")
	n.Exec(n.B, "ip", "link", "set", "west0", "name", "b0")
	u.whole(t)
}

func TestALargerMTUIsAWarningWhereFramesAreTooSmallForIt(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	u := underLoad(t, n, xrx.Config{})
	began := time.Now()
	if err := n.B.SetMTU(1550); err != nil {
		t.Fatal(err)
	}
	if e := u.log.await(t, xrx.MTUChanged, 1, began); e.Warning {
		t.Errorf("1550 bytes fit: %v", e)
	}
	began = time.Now()
	if err := n.B.SetMTU(3000); err != nil {
		t.Fatal(err)
	}
	if e := u.log.await(t, xrx.MTUChanged, 2, began); !e.Warning || !strings.Contains(e.Text, "--wait") || !strings.Contains(e.Text, "rx_dropped") {
		t.Errorf("warning %v: %v", e.Warning, e)
	}
	u.flows(t)
	u.whole(t)
}

func TestWithMultiBufferALargerMTUNeedsNothing(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	u := underLoad(t, n, xrx.Config{MultiBuffer: xrx.MultiBufferOn})
	began := time.Now()
	if err := n.B.SetMTU(9000); err != nil {
		t.Fatal(err)
	}
	if e := u.log.await(t, xrx.MTUChanged, 1, began); e.Warning {
		t.Errorf("%v", e)
	}
	u.flows(t)
	u.whole(t)
}

func TestMoreQueuesThanAreBoundAreAWarning(t *testing.T) {
	testnet.Require(t, "root", "veth", "cmd:ethtool")
	n := testnet.New(t, testnet.Options{Queues: 3})
	n.Exec(n.A, "ethtool", "-L", "a0", "tx", "1")
	n.Exec(n.B, "ethtool", "-L", "b0", "rx", "2")
	u := underLoad(t, n, xrx.Config{})
	began := time.Now()
	n.Exec(n.B, "ethtool", "-L", "b0", "rx", "3")
	if e := u.log.await(t, xrx.QueuesChanged, 1, began); !e.Warning || !strings.Contains(e.Text, "from 2 on goes to the kernel") {
		t.Errorf("%+v", e)
	}
	n.Exec(n.B, "ethtool", "-L", "b0", "rx", "2")
	if e := u.log.await(t, xrx.QueuesChanged, 2, began); e.Warning {
		t.Errorf("%+v", e)
	}
	// A queue that has a socket can't be taken away: the kernel refuses (ethnl_set_channels in net/ethtool/channels.c).
	if _, err := n.B.Exec(t.Context(), "ethtool", "-L", "b0", "rx", "1"); err == nil {
		began = time.Now()
		if e := u.log.await(t, xrx.QueuesChanged, 3, began); !e.Warning {
			t.Errorf("%+v", e)
		}
	} else if !strings.Contains(err.Error(), "AF_XDP") {
		t.Error(err)
	}
	u.flows(t)
	u.whole(t)
}

// others opens the receiver's XDP link by its id, as bpftool does.
func others(t *testing.T, n *testnet.Net) link.Link {
	t.Helper()
	it := new(link.Iterator)
	defer it.Close()
	l, err := n.B.Link()
	if err != nil {
		t.Fatal(err)
	}
	for it.Next() {
		info, err := it.Link.Info()
		if err != nil {
			continue
		}
		if x := info.XDP(); x != nil && x.Ifindex == uint32(n.B.Index) && info.Program == ebpf.ProgramID(l.Attrs().Xdp.ProgId) {
			return it.Take()
		}
	}
	t.Fatal("b0 has no XDP link")
	return nil
}

func passing(t *testing.T) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "theirs", Type: ebpf.XDP, AttachType: ebpf.AttachXDP, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestNetlinkCannotTakeTheProgramAway(t *testing.T) {
	testnet.Require(t, "root", "veth", "cmd:ip")
	inBothModes(t, func(t *testing.T, mode bpf.Mode) {
		n := testnet.New(t, testnet.Options{})
		u := underLoad(t, n, xrx.Config{Attach: mode})
		for _, kind := range []string{"xdp", "xdpdrv", "xdpgeneric"} {
			if _, err := n.B.Exec(t.Context(), "ip", "link", "set", "dev", "b0", kind, "off"); err != nil && !strings.Contains(err.Error(), "Can't replace active BPF XDP link") {
				t.Errorf("%s off: %v", kind, err)
			}
		}
		u.flows(t)
		if _, told := u.log.find(xrx.ProgramDetached, 1); told {
			t.Error("told of a program that nobody took away")
		}
		u.whole(t)
	})
}

func TestAProgramThatSomebodyDetachesIsPutBack(t *testing.T) {
	testnet.Require(t, "root", "veth")
	inBothModes(t, func(t *testing.T, mode bpf.Mode) {
		n := testnet.New(t, testnet.Options{})
		u := underLoad(t, n, xrx.Config{Attach: mode})
		l := others(t, n)
		began := time.Now()
		if err := l.Detach(); err != nil {
			t.Fatal(err)
		}
		l.Close()
		e := u.log.await(t, xrx.ProgramDetached, 1, began)
		if !e.Warning || !strings.Contains(e.Text, "it is back") {
			t.Errorf("%+v", e)
		}
		u.flows(t)
		// The expression can still be replaced, and that is nobody else's doing.
		if err := u.r.SetMatch("udp or tcp or ip6"); err != nil {
			t.Error(err)
		}
		u.flows(t)
		l = others(t, n)
		began = time.Now()
		if err := l.Update(passing(t)); err != nil {
			t.Fatal(err)
		}
		l.Close()
		u.log.await(t, xrx.ProgramReplaced, 1, began)
		u.flows(t)
		if c := u.r.Snapshot().Events; c["program_detached"] != 1 || c["program_replaced"] != 1 {
			t.Errorf("counted %v", c)
		}
		u.whole(t)
	})
}

func TestAProgramThatIsTakenAwayAgainAndAgainEndsRun(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	u := underLoad(t, n, xrx.Config{})
	for round := 1; round <= 4; round++ {
		l := others(t, n)
		began := time.Now()
		if err := l.Detach(); err != nil {
			t.Fatal(err)
		}
		l.Close()
		u.log.await(t, xrx.ProgramDetached, round, began)
	}
	if err := u.wait(patience); err == nil || !strings.Contains(err.Error(), "again and again") || !strings.Contains(err.Error(), "bpftool") {
		t.Errorf("Run returned %v", err)
	}
	u.quit()
	u.balanced(t)
}

// Whoever detaches and attaches his own in one go is there first: Run says whose program it is.
func TestAProgramInPlaceOfOursEndsRunWithItsName(t *testing.T) {
	testnet.Require(t, "root", "veth")
	n := testnet.New(t, testnet.Options{})
	u := underLoad(t, n, xrx.Config{})
	l := others(t, n)
	var theirs link.Link
	p := passing(t)
	n.InB(func() {
		var err error
		if err = l.Detach(); err != nil {
			t.Fatal(err)
		}
		if theirs, err = link.AttachXDP(link.XDPOptions{Program: p, Interface: n.B.Index}); err != nil {
			t.Fatal(err)
		}
	})
	l.Close()
	err := u.wait(patience)
	theirs.Close()
	var busy *bpf.BusyError
	if !errors.As(err, &busy) || !strings.Contains(err.Error(), "somebody detached the XDP program") {
		t.Errorf("Run returned %v", err)
	}
	t.Log(err)
	u.quit()
	u.balanced(t)
}
