package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"time"

	"xrx"
	"xrx/gro"
	"xrx/internal/backlog"
	"xrx/internal/capture"
	"xrx/internal/progress"
	"xrx/umem"
)

// replayer is a queue without a NIC: packets of a file are put into frames as the kernel would, in several where one is
// too small (XDP multi-buffer), and go through an engine.
type replayer struct {
	cfg    *xrx.Config
	gather int64 // ns from a burst's first packet to its last, at most
	mem    *umem.Umem
	pool   *umem.Pool
	engine *gro.Engine
	out    *dumpOutput
	keep   backlog.Keep
	split  xrx.Splitter
	batch  *backlog.Batch

	burst []*umem.Header   // packets that came since the last poll
	first int64            // time of the first of them
	now   int64            // time of the last packet: never goes back
	notes []backlog.Record // by frame: what the file says about the packet that starts in it
	sum   dumpSummary
}

// replayGather is --gather auto: with no interface there is no sleep to measure.
const replayGather = 150 * time.Microsecond

// replayed is a packet as the replayer delivers it.
type replayed struct {
	u *umem.Umem
	h *umem.Header
}

func (p replayed) Data() []byte               { return p.h.Bytes() }
func (p replayed) Len() int                   { return int(p.h.Total) }
func (p replayed) Count() int                 { return int(p.h.Segs) }
func (p replayed) GSOSize() int               { return int(p.h.GSOSize) }
func (p replayed) IsChain() bool              { return p.h.Seg != 0 }
func (p replayed) Checksum() umem.Csum        { return p.h.Csum }
func (p replayed) Segments() iter.Seq[[]byte] { return gro.Pieces(p.u, p.h) }
func (p replayed) ResegmentWith(s *xrx.Splitter) iter.Seq[[][]byte] {
	return s.Wire(p.u, p.h)
}

var (
	_ backlog.Delivered = xrx.Packet{}
	_ backlog.Delivered = replayed{}
)

// dumpFile replays a file until its end, the end of ctx, or the output has enough.
func dumpFile(ctx context.Context, e env, o *dumpOptions, cfg *xrx.Config) (err error) {
	if same(o.read, o.write) {
		return usagef("-w %s would overwrite what -r reads", o.write)
	}
	in, err := capture.Open(o.read)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	packet, readErr := in.Next() // the interface's name comes before the first packet
	if readErr != nil && !errors.Is(readErr, io.EOF) {
		return fmt.Errorf("%s: %w", o.read, readErr)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r, err := newReplayer(cfg, o.keep())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	counts := func() capture.Counts { return capture.Counts{Received: r.sum.received} }
	if r.out, err = o.openOutput(e, in.Iface(), "replayed from "+o.read, packet.Time, counts, stop); err != nil {
		return err
	}
	chosen, err := cfg.Expression()
	if err != nil {
		return err
	}
	line := progress.Start(progress.Config{When: o.progress, Out: e.stderr, Plain: o.lines() && progress.Terminal(e.stdout) != nil,
		Unit: "packets", Rate: "pps", State: replayState(o.read, in)})
	defer line.Stop()
	for readErr == nil && ctx.Err() == nil && err == nil {
		if chosen.Match(packet.Data) {
			err = r.take(packet)
		}
		if err == nil {
			packet, readErr = in.Next()
		}
	}
	r.end()
	if readErr != nil && !errors.Is(readErr, io.EOF) {
		err = errors.Join(err, fmt.Errorf("%s: %w", o.read, readErr))
	}
	if outErr := r.out.close(time.Unix(0, r.now)); err == nil {
		err = outErr
	}
	line.Stop()
	r.sum.ledger = r.pool.Audit()
	r.sum.print(e.stderr, r.out)
	return err
}

// replayState returns how far a file is read: by bytes where it has a size.
func replayState(path string, in *capture.Reader) func() progress.State {
	what := "replaying " + filepath.Base(path)
	return func() progress.State {
		packets, read, size := in.Progress()
		s := progress.State{What: what, Done: packets, Part: -1}
		if size > 0 {
			s.Part = float64(read) / float64(size)
		}
		return s
	}
}

// same reports whether two paths are one file.
func same(a, b string) bool {
	if b == "" || b == "-" {
		return false
	}
	ia, errA := os.Stat(a)
	ib, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(ia, ib)
}

func newReplayer(cfg *xrx.Config, k backlog.Keep) (_ *replayer, err error) {
	mem, err := umem.New(umem.Config{Frames: cfg.Frames, ChunkSize: cfg.ChunkSize, HugePages: cfg.HugePages})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, mem.Close())
		}
	}()
	pools, err := mem.Split(1)
	if err != nil {
		return nil, err
	}
	engine, err := gro.New(pools[0], *cfg.GRO)
	if err != nil {
		return nil, err
	}
	gather := cfg.Gather
	if gather == 0 {
		gather = replayGather
	}
	return &replayer{cfg: cfg, gather: int64(max(0, gather)), mem: mem, pool: pools[0], engine: engine, keep: k, batch: backlog.NewBatch(1 << 40),
		notes: make([]backlog.Record, cfg.Frames), sum: dumpSummary{replay: true}}, nil
}

