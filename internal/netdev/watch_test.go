package netdev_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"xrx/internal/netdev"
	"xrx/internal/testnet"
)

// soon is the promise, a second, and what a busy test machine adds.
const soon = 5 * time.Second

func TestWatchTellsOfEveryOtherChangeWithBeforeAndAfter(t *testing.T) {
	testnet.Require(t, "root", "veth", "cmd:ethtool", "cmd:ip")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{Queues: 2, MTU: 1200})
	w := watch(t, n)

	if err := n.B.SetMTU(1300); err != nil {
		t.Fatal(err)
	}
	if e := expect(t, w, netdev.MTU, soon); e.Was.MTU != 1200 || e.Now.MTU != 1300 || e.Now.Name != "b0" || !e.Now.Up {
		t.Errorf("%+v", e)
	}
	n.Exec(n.B, "ethtool", "-L", "b0", "rx", "1")
	if e := expect(t, w, netdev.Queues, soon); e.Was.Queues != 2 || e.Now.Queues != 1 {
		t.Errorf("%+v", e)
	}
	n.Exec(n.B, "ethtool", "-L", "b0", "rx", "2")
	expect(t, w, netdev.Queues, soon)

	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}})
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	var l link.Link
	n.InB(func() {
		if l, err = link.AttachXDP(link.XDPOptions{Program: prog, Interface: n.B.Index}); err != nil {
			t.Fatal(err)
		}
	})
	defer l.Close()
	info, err := prog.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := info.ID()
	if e := expect(t, w, netdev.Program, soon); e.Was.Program != 0 || e.Now.Program != uint32(id) {
		t.Errorf("%+v, want program %d", e, id)
	}
	if err := l.Detach(); err != nil { // of this the kernel tells nobody
		t.Fatal(err)
	}
	if e := expect(t, w, netdev.Program, soon); e.Now.Program != 0 {
		t.Errorf("%+v", e)
	}

	n.Exec(n.B, "ip", "link", "set", "b0", "down")
	expect(t, w, netdev.Down, soon)
	n.Exec(n.B, "ip", "link", "set", "b0", "name", "other0")
	if e := expect(t, w, netdev.Renamed, soon); e.Was.Name != "b0" || e.Now.Name != "other0" || e.Now.Queues != 2 {
		t.Errorf("%+v", e)
	}
	n.Exec(n.B, "ip", "link", "set", "other0", "name", "b0")
	expect(t, w, netdev.Renamed, soon)
}

// While nobody reads, changes are told as one: the last event has the state as it is.
func TestChangesThatFoundNoRoomAreToldAsOne(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{MTU: 1200})
	w := watch(t, n)
	for i := range 200 {
		if err := n.B.SetMTU(1201 + i); err != nil {
			t.Fatal(err)
		}
	}
	was := 1200
	for deadline := time.After(soon); was != 1400; {
		select {
		case e := <-w.C:
			if e.Kind != netdev.MTU || e.Was.MTU != was || e.Now.MTU <= was {
				t.Fatalf("after MTU %d: %+v", was, e)
			}
			was = e.Now.MTU
		case <-deadline:
			t.Fatalf("the last MTU told of is %d, want 1400", was)
		}
	}
}

func TestAwaitReturnsWhenTheInterfaceIsThereOrTheContextDone(t *testing.T) {
	testnet.Require(t, "root", "veth", "cmd:ip")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{MTU: 1200})
	ended := make(chan error, 1)
	begin := func(ctx context.Context, name string) {
		go func() { ended <- n.B.Do(func() error { return netdev.Await(ctx, name) }) }()
	}
	wait := func() error {
		select {
		case err := <-ended:
			return err
		case <-time.After(soon):
			t.Fatal("Await goes on")
			return nil
		}
	}
	begin(t.Context(), "b0")
	if err := wait(); err != nil {
		t.Error(err)
	}
	begin(t.Context(), "later0")
	n.Exec(n.B, "ip", "link", "add", "later0", "type", "veth", "peer", "name", "later1")
	if err := wait(); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	begin(ctx, "never0")
	cancel()
	if err := wait(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	n.InB(func() {
		if _, err := netdev.Get("never0"); !errors.Is(err, netdev.ErrMissing) {
			t.Error(err)
		}
	})
}

func TestWhatRunsInANamespaceSeesItsInterfaces(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{MTU: 1200})
	var b *netdev.Namespace
	var err error
	n.InB(func() { b, err = netdev.CurrentNamespace() })
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	sees := func() error { _, err := netdev.Get("b0"); return err }
	if err := b.Do(sees); err != nil {
		t.Error(err)
	}
	n.InB(func() {
		if err := b.Do(sees); err != nil { // it is there already
			t.Error(err)
		}
	})
	if err := sees(); !errors.Is(err, netdev.ErrMissing) {
		t.Errorf("after Do the thread sees b0: %v", err)
	}
}

// A socket that overruns loses messages (ENOBUFS); the state that they would have told of is asked for, and is not told
// before what messages that are waiting tell.
func TestWhatALostMessageWouldHaveToldIsToldAllTheSame(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{MTU: 1200})
	w := watch(t, n)
	if err := w.Squeeze(); err != nil {
		t.Fatal(err)
	}
	last := 1200
	for deadline := time.Now().Add(soon); w.Overruns() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the socket never overran")
		}
		for range 100 {
			last++
			if err := n.B.SetMTU(last); err != nil {
				t.Fatal(err)
			}
		}
	}
	was := 1200
	for deadline := time.After(soon); was != last; {
		select {
		case e := <-w.C:
			if e.Kind != netdev.MTU || e.Was.MTU != was || e.Now.MTU <= was {
				t.Fatalf("after MTU %d: %+v", was, e)
			}
			was = e.Now.MTU
		case <-deadline:
			t.Fatalf("the last MTU told of is %d, it is %d", was, last)
		}
	}
	t.Logf("%d overruns", w.Overruns())
}
