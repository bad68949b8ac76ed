package umem

import (
	"errors"
	"testing"
)

// region builds a Umem in Go's own memory, which the race detector watches, and cuts it into pools.
func region(t testing.TB, cfg Config, pools int) (*Umem, []*Pool) {
	t.Helper()
	if err := cfg.validate(); err != nil {
		t.Fatal(err)
	}
	u, err := NewOn(aligned(regionSize(cfg)), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ps, err := u.Split(pools)
	if err != nil {
		t.Fatal(err)
	}
	return u, ps
}

func onePool(t testing.TB, frames int) *Pool {
	t.Helper()
	_, ps := region(t, Config{Frames: frames}, 1)
	return ps[0]
}

// aligned returns n bytes of heap memory that begin at a multiple of 64.
func aligned(n int) []byte {
	b := make([]byte, n+refUnit)
	skip := -addressOf(b) % refUnit
	return b[skip : int(skip)+n : int(skip)+n]
}

// take brings n frames into state Received, as if the kernel had delivered n packets of 60 bytes.
func take(t testing.TB, p *Pool, n int) []*Header {
	t.Helper()
	slots := make([]uint64, n)
	if got := p.Fill(slots); got != n {
		t.Fatalf("filled %d of %d slots", got, n)
	}
	hs := make([]*Header, n)
	for i, s := range slots {
		h, f := p.Receive(descriptor(p.u, s), 60)
		if f != NoFault {
			t.Fatalf("frame at %#x: %v", s, f)
		}
		hs[i] = h
	}
	return hs
}

func delivered(t testing.TB, p *Pool) (*Header, uint32) {
	t.Helper()
	h := take(t, p, 1)[0]
	p.Deliver(h)
	return h, h.Gen()
}

// descriptor is the address that the kernel writes for a packet in the chunk at base.
func descriptor(u *Umem, base uint64) uint64 {
	if u.cfg.Unaligned {
		return base | uint64(u.PacketOffset())<<48
	}
	return base + uint64(u.PacketOffset())
}

// mustBalance compares the walk over all headers with the running totals: nothing lost, and both say the same.
func mustBalance(t testing.TB, p *Pool) {
	t.Helper()
	walked, counted := p.Audit(), p.Counts()
	if walked.Lost != 0 || walked != counted {
		t.Fatalf("the ledger does not balance:\nwalked  %v\ncounted %v", walked, counted)
	}
}

// misuse runs f and returns the *MisuseError that it panicked with, or nil.
func misuse(t testing.TB, f func()) (m *MisuseError) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			err, ok := r.(error)
			if !ok || !errors.As(err, &m) {
				t.Fatalf("panicked with %v, not with a *MisuseError", r)
			}
		}
	}()
	f()
	return nil
}