func (r *replayer) close() error { return r.mem.Close() }

// take lets one packet of the file arrive.
func (r *replayer) take(p capture.Packet) error {
	at := max(r.now, p.Time.UnixNano())
	if len(r.burst) > 0 && (len(r.burst) == r.cfg.Budget || at-r.first > r.gather || p.Merged.Segs > 1) {
		r.poll()
	}
	if len(r.burst) == 0 {
		r.sleep(at)
	}
	r.now = at
	h, err := r.load(p.Data)
	if err != nil {
		return err
	}
	note := backlog.Record{At: p.Time.UnixNano(), Queue: p.Queue, Length: p.Length}
	if p.Length > len(p.Data) {
		note.Captured = len(p.Data)
		r.sum.cutOff++
	}
	r.notes[h.Index()] = note
	r.sum.received++
	if p.Merged.Segs > 1 {
		r.pass(h, p.Merged)
		return nil
	}
	if len(r.burst) == 0 {
		r.first = at
	}
	r.burst = append(r.burst, h)
	return nil
}

// load puts a packet into as many frames as it needs.
func (r *replayer) load(b []byte) (head *umem.Header, err error) {
	size := r.mem.Usable()
	need := max(1, (len(b)+size-1)/size)
	if r.pool.In(umem.Free) < need { // a ring would be dry now: the poll comes early
		r.poll()
	}
	if r.pool.In(umem.Free) < need {
		r.flush()
	}
	if free := r.pool.In(umem.Free); free < need {
		return nil, fmt.Errorf("a packet of %d bytes needs %d frames of %d bytes, and there are %d (--frames, --chunk)", len(b), need, size, free)
	}
	for range need {
		var slot [1]uint64
		r.pool.Fill(slot[:])
		n, at := min(len(b), size), slot[0]+uint64(r.mem.PacketOffset())
		copy(r.mem.Memory()[at:], b[:n])
		h, fault := r.pool.Receive(at, uint32(n))
		if fault != umem.NoFault {
			return nil, fmt.Errorf("replay: frame refused: %s", fault)
		}
		b = b[n:]
		if head == nil {
			head = h
			continue
		}
		h.Kind, head.Kind = umem.Fragment, umem.Head
		head.Total += h.Len
		r.pool.Append(head, h)
	}
	return head, nil
}

// poll is what a queue does with a burst: merge, end of poll, deliver.
func (r *replayer) poll() {
	r.engine.Receive(r.burst)
	r.engine.EndPoll(r.now, len(r.burst) == r.cfg.Budget)
	r.burst = r.burst[:0]
	r.deliver()
}

// sleep lets the time pass until the next packet arrives: hold timers go off on the way.
func (r *replayer) sleep(until int64) {
	for {
		due, held := r.engine.NextDeadline()
		if !held || due > until {
			return
		}
		r.engine.EndPoll(max(r.now, due), false)
		r.deliver()
	}
}

// flush delivers what is held, whatever the time.
func (r *replayer) flush() {
	r.engine.FlushAll()
	r.deliver()
}

// pass delivers a packet that was merged before it was written: what is held came before it.
func (r *replayer) pass(h *umem.Header, m capture.Merged) {
	r.flush()
	r.show(h, m)
	r.present()
}

func (r *replayer) end() {
	r.poll()
	r.flush()
}

func (r *replayer) deliver() {
	for _, h := range r.engine.Out() {
		r.show(h, capture.Merged{})
	}
	r.engine.ResetOut()
	r.present()
}

// show delivers a packet to the batch. was is what it stands for, if the engine does not know.
func (r *replayer) show(h *umem.Header, was capture.Merged) {
	r.pool.Deliver(h)
	p, note := replayed{r.mem, h}, r.notes[h.Index()]
	if h.Segs > 1 { // made of several: only a packet that is alone can have been cut off
		note.Length, note.Captured = 0, 0
	}
	backlog.Add(r.batch, r.keep, &r.split, p, note, 0)
	b := &r.batch.Records[len(r.batch.Records)-1]
	if was.Segs > 1 {
		b.Merged = was
	}
	r.sum.delivered++
	r.sum.segments += uint64(b.Merged.Segs)
	r.pool.ReleaseLocal(h, h.Gen())
}

// present gives the batch to the output.
func (r *replayer) present() {
	for i := range r.batch.Records {
		r.out.Show(r.batch, &r.batch.Records[i])
	}
	r.batch.Reset()
}
