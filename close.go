package xrx

import (
	"errors"
	"fmt"
	"time"

	"xrx/internal/stage"
	"xrx/umem"
)

// Close detaches the program, waits up to CloseTimeout for packets that consumers still hold, closes the sockets and
// unmaps the memory. Memory under a consumer's hands is never unmapped: if packets are still out, Close says how many
// (*HeldError), frees everything else, and may be called again when they are released.
func (r *Receiver) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running {
		return errors.New("xrx: Close while Run is running: cancel its context and wait for it")
	}
	r.closed = true
	return r.release()
}

func (r *Receiver) release() error {
	var errs []error
	if r.watch != nil {
		r.watch.Close()
		r.watch = nil
	}
	stage.At("closing")
	errs = append(errs, r.untune())
	stage.At("settings back")
	errs = append(errs, r.follow.namespace.Close())
	r.follow.namespace = nil
	if r.link != nil {
		errs = append(errs, r.link.Close())
		r.link = nil
		stage.At("detached")
	}
	if r.prog != nil {
		errs = append(errs, r.prog.Close())
		r.prog = nil
		stage.At("unloaded")
	}
	for _, p := range r.pollers {
		errs = append(errs, p.close())
	}
	stage.At("pollers closed")
	held := &HeldError{}
	deadline := time.Now().Add(r.cfg.CloseTimeout)
	for _, q := range r.queues {
		errs = append(errs, q.close(deadline, held))
	}
	stage.At("queues closed")
	if r.mem != nil && held.Packets == 0 && r.pair == nil { // else both sides are closed first
		errs = append(errs, r.mem.Close())
		r.mem = nil
	}
	if held.Packets > 0 {
		errs = append(errs, held)
	}
	return errors.Join(errs...)
}

// HeldError says that consumers had not released everything when Close ran out of patience.
type HeldError struct {
	Packets int // frames still held
	Queues  []int
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("xrx: %d frames of queues %v are still held by consumers: their memory stays mapped until they are released and Close is called again", e.Packets, e.Queues)
}

// close ends the queue, half-made or whole; it runs after the queue's goroutine has gone.
func (q *Queue) close(deadline time.Time, held *HeldError) error {
	var errs []error
	if q.pool != nil {
		for q.pool.Reclaim(); q.pool.In(umem.Delivered) > 0 && time.Now().Before(deadline); q.pool.Reclaim() {
			time.Sleep(time.Millisecond)
		}
	}
	if q.tx != nil {
		errs = append(errs, q.tx.sock.Close()) // what it was sending comes back
		if q.pool != nil {
			q.pool.TakeBackSent()
		}
	}
	if q.sock != nil {
		errs = append(errs, q.sock.Close())
		q.sock = nil
		q.pool.TakeBack()
		stage.At("socket closed")
	}
	if q.mem == nil {
		return errors.Join(errs...)
	}
	if q.pool != nil && q.pool.In(umem.Delivered) > 0 {
		held.Packets += q.pool.In(umem.Delivered)
		held.Queues = append(held.Queues, q.id)
		return errors.Join(errs...)
	}
	if q.pool != nil {
		q.final, q.pool = q.pool.Audit(), nil
	}
	if q.mem != q.receiver.mem { // a shared one is closed once, after all queues
		errs = append(errs, q.mem.Close())
	}
	q.mem = nil
	return errors.Join(errs...)
}
