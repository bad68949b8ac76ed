package umem

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// packet is the model's idea of a packet: its frames in order, and how many references consumers have.
type packet struct {
	frames []int
	refs   int
	gen    uint32
}

// model is a slow and obvious account of what two pools should do; a script of bytes drives both.
type model struct {
	t      testing.TB
	u      *Umem
	pools  []*Pool
	state  []State // of each frame
	hand   [2][]*packet
	out    [2][]*packet // delivered, with references
	home   [2][]*packet // released for the last time, not reclaimed
	sent   [2][]int     // frames that are sending, in the order in which they were sent
	stale  []handle
	fault  [2][NumFaults]uint64
	unsent [2][NumFaults]uint64

	script []byte
	trace  []string
}

const modelFrames = 12

func newModel(t testing.TB, script []byte) *model {
	cfg := Config{Frames: modelFrames}
	if len(script) > 0 && script[0]&1 != 0 {
		cfg.ChunkSize, cfg.Unaligned = 2100, true
	}
	u, ps := region(t, cfg, 2)
	m := &model{t: t, u: u, pools: ps, state: make([]State, modelFrames), script: script[min(1, len(script)):]}
	for i := range m.state {
		m.state[i] = Free
	}
	return m
}

func (m *model) next(n int) int {
	if len(m.script) == 0 || n == 0 {
		return 0
	}
	b := m.script[0]
	m.script = m.script[1:]
	return int(b) % n
}

func (m *model) logf(format string, args ...any) {
	m.trace = append(m.trace, fmt.Sprintf(format, args...))
}

func (m *model) failf(format string, args ...any) {
	m.t.Helper()
	for i, s := range m.trace {
		m.t.Logf("%3d %s", i, s)
	}
	m.t.Fatalf(format, args...)
}

// run plays the script to its end and checks the ledger after every step; then it brings everything home.
func (m *model) run() {
	for len(m.script) > 0 {
		m.step(m.next(2), m.next(18))
		m.check()
	}
	for q, p := range m.pools {
		for len(m.hand[q]) > 0 {
			m.drop(q)
		}
		for len(m.out[q]) > 0 {
			m.release(q, p.Release)
		}
		m.reclaim(q)
		m.takeBack(q)
		m.takeBackSent(q)
		m.check()
		if l := p.Audit(); l.Free != l.Total {
			m.failf("pool %d is not whole at the end: %v", q, l)
		}
	}
}

func (m *model) step(q, op int) {
	p := m.pools[q]
	switch op {
	case 0, 1:
		m.fill(q, 1+m.next(5))
	case 2, 3, 4:
		m.receive(q)
	case 5:
		m.receiveWrong(q)
	case 6:
		if k := m.pick(m.hand[q]); k != nil {
			m.logf("hold %v", k.frames)
			p.Hold(m.u.Frame(k.frames[0]))
			m.move(k.frames, Held)
		}
	case 7:
		m.join(q)
	case 8:
		if k := m.pick(m.hand[q]); k != nil {
			h := m.u.Frame(k.frames[0])
			m.deliver(p, k, h)
			k.refs, k.gen = 1, h.Gen()
			m.move(k.frames, Delivered)
			m.hand[q] = remove(m.hand[q], k)
			m.out[q] = append(m.out[q], k)
		}
	case 9:
		if k := m.pick(m.out[q]); k != nil {
			m.logf("retain %v", k.frames)
			p.Retain(m.u.Frame(k.frames[0]), k.gen)
			k.refs++
		}
	case 10:
		m.release(q, p.Release)
	case 11:
		m.releaseLocal(q)
	case 12:
		switch m.next(4) {
		case 0:
			m.drop(q)
		case 1:
			m.takeBack(q)
		default:
			m.reclaim(q)
		}
	case 13:
		m.misuse(q)
	case 14:
		m.send(q)
	case 15:
		m.sendDelivered(q)
	case 16:
		m.complete(q)
	case 17:
		if m.next(4) == 0 {
			m.takeBackSent(q)
			return
		}
		m.completeWrong(q)
	}
}

// deliver lends what can be lent, half of the time.
func (m *model) deliver(p *Pool, k *packet, h *Header) {
	if m.next(2) == 0 {
		want := len(k.frames) == 1 && m.state[k.frames[0]] == Received
		lent := h.Lend()
		m.logf("lend %v: %v", k.frames, lent)
		if lent != want {
			m.failf("lent is %v, want %v", lent, want)
		}
		if lent {
			p.Settle(1, 0)
			return
		}
	}
	m.logf("deliver %v", k.frames)
	p.Deliver(h)
}

