package umem

import (
	"errors"
	"math/rand/v2"
	"testing"

	"xrx/internal/testnet"
)

// owned delivers a packet of n frames to an owner.
func owned(t testing.TB, p *Pool, o Owner, n int) *Header {
	t.Helper()
	hs := take(t, p, n)
	for _, h := range hs[1:] {
		p.Append(hs[0], h)
	}
	p.Deliver(hs[0])
	p.Charge(hs[0], o)
	return hs[0]
}

func TestAPacketIsChargedToItsOwnerUntilItsLastReferenceIsHome(t *testing.T) {
	p := onePool(t, 16)
	p.Accounts(2)
	h := owned(t, p, 2, 3)
	gen := h.Gen()
	p.Retain(h, gen)
	is := func(when string, one, two int) {
		t.Helper()
		if p.Charged(1) != one || p.Charged(2) != two {
			t.Errorf("%s: accounts %d and %d, want %d and %d", when, p.Charged(1), p.Charged(2), one, two)
		}
	}
	is("delivered", 0, 3)
	p.ReleaseLocal(h, gen)
	is("a reference is left", 0, 3)
	p.Release(h, gen)
	is("on the way home", 0, 3)
	p.Reclaim()
	is("home", 0, 0)

	p.Drop(take(t, p, 1)[0]) // never anybody's
	is("dropped", 0, 0)
	if l := p.Audit(); l.Free != 16 || l.Lost != 0 {
		t.Errorf("ledger: %v", l)
	}
}

func TestAnOwnerIsAdmittedUpToItsLimitAndAloneItsPacketMayBeLarger(t *testing.T) {
	p := onePool(t, 16)
	p.Accounts(1)
	large, small := take(t, p, 5), take(t, p, 1)[0]
	for _, h := range large[1:] {
		p.Append(large[0], h)
	}
	if !p.Admits(large[0], 1, 4) {
		t.Error("a packet of 5 frames is refused by an owner of nothing: it would never be delivered")
	}
	held := owned(t, p, 1, 3)
	if p.Admits(large[0], 1, 7) || !p.Admits(large[0], 1, 8) {
		t.Error("3 held and 5 more: want a limit of 8 to admit that, and one of 7 not to")
	}
	if !p.Admits(small, 1, 4) || p.Admits(small, 1, 3) {
		t.Error("3 held and 1 more: want a limit of 4 to admit that, and one of 3 not to")
	}
	p.ReleaseLocal(held, held.Gen())
	p.Drop(large[0])
	p.Drop(small)
	if l := p.Audit(); l.Free != 16 || l.Lost != 0 {
		t.Errorf("ledger: %v", l)
	}
}

func TestWhatIsChargedIsAlwaysWhatOwnersHold(t *testing.T) {
	const owners = 3
	p := onePool(t, 64)
	p.Accounts(owners)
	random := rand.New(rand.NewPCG(testnet.Seed(t), 7))
	type holding struct {
		h   *Header
		gen uint32
		n   int
		o   Owner
	}
	var out []holding
	var away [owners + 1]int // released elsewhere, not reclaimed
	var has [owners + 1]int
	for step := range 20000 {
		switch n := 1 + random.IntN(5); {
		case random.IntN(2) == 0 && p.In(Free) >= n:
			o := Owner(random.IntN(owners + 1)) // 0: not charged
			hs := take(t, p, n)
			for _, h := range hs[1:] {
				p.Append(hs[0], h)
			}
			p.Deliver(hs[0])
			if o != 0 {
				p.Charge(hs[0], o)
				has[o] += n
			}
			out = append(out, holding{hs[0], hs[0].Gen(), n, o})
		case random.IntN(8) == 0:
			p.Reclaim()
			for o, n := range away {
				has[o] -= n
			}
			away = [owners + 1]int{}
		case len(out) > 0:
			i := random.IntN(len(out))
			x := out[i]
			out[i] = out[len(out)-1]
			out = out[:len(out)-1]
			if random.IntN(2) == 0 {
				p.ReleaseLocal(x.h, x.gen)
				has[x.o] -= x.n
			} else {
				p.Release(x.h, x.gen)
				away[x.o] += x.n
			}
		}
		for o := Owner(1); o <= owners; o++ {
			if want := has[o]; p.Charged(o) != want {
				t.Fatalf("step %d: owner %d is charged %d frames, has %d", step, o, p.Charged(o), want)
			}
		}
	}
	for _, x := range out {
		p.Release(x.h, x.gen)
	}
	p.Reclaim()
	for o := Owner(1); o <= owners; o++ {
		if p.Charged(o) != 0 {
			t.Errorf("owner %d is charged %d frames and has none", o, p.Charged(o))
		}
	}
	if l := p.Audit(); l.Free != l.Total || l.Lost != 0 {
		t.Errorf("ledger: %v", l)
	}
}

func TestAnAccountThatDoesNotExistIsAStrayWrite(t *testing.T) {
	p := onePool(t, 4)
	h, gen := delivered(t, p)
	h.owner = 999
	defer func() {
		var m *MisuseError
		if err, _ := recover().(error); !errors.As(err, &m) || m.Kind != Corrupt {
			t.Errorf("panicked with %v, want a *MisuseError (Corrupt)", err)
		}
	}()
	p.ReleaseLocal(h, gen)
}

func TestAPacketThatIsSentIsNobodysAnyMore(t *testing.T) {
	p := onePool(t, 4)
	p.Accounts(1)
	h := owned(t, p, 1, 2)
	second := p.u.Deref(h.Seg)
	if !p.SendDelivered(h, h.Gen()) || p.Charged(1) != 0 {
		t.Errorf("on its way out, and charged for %d frames", p.Charged(1))
	}
	p.Recall(h)
	p.Recall(second)
	if l := p.Audit(); l.Free != 4 || l.Lost != 0 {
		t.Errorf("ledger: %v", l)
	}
}
