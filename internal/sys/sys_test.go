package sys

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func event(t *testing.T) Event {
	t.Helper()
	e, err := NewEvent()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func wait(t *testing.T, p PollFds, d time.Duration) int {
	t.Helper()
	n, err := p.Wait(d)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAnEventWakesAWaiterUntilItIsCleared(t *testing.T) {
	quiet, e := event(t), event(t)
	p := NewPollFds(int(quiet), int(e))
	if wait(t, p, 0) != 0 || p.Ready(0) || p.Ready(1) {
		t.Fatal("ready before anything was signalled")
	}
	go e.Signal()
	if wait(t, p, 5*time.Second) != 1 || p.Ready(0) || !p.Ready(1) || p.Failed(1) {
		t.Fatal("not woken by the signal")
	}
	e.Signal() // signals add up to one
	e.Clear()
	if wait(t, p, 0) != 0 || p.Ready(1) {
		t.Fatal("ready after Clear")
	}
	e.Clear() // never blocks
}

func TestWaitEndsWhenItsTimeIsOver(t *testing.T) {
	p := NewPollFds(int(event(t)))
	began := time.Now()
	if wait(t, p, 30*time.Millisecond) != 0 {
		t.Fatal("ready")
	}
	if took := time.Since(began); took < 30*time.Millisecond || took > 5*time.Second {
		t.Errorf("waited %v, want 30ms", took)
	}
}

func TestADescriptorThatIsNotOpenIsReadyAndFailed(t *testing.T) {
	p := NewPollFds(1 << 20)
	if wait(t, p, time.Second) != 1 || !p.Ready(0) || !p.Failed(0) {
		t.Error("POLLNVAL was not shown")
	}
}

func TestPauseLooksAtTheOtherDescriptorsOnly(t *testing.T) {
	loud, other := event(t), event(t)
	loud.Signal()
	p := NewPollFds(int(loud), int(other))
	began := time.Now()
	p.Pause(1)
	if took := time.Since(began); took < 10*time.Millisecond || p.Ready(0) {
		t.Errorf("paused %v, ready %v", took, p.Ready(0))
	}
	if wait(t, p, 0) != 1 || !p.Ready(0) {
		t.Error("the descriptor was not looked at again afterwards")
	}
	other.Signal()
	if p.Pause(1); !p.Ready(1) {
		t.Error("the other descriptor was not seen")
	}
}

func TestWaitingAllocatesNothing(t *testing.T) {
	e := event(t)
	p, quiet := NewPollFds(int(e)), NewPollFds(int(event(t)))
	e.Signal()
	if n := testing.AllocsPerRun(100, func() { p.Wait(time.Second); quiet.Wait(time.Microsecond) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestARegionIsZeroedWritableAndGivenBack(t *testing.T) {
	for _, huge := range []bool{false, true} {
		mem, hugeErr, err := MapRegion(3*4096, huge)
		if err != nil {
			t.Fatal(err)
		}
		if !huge && (hugeErr != nil || len(mem) != 3*4096) {
			t.Errorf("%d bytes, %v", len(mem), hugeErr)
		}
		if huge && hugeErr == nil && len(mem) != 2<<20 {
			t.Errorf("huge: %d bytes", len(mem))
		}
		if hugeErr != nil && !strings.Contains(hugeErr.Error(), "vm.nr_hugepages=1") {
			t.Errorf("huge pages refused without advice: %v", hugeErr)
		}
		for i := range mem {
			if mem[i] != 0 {
				t.Fatalf("byte %d is %d", i, mem[i])
			}
			mem[i] = 1
		}
		if err := Unmap(mem); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := MapRegion(0, false); err == nil {
		t.Error("mapped nothing")
	}
}

func TestProcessorTimeGrowsWithWork(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p, th := ProcessUsage(), ThreadUsage()
	for sum, deadline := 0, time.Now().Add(5*time.Second); ThreadUsage().Sub(th).Total() < 20*time.Millisecond; sum++ {
		if time.Now().After(deadline) {
			t.Fatal("5 s of work cost less than 20 ms of processor time")
		}
	}
	if got := ProcessUsage().Sub(p).Total(); got < 10*time.Millisecond {
		t.Errorf("the process used %v, its thread 20ms", got)
	}
	if got := (Usage{1, 2}).Add(Usage{3, 4}); got != (Usage{4, 6}) || got.Total() != 10 {
		t.Errorf("%+v", got)
	}
}

func TestPinBindsTheCallingThreadToOneProcessor(t *testing.T) {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread goes with its affinity
		if Thread() == os.Getpid() {
			done <- nil // the main thread does not go; try no further
			return
		}
		var before, after unix.CPUSet
		err := unix.SchedGetaffinity(0, &before)
		cpu := 0
		for !before.IsSet(cpu) {
			cpu++
		}
		err = errors.Join(err, Pin(cpu), unix.SchedGetaffinity(0, &after))
		if after.Count() != 1 || !after.IsSet(cpu) {
			err = errors.Join(err, errors.New("the thread is not on one processor alone"))
		}
		if Pin(1000) == nil {
			err = errors.Join(err, errors.New("pinned to a processor that there is not"))
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTheKernelsErrnoStaysReachable(t *testing.T) {
	const bad = -1
	_, offsets := XSKOffsets(bad)
	_, statistics := XSKStatistics(bad)
	_, options := XSKZeroCopy(bad)
	_, mapped := XSKMap(bad, OffRxRing, 4096)
	for name, err := range map[string]error{"offsets": offsets, "statistics": statistics, "options": options, "map": mapped,
		"register": XSKRegister(bad, make([]byte, 4096), 2048, 0, 0), "ring": XSKRing(bad, OptRxRing, 64), "bind": XSKBind(bad, 1, 0, 0, 0),
		"wake rx": XSKWakeRx(bad), "wake tx": XSKWakeTx(bad), "busy poll": BusyPoll(bad, 20, 64), "error": SocketError(bad), "close": Close(bad), "ethtool": Ethtool(bad, "lo", make([]byte, 8))} {
		if !errors.Is(err, syscall.EBADF) {
			t.Errorf("%s: %v, want EBADF", name, err)
		}
	}
}

func TestShortTurnsAreTakenBackAndOnlyOrdinaryThreadsGetThem(t *testing.T) {
	runtime.LockOSThread() // never unlocked: nobody inherits what this thread became
	attr := func() unix.SchedAttr {
		t.Helper()
		a, err := unix.SchedGetAttr(0, 0)
		if err != nil {
			t.Fatal(err)
		}
		return *a
	}
	was := attr()
	if was.Policy != unix.SCHED_NORMAL || was.Runtime == 0 {
		t.Skip("threads of the normal policy have no time slices before Linux 6.12, or this one has another policy")
	}
	undo := ShortTurns()
	want := was
	want.Runtime = 100_000
	if got := attr(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	undo()
	if got := attr(); got != was {
		t.Errorf("afterwards %+v, was %+v", got, was)
	}
	was.Policy = unix.SCHED_IDLE
	if err := unix.SchedSetAttr(0, &was, 0); err != nil {
		t.Fatal(err)
	}
	idle := attr()
	undo = ShortTurns()
	if got := attr(); got != idle {
		t.Errorf("an idle thread became %+v, was %+v", got, idle)
	}
	undo()
}