func (m *model) send(q int) {
	k := m.pick(m.hand[q])
	if k == nil {
		return
	}
	m.logf("send %v", k.frames)
	m.pools[q].Send(m.u.Frame(k.frames[0]))
	m.hand[q] = remove(m.hand[q], k)
	m.move(k.frames, Sending)
	m.sent[q] = append(m.sent[q], k.frames...)
}

func (m *model) sendDelivered(q int) {
	k := m.pick(m.out[q])
	if k == nil {
		return
	}
	h := m.u.Frame(k.frames[0])
	ok := m.pools[q].SendDelivered(h, k.gen)
	m.logf("send %v, which has %d references: %v", k.frames, k.refs, ok)
	if ok != (k.refs == 1) {
		m.failf("sent is %v with %d references", ok, k.refs)
	}
	if !ok {
		return
	}
	m.out[q] = remove(m.out[q], k)
	m.stale = append(m.stale, handle{h, k.gen})
	m.move(k.frames, Sending)
	m.sent[q] = append(m.sent[q], k.frames...)
}

// complete ends the sending of any frame, by its completion or by a recall.
func (m *model) complete(q int) {
	if len(m.sent[q]) == 0 {
		return
	}
	at := m.next(len(m.sent[q]))
	i := m.sent[q][at]
	h := m.u.Frame(i)
	m.logf("complete frame %d", i)
	if m.next(3) == 0 {
		m.pools[q].Recall(h)
	} else if f := m.pools[q].Completed(m.u.Address(h)); f != NoFault {
		m.failf("completion of frame %d: %v", i, f)
	}
	m.state[i] = Free
	m.sent[q] = slices.Delete(m.sent[q], at, at+1)
}

func (m *model) completeWrong(q int) {
	i := m.next(modelFrames)
	h := m.u.Frame(i)
	want, addr := NotSending, m.u.Address(h)
	switch {
	case m.next(3) == 0:
		want, addr = BadAddress, descriptor(m.u, uint64(modelFrames+i)*m.u.stride)
	case m.state[i] == Sending && m.of(i) == q:
		return
	case m.state[i] == Sending:
		want = NotHome
	default:
		for _, k := range slices.Concat(m.out[0], m.out[1], m.home[0], m.home[1]) {
			if slices.Contains(k.frames[1:], i) {
				return // says where it was, not where it is
			}
		}
		if got := misuse(m.t, func() { m.pools[q].Recall(h) }); got == nil || got.Kind != NotSent || got.State != m.state[i] {
			m.failf("recall of frame %d, %v: %v", i, m.state[i], got)
		}
	}
	f := m.pools[q].Completed(addr)
	m.logf("pool %d completion %#x: %v", q, addr, f)
	if f != want {
		m.failf("fault %v, want %v", f, want)
	}
	m.unsent[q][want]++
}

func (m *model) takeBackSent(q int) {
	m.logf("pool %d take back %d that are sending", q, len(m.sent[q]))
	if n := m.pools[q].TakeBackSent(); n != len(m.sent[q]) {
		m.failf("took back %d, want %d", n, len(m.sent[q]))
	}
	m.move(m.sent[q], Free)
	m.sent[q] = nil
}

func (m *model) fill(q, n int) {
	slots := make([]uint64, n)
	want := min(n, m.count(q, Free))
	got := m.pools[q].Fill(slots)
	m.logf("pool %d fill %d: %d", q, n, got)
	if got != want {
		m.failf("filled %d, want %d", got, want)
	}
	for _, s := range slots[:got] {
		i := int(s / m.u.stride)
		if s%m.u.stride != 0 || m.of(i) != q || m.state[i] != Free {
			m.failf("pool %d posted chunk %#x, which is frame %d, %v, of pool %d", q, s, i, m.state[i], m.of(i))
		}
		m.state[i] = Filling
	}
}

func (m *model) receive(q int) {
	i := m.frame(q, Filling)
	if i < 0 {
		return
	}
	n := 1 + m.next(256)
	h, f := m.pools[q].Receive(descriptor(m.u, uint64(i)*m.u.stride), uint32(n))
	m.logf("receive frame %d", i)
	if f != NoFault || h.Index() != i || len(h.Bytes()) != n {
		m.failf("frame %d: %v", i, f)
	}
	m.state[i] = Received
	m.hand[q] = append(m.hand[q], &packet{frames: []int{i}})
}

