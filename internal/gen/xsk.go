package gen

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/asavie/xdp"
	"golang.org/x/sys/unix"

	"xrx/internal/afpacket"
)

const (
	xskRing   = 1024 // descriptors; a power of two
	xskFrames = 1024
	// xskDrain bounds the wait for the last frames to be confirmed.
	xskDrain = 2 * time.Second
)

// xskSender transmits through asavie/xdp. That package never unmaps its rings:
// the interface's queue stays taken until the process ends or the interface
// goes, so a process runs one of these per queue.
type xskSender struct {
	writer *Writer
	socket *xdp.Socket
	pace   *schedule
	fence  atomic.Uint32
	out    atomic.Uint64 // frames, for sent; written once a batch
}

func openXSK(s Stream, ifindex int, o Options) (*xskSender, error) {
	writer, err := NewWriter(s)
	if err != nil {
		return nil, err
	}
	options := xdp.SocketOptions{
		NumFrames: xskFrames, FrameSize: 2048,
		FillRingNumDescs: 64, RxRingNumDescs: 64, // never used, yet Poll reads them
		CompletionRingNumDescs: xskRing, TxRingNumDescs: xskRing,
	}
	if s.maxSize() > options.FrameSize {
		options.FrameSize = 4096
	}
	if s.maxSize() > options.FrameSize {
		return nil, fmt.Errorf("size %d: at most %d bytes", s.maxSize(), options.FrameSize)
	}
	socket, err := xdp.NewSocket(ifindex, o.Queue, &options)
	if err != nil {
		return nil, fmt.Errorf("open AF_XDP socket on queue %d: %w", o.Queue, err)
	}
	return &xskSender{writer: writer, socket: socket, pace: newSchedule(s, o)}, nil
}

func (x *xskSender) sent() uint64 { return x.out.Load() }

func (x *xskSender) close() error { return x.socket.Close() }

func (x *xskSender) send(ctx context.Context, count uint64, r *Result) error {
	written := uint64(0)
	defer func() { r.Late = x.pace.lateness() }()
	for written < count {
		n, err := x.pace.wait(ctx, int(min(count-written, afpacket.Batch)))
		if err != nil {
			break // ctx ended
		}
		for let := n; n > 0; {
			descs := x.socket.GetDescs(min(n, x.socket.NumFreeTxSlots()))
			for i := range descs {
				x.pace.stamp(x.writer, let-n+i)
				descs[i].Len = uint32(len(x.writer.Append(x.socket.GetFrame(descs[i])[:0])))
				r.Bytes += uint64(descs[i].Len)
			}
			if err := x.transmit(descs); err != nil {
				return err
			}
			written += uint64(len(descs))
			n -= len(descs)
			if x.complete(r) == 0 && n > 0 {
				r.Retries++
				if err := x.wait(); err != nil {
					return err
				}
			}
		}
	}
	return x.drain(written, r)
}

// drain waits until the kernel has confirmed every frame.
func (x *xskSender) drain(written uint64, r *Result) error {
	for start := time.Now(); ; {
		x.complete(r)
		if r.Frames == written {
			return nil
		}
		if time.Since(start) > xskDrain {
			return fmt.Errorf("%d frames not confirmed by the kernel after %v", written-r.Frames, xskDrain)
		}
		// The kernel takes 32 descriptors a call (net/xdp/xsk.c,
		// TX_BATCH_SIZE, v6.18): ask it to go on.
		if err := x.transmit(nil); err != nil {
			return err
		}
	}
}

// transmit queues descriptors and wakes the kernel. xdp.Socket panics on errno
// values it does not expect, of which a downed interface gives some.
func (x *xskSender) transmit(descs []xdp.Desc) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = sockError(p)
		}
	}()
	if n := x.socket.Transmit(descs); n != len(descs) {
		return fmt.Errorf("%d of %d descriptors taken", n, len(descs))
	}
	return nil
}

// complete takes confirmed frames back and returns how many there were.
func (x *xskSender) complete(r *Result) int {
	n := x.socket.NumCompleted()
	// The package reads the ring's index and then its entries with plain
	// loads; on arm64 an ordered operation must stand between them.
	x.fence.Add(1)
	if n > 0 {
		x.socket.Complete(n)
		r.Frames += uint64(n)
		x.out.Store(r.Frames)
	}
	return n
}

// wait sleeps until the kernel has taken descriptors, at most 10 ms, after
// asking it to.
func (x *xskSender) wait() error {
	if err := x.transmit(nil); err != nil {
		return err
	}
	if x.socket.NumCompleted() > 0 {
		return nil
	}
	fds := []unix.PollFd{{Fd: int32(x.socket.FD()), Events: unix.POLLOUT}}
	if _, err := unix.Poll(fds, 10); err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("poll AF_XDP socket: %w", err)
	}
	return nil
}

// sockError turns the panic of a failed wakeup back into the errno behind it.
func sockError(p any) error {
	var rc uint64
	var errno int
	if n, _ := fmt.Sscanf(fmt.Sprint(p), "sendto failed with rc=%d and errno=%d", &rc, &errno); n == 2 {
		return fmt.Errorf("send on AF_XDP socket: %w", unix.Errno(errno))
	}
	return fmt.Errorf("send on AF_XDP socket: %v", p)
}
