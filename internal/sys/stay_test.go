package sys

import (
	"runtime"
	"testing"
	"time"
)

func TestWaitingSeatedEndsWithTheEventOrWithTheTime(t *testing.T) {
	e, err := NewEvent()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	p := NewPollFds(int(e))
	began := time.Now()
	if n, err := p.WaitSeated(2 * time.Millisecond); n != 0 || err != nil || p.Ready(0) {
		t.Errorf("nothing to wait for: %d, %v, ready %v", n, err, p.Ready(0))
	}
	SleepSeated(2 * time.Millisecond)
	if d := time.Since(began); d < 2*time.Millisecond { // a signal may cut one of them short
		t.Errorf("waited and slept for %v together", d)
	}
	e.Signal()
	if n, err := p.WaitSeated(time.Minute); n != 1 || err != nil || !p.Ready(0) {
		t.Errorf("signalled: %d, %v, ready %v", n, err, p.Ready(0))
	}
}

func TestASeatedThreadDoesNotKeepTheWorldFromStopping(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0))))
	e, err := NewEvent()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	const long = 20 * time.Second
	waiting, woken := make(chan struct{}), make(chan time.Duration)
	go func() {
		p := NewPollFds(int(e))
		close(waiting)
		began := time.Now()
		for !p.Ready(0) && time.Since(began) < long {
			if _, err := p.WaitSeated(long); err != nil {
				t.Error(err)
				break
			}
		}
		woken <- time.Since(began)
	}()
	<-waiting
	began := time.Now()
	for range 10 {
		runtime.GC() // stops the world, twice
	}
	if d := time.Since(began); d > long/2 {
		t.Errorf("ten collections took %v: they waited for the one who waits", d)
	}
	e.Signal()
	if d := <-woken; d > long/2 {
		t.Errorf("woken after %v", d)
	}
}