func (m *model) receiveWrong(q int) {
	want, addr, n := NotFilling, uint64(0), uint32(60)
	i := m.next(modelFrames)
	addr = descriptor(m.u, uint64(i)*m.u.stride)
	switch kind := m.next(3); {
	case kind == 0:
		want, addr = BadAddress, descriptor(m.u, uint64(modelFrames+i)*m.u.stride)
	case m.state[i] != Filling:
	case m.of(i) != q:
		want = NotHome
	default:
		want, n = BadLength, uint32(m.u.Usable())+1
	}
	h, f := m.pools[q].Receive(addr, n)
	m.logf("pool %d receive %#x, %d: %v", q, addr, n, f)
	if h != nil || f != want {
		m.failf("fault %v, want %v", f, want)
	}
	m.fault[q][want]++
}

func (m *model) join(q int) {
	a, b := m.pick(m.hand[q]), m.pick(m.hand[q])
	if a == nil || a == b {
		return
	}
	m.logf("append %v to %v", b.frames, a.frames)
	m.pools[q].Append(m.u.Frame(a.frames[0]), m.u.Frame(b.frames[0]))
	m.move(b.frames, m.state[a.frames[0]])
	a.frames = append(a.frames, b.frames...)
	m.hand[q] = remove(m.hand[q], b)
}

func (m *model) release(q int, release func(*Header, uint32)) {
	if k := m.pick(m.out[q]); k != nil && m.unref(q, k, release) {
		m.home[q] = append(m.home[q], k)
	}
}

func (m *model) releaseLocal(q int) {
	if k := m.pick(m.out[q]); k != nil && m.unref(q, k, m.regain(q, k)) {
		m.move(k.frames, Free)
	}
}

// regain is ReleaseLocal as a queue does it, half of the time: Regain where that can be.
func (m *model) regain(q int, k *packet) func(*Header, uint32) {
	p := m.pools[q]
	if m.next(2) == 0 {
		return p.ReleaseLocal
	}
	return func(h *Header, gen uint32) {
		regained := p.Regain(h, gen)
		m.logf("regain: %v", regained)
		if want := len(k.frames) == 1 && k.refs == 1 && h.owner == 0; regained != want {
			m.failf("regained is %v, want %v", regained, want)
		}
		if !regained {
			p.ReleaseLocal(h, gen)
			return
		}
		p.Settle(0, 1)
	}
}

func (m *model) unref(q int, k *packet, release func(*Header, uint32)) (last bool) {
	m.logf("release %v, one of %d", k.frames, k.refs)
	release(m.u.Frame(k.frames[0]), k.gen)
	if k.refs--; k.refs > 0 {
		return false
	}
	m.out[q] = remove(m.out[q], k)
	m.stale = append(m.stale, handle{m.u.Frame(k.frames[0]), k.gen})
	return true
}

func (m *model) reclaim(q int) {
	n := m.pools[q].Reclaim()
	m.logf("pool %d reclaim: %d", q, n)
	if n != len(m.home[q]) {
		m.failf("%d packets came home, want %d", n, len(m.home[q]))
	}
	for _, k := range m.home[q] {
		m.move(k.frames, Free)
	}
	m.home[q] = nil
}

func (m *model) drop(q int) {
	if k := m.pick(m.hand[q]); k != nil {
		m.logf("drop %v", k.frames)
		m.pools[q].Drop(m.u.Frame(k.frames[0]))
		m.move(k.frames, Free)
		m.hand[q] = remove(m.hand[q], k)
	}
}

func (m *model) takeBack(q int) {
	m.logf("pool %d take back", q)
	m.pools[q].TakeBack()
	for i := range m.state {
		if m.of(i) == q && m.state[i] == Filling {
			m.state[i] = Free
		}
	}
}

// misuse does something forbidden, which must be named and must change nothing.
func (m *model) misuse(q int) {
	p := m.pools[q]
	if len(m.stale) > 0 && m.next(2) == 0 {
		s := m.stale[m.next(len(m.stale))]
		home := m.u.Pool(s.h)
		var got, want *MisuseError
		switch m.next(4) {
		case 0:
			got, want = misuse(m.t, func() { home.Release(s.h, s.gen) }), &MisuseError{Kind: DoubleRelease}
		case 1:
			got, want = misuse(m.t, func() { home.ReleaseLocal(s.h, s.gen) }), &MisuseError{Kind: DoubleRelease}
		case 2:
			got, want = misuse(m.t, func() { home.Retain(s.h, s.gen) }), &MisuseError{Kind: UseAfterRelease}
		case 3:
			got, want = misuse(m.t, func() { s.h.Check(s.gen) }), &MisuseError{Kind: UseAfterRelease}
		}
		m.logf("stale handle on frame %d: %v", s.h.Index(), got)
		if got == nil || got.Kind != want.Kind {
			m.failf("got %v, want %v", got, want.Kind)
		}
		return
	}
	i := m.next(modelFrames)
	h := m.u.Frame(i)
	if m.of(i) != q || m.state[i] == Delivered {
		return
	}
	var got *MisuseError
	want := NotDelivered
	switch m.next(3) {
	case 0:
		got = misuse(m.t, func() { p.Release(h, h.Gen()) })
	case 1:
		got = misuse(m.t, func() { p.Retain(h, h.Gen()) })
	case 2:
		if m.state[i] == Received || m.state[i] == Held {
			return
		}
		got, want = misuse(m.t, func() { p.Deliver(h) }), NotReceived
	}
	m.logf("frame %d is %v: %v", i, m.state[i], got)
	if got == nil || got.Kind != want || got.State != m.state[i] {
		m.failf("got %v, want %v", got, want)
	}
}

