package zcvm_test

import (
	"slices"
	"testing"
	"time"

	"xrx/bpf"
	"xrx/fillring"
	"xrx/internal/sys"
	"xrx/umem"
	"xrx/xsk"
)

// headroom of the regions made here: behind the header of 128 bytes lie 128 more that nobody may touch.
const headroom = 2 * umem.HeaderSize

// program puts the XDP program on an interface until the test ends.
func program(t *testing.T, w wire, queues int) *bpf.Program {
	t.Helper()
	p, err := bpf.Load(bpf.Options{MaxQueues: queues})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil { // detaches
			t.Error(err)
		}
	})
	if _, err := p.Attach(w.iface.Index, bpf.Native); err != nil {
		t.Fatal(err)
	}
	return p
}

// region makes frames for so many pools, every byte of the headroom behind the hidden headers marked.
func region(t *testing.T, pools int) (*umem.Umem, []*umem.Pool) {
	t.Helper()
	u, err := umem.New(umem.Config{Frames: 4096, ChunkSize: 4096, Headroom: headroom})
	if err != nil {
		t.Fatal(err)
	}
	list, err := u.Split(pools)
	if err != nil {
		t.Fatal(err)
	}
	for i := range u.Config().Frames {
		for j, b := 0, untouched(u, i); j < len(b); j++ {
			b[j] = mark(i, j)
		}
	}
	t.Cleanup(func() {
		wrong := 0
		for i := range u.Config().Frames {
			for j, b := range untouched(u, i) {
				if b != mark(i, j) {
					wrong++
				}
			}
		}
		if wrong > 0 {
			t.Errorf("%d bytes in front of XDP's own headroom were written over", wrong)
		}
		if err := u.Close(); err != nil {
			t.Error(err)
		}
	})
	return u, list
}

func mark(frame, at int) byte { return byte(frame*31 + at*7 + 0xA5) }

// untouched are the bytes between a chunk's hidden header and XDP's headroom.
func untouched(u *umem.Umem, frame int) []byte {
	at := frame * u.Config().ChunkSize
	return u.Memory()[at+umem.HeaderSize : at+headroom]
}

// socket is a zero-copy socket on one queue, worked by the test itself.
type socket struct {
	*xsk.Socket
	pool *umem.Pool
	fill *fillring.Refiller
	fds  sys.PollFds
	got  uint64
}

// newSocket opens a socket on a queue; share is another one whose registration of the region it uses, or nil.
func newSocket(t *testing.T, w wire, u *umem.Umem, pool *umem.Pool, queue int, share *xsk.Socket) *socket {
	t.Helper()
	s, err := xsk.Open(xsk.Config{Umem: u, IfIndex: w.iface.Index, Iface: w.iface.Name, Queue: queue, Share: share})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		pool.TakeBack()
		if l := pool.Audit(); l.Free != l.Total || l.Lost != 0 {
			t.Errorf("queue %d after Close: %v", queue, l)
		}
	})
	return &socket{Socket: s, pool: pool, fill: fillring.New(s.Fill, pool), fds: sys.NewPollFds(s.FD())}
}

// bind binds zero-copy and asks the kernel whether it is so.
func (s *socket) bind(t *testing.T) {
	t.Helper()
	if _, err := s.Bind(xsk.ZeroCopy, true); err != nil {
		t.Fatal(err)
	}
	if zc, err := sys.XSKZeroCopy(s.FD()); err != nil || !zc {
		t.Fatalf("XDP_OPTIONS of queue %d: zero-copy %t, %v", s.Queue(), zc, err)
	}
}

// poll takes what has come, hands it to x, and gives the frames back.
func (s *socket) poll(t *testing.T, x *exchange) {
	s.fill.Refill()
	for descs := s.Rx.Peek(64); len(descs) > 0; descs = s.Rx.Peek(64) {
		for _, d := range descs {
			h, fault := s.pool.Receive(d.Addr, d.Len)
			if h == nil {
				t.Errorf("queue %d: descriptor %#x of %d bytes: %v", s.Queue(), d.Addr, d.Len, fault)
				continue
			}
			if h.Off != headroom+umem.PacketHeadroom {
				t.Errorf("queue %d: a frame at offset %d of its chunk", s.Queue(), h.Off)
			}
			x.receive(h.Bytes())
			s.got++
			s.pool.Drop(h)
		}
		s.Rx.Advance(len(descs))
		s.Rx.Release()
		s.fill.Refill()
	}
}

// serve polls sockets on a goroutine of its own until what it returns is called.
func serve(t *testing.T, x *exchange, sockets ...*socket) (stop func()) {
	stopped, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			for _, s := range sockets {
				s.poll(t, x)
				if _, err := s.fds.Wait(time.Millisecond); err != nil {
					t.Error(err)
					return
				}
			}
			select {
			case <-stopped:
				return
			default:
			}
		}
	}()
	return func() { close(stopped); <-done }
}

// What NEED_WAKEUP means: a driver that found the fill ring empty at bind takes nothing until it is told, and
// everything after.
func TestADriverThatWasBoundWithoutFramesReceivesOnceItIsTold(t *testing.T) {
	w := zeroCopyWire(t)
	p := program(t, w, 1)
	u, pools := region(t, 1)
	s := newSocket(t, w, u, pools[0], 0, nil)
	s.bind(t)
	if err := p.Register(0, s.FD()); err != nil {
		t.Fatal(err)
	}
	s.fill.Refill()
	if !s.Fill.NeedWakeup() {
		t.Fatal("the driver found no frames and does not ask to be woken")
	}
	if err := s.WakeRx(); err != nil {
		t.Fatal(err)
	}
	// Not by the ring's level: the kernel publishes what it has taken only when it takes more.
	eventually(t, "the driver has frames", func() bool { return !s.Fill.NeedWakeup() })
	x := newExchange(t, w, w.stream())
	stop := serve(t, x, s)
	x.send(1000)
	stop()
	x.done()
}

// Two queues out of one region, which the receiver does not do yet: each has its own frames of it, and the device
// writes into no other.
func TestTwoQueuesShareOneRegion(t *testing.T) {
	w := zeroCopyWire(t)
	twoQueues(t, w)
	p := program(t, w, 2)
	u, pools := region(t, 2)
	first := newSocket(t, w, u, pools[0], 0, nil)
	first.fill.Refill()
	first.bind(t)
	second := newSocket(t, w, u, pools[1], 1, first.Socket)
	second.fill.Refill()
	second.bind(t)
	sockets := []*socket{first, second}
	for i, s := range sockets {
		if err := p.Register(i, s.FD()); err != nil {
			t.Fatal(err)
		}
	}
	st := spread(w)
	st.Sizes = []int{100, 300, 1514}
	x := newExchange(t, w, st)
	stop := serve(t, x, sockets...)
	x.send(10_000)
	stop()
	x.done()
	if first.got == 0 || second.got == 0 || pools[0].Faults != pools[1].Faults || slices.Max(pools[0].Faults[:]) != 0 {
		t.Errorf("queues received %d and %d, faults %v and %v", first.got, second.got, pools[0].Faults, pools[1].Faults)
	}
	t.Logf("queues received %d and %d", first.got, second.got)
}
