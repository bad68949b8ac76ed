package xrx

import (
	"errors"
	"fmt"

	"xrx/umem"
)

// Containment: a consumer that panics loses the packet it was given, and nothing else happens. What it costs is one
// deferred call per batch, none per packet: the batch goes on behind the packet that panicked.
//
// The queue's own code is not contained. A smashed hidden header (umem.Corrupt), whoever finds it, and a frame that the
// queue would hand on twice (umem.NotReceived) end the process: with memory that can't be believed there is nothing left
// to save.

// guard calls a consumer on one goroutine, and survives its panics. The queue's goroutine uses its parts, with frames
// that it can free at once (Queue.each, Queue.several); any other uses each and several with packets that are delivered
// already.
type guard struct {
	name   string // the consumer's, in counters
	log    *panicLog
	fatal  bool        // Config.PanicFatal
	failed *PanicError // the consumer must not be called again

	discarded uint64 // packets that it was not shown
}

// caught counts a panic of the consumer's with a packet of this queue. v is what recover returned: nil where the
// consumer called runtime.Goexit, which can't be stopped, so that is always fatal. lost is how many packets it cost.
func (g *guard) caught(v any, queue, lost int) {
	if v == nil && g.failed != nil && g.failed.Value == nil {
		return // on its way out through another guard
	}
	var m *umem.MisuseError
	if err, ok := v.(error); ok && errors.As(err, &m) && (m.Kind == umem.Corrupt || m.Kind == umem.NotReceived) {
		panic(v)
	}
	if g.log == nil {
		g.log = new(panicLog)
	}
	e := g.log.add(queue, g.name, v, lost)
	if g.fatal || v == nil {
		g.failed = e
	}
}

// err returns why the consumer must not be called again, nil if it may.
func (g *guard) err() error {
	if g.failed == nil {
		return nil
	}
	return g.failed
}

// each gives the packets to a handler, one after the other, and releases each, with one push home per pool. After a
// fatal panic the rest is released unseen.
func (g *guard) each(h Handler, batch []Packet) {
	for done := 0; done < len(batch); {
		if g.failed != nil {
			g.discard(batch[done:])
			return
		}
		done += g.some(h, batch[done:])
	}
}

// some is each up to a packet that panicked, that one included.
func (g *guard) some(h Handler, batch []Packet) (done int) {
	whole := false
	var home umem.Returns
	defer func() {
		home.Send()
		if whole {
			return
		}
		v, p := recover(), batch[done-1]
		g.caught(v, p.q.id, releaseLive(batch[done-1:done]))
		if v == nil { // the goroutine ends
			g.discard(batch[done:])
		}
	}()
	for i, p := range batch {
		done = i + 1
		h(p)
		home.Release(p.q.pool, p.h, p.gen)
	}
	whole = true
	return done
}

// several gives the packets to a batch handler. If that panics, each packet that the slice still names and that is
// still alive is released once.
func (g *guard) several(h BatchHandler, batch []Packet) {
	if len(batch) == 0 {
		return
	}
	if g.failed != nil {
		g.discard(batch)
		return
	}
	whole, queue := false, batch[0].q.id
	defer func() {
		if !whole {
			g.caught(recover(), queue, releaseLive(batch))
		}
	}()
	h(batch)
	whole = true
}

// discard releases packets that nobody is shown any more, since the consumer has failed.
func (g *guard) discard(batch []Packet) {
	g.discarded += uint64(len(batch))
	for i := range batch {
		g.log.unseen(batch[i].q.id, 1)
	}
	Release(batch)
}

// caught is guard.caught for the handler: the last of the done packets, delivered with life number gen, panicked.
func (q *Queue) caught(v any, ready []*umem.Header, done int, gen uint32) {
	lost := 0
	if done > 0 {
		lost = releaseLive([]Packet{{ready[done-1], q, gen}})
	}
	q.guard.caught(v, q.id, lost)
	q.afterPanic(v, ready[done:])
}

// caughtBatch is guard.caught for the batch handler, that was given q.out; rest is what it was not given.
func (q *Queue) caughtBatch(v any, rest []*umem.Header) {
	q.guard.caught(v, q.id, releaseLive(q.out))
	q.afterPanic(v, rest)
}

// afterPanic takes a consumer that has failed out of the queue.
func (q *Queue) afterPanic(v any, rest []*umem.Header) {
	if q.guard.failed == nil {
		return
	}
	q.handle, q.batch = nil, nil
	if v == nil { // this goroutine ends here: nobody comes back for the rest
		q.discard(rest)
	}
}

// discard drops packets that nobody is shown any more, since the consumer has failed, and returns how many.
func (q *Queue) discard(ready []*umem.Header) int {
	for _, h := range ready {
		q.pool.Drop(h)
	}
	if q.guard.log != nil {
		q.guard.log.unseen(q.id, len(ready))
	}
	return len(ready)
}

// releaseLive gives back one reference of each packet of a consumer that panicked, as far as it has not been given
// back, and returns how many it was. A packet may be there twice (the consumer was moving them about), or not at all
// (it took the zero Packet's place: it has another owner now).
func releaseLive(batch []Packet) (n int) {
	seen := make(map[*umem.Header]bool, len(batch))
	for _, p := range batch {
		if p.h != nil && !seen[p.h] && p.letGo() {
			n++
		}
		if p.h != nil {
			seen[p.h] = true
		}
	}
	return n
}

// letGo is Release where the packet may have been released already, by the consumer that panicked. It reports whether
// it had a reference to give back.
func (p Packet) letGo() (ok bool) {
	if p.h.Gen() != p.gen {
		return false
	}
	defer func() {
		if ok {
			return
		}
		// Somebody else released what was not his, between the line above and this one: his panic tells.
		v := recover()
		if m, is := v.(*umem.MisuseError); !is || m.Kind == umem.Corrupt {
			panic(v)
		}
	}()
	p.Release()
	return true
}

// PanicError is a consumer's panic: what Config.OnPanic is told, and what Run returns where Config.PanicFatal is set.
type PanicError struct {
	Consumer string // its name: "consumer", or that of a Mux's handler or tap
	Queue    int    // of the packet
	Value    any    // what it panicked with; nil: it called runtime.Goexit
	Stack    string // of the goroutine, from the panic on
}

func (e *PanicError) Error() string {
	what := fmt.Sprintf("panicked: %v", e.Value)
	if e.Value == nil {
		what = "ended its goroutine (runtime.Goexit; t.FailNow does that too)"
	}
	return fmt.Sprintf("xrx: %s, with a packet of queue %d, %s\n%s", e.Consumer, e.Queue, what, e.Stack)
}

// Unwrap returns the value of the panic where it is an error: errors.As finds a *umem.MisuseError or a runtime.Error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