func (m *model) check() {
	behind := map[int]bool{} // further buffers of delivered packets: only their first one says where they are
	for _, k := range slices.Concat(m.out[0], m.out[1], m.home[0], m.home[1]) {
		for _, i := range k.frames[1:] {
			behind[i] = true
		}
	}
	for i, s := range m.state {
		if got := m.u.State(m.u.Frame(i)); got != s && !behind[i] {
			m.failf("frame %d is %v, want %v", i, got, s)
		}
	}
	for q, p := range m.pools {
		want := Ledger{Total: p.Total(), Free: m.count(q, Free), Filling: m.count(q, Filling), Received: m.count(q, Received), Held: m.count(q, Held), Delivered: m.count(q, Delivered), Sending: m.count(q, Sending)}
		if walked, counted := p.Audit(), p.Counts(); walked != want || counted != want {
			m.failf("pool %d\nwalked  %v\ncounted %v\nwant    %v", q, walked, counted, want)
		}
		if p.Faults != m.fault[q] {
			m.failf("pool %d counts faults %v, want %v", q, p.Faults, m.fault[q])
		}
		if p.Unsent != m.unsent[q] {
			m.failf("pool %d counts completions refused %v, want %v", q, p.Unsent, m.unsent[q])
		}
		if p.Returned() != (len(m.home[q]) > 0) {
			m.failf("pool %d: returned is %v", q, p.Returned())
		}
		for _, k := range slices.Concat(m.hand[q], m.out[q]) {
			var chain []int
			for h := m.u.Frame(k.frames[0]); h != nil; h = m.u.Deref(h.Seg) {
				chain = append(chain, h.Index())
			}
			if !slices.Equal(chain, k.frames) {
				m.failf("the chain is %v, want %v", chain, k.frames)
			}
		}
	}
}

func (m *model) of(i int) int { return i / (modelFrames / 2) }

func (m *model) move(frames []int, to State) {
	for _, i := range frames {
		m.state[i] = to
	}
}

func (m *model) count(q int, s State) (n int) {
	for i := range m.state {
		if m.of(i) == q && m.state[i] == s {
			n++
		}
	}
	return n
}

// frame picks one of pool q's frames in state s, -1 if there is none.
func (m *model) frame(q int, s State) int {
	skip := m.next(m.count(q, s))
	for i := range m.state {
		if m.of(i) == q && m.state[i] == s {
			if skip == 0 {
				return i
			}
			skip--
		}
	}
	return -1
}

func (m *model) pick(from []*packet) *packet {
	if len(from) == 0 {
		return nil
	}
	return from[m.next(len(from))]
}

func remove(from []*packet, k *packet) []*packet {
	return slices.DeleteFunc(from, func(p *packet) bool { return p == k })
}

func TestPoolsDoWhatTheModelSaysInAnyOrderOfCalls(t *testing.T) {
	rounds := 400
	if testing.Short() {
		rounds = 80
	}
	for seed := range rounds {
		rng := rand.New(rand.NewPCG(uint64(seed), 7))
		script := make([]byte, 600)
		for i := range script {
			script[i] = byte(rng.Uint32())
		}
		newModel(t, script).run()
	}
}

func FuzzPoolsDoWhatTheModelSays(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0, 4, 0, 2, 0, 59, 0, 8, 0, 0, 11, 0})              // the life of one frame
	f.Add([]byte{0, 0, 0, 4, 0, 2, 0, 59, 0, 14, 0, 0, 16, 0, 1})          // received, sent, completed
	f.Add([]byte{1, 1, 0, 4, 1, 2, 0, 59, 1, 8, 0, 1, 10, 0, 1, 12, 2, 1}) // unaligned, released elsewhere
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 4096 {
			return
		}
		newModel(t, script).run()
	})
}
