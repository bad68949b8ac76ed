package zcvm_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"xrx"
	"xrx/internal/afpacket"
	"xrx/internal/frames"
	"xrx/internal/gen"
	"xrx/internal/netdev"
	"xrx/umem"
)

// The name of the project: frames of every size are in user memory as the device wrote them there, with their
// metadata in front, and no write of the device touched a hidden header.
func TestAHundredThousandFramesArriveZeroCopyUnchangedWithMetadataAndHeaders(t *testing.T) {
	w := zeroCopyWire(t)
	const total = 100_000
	s := w.stream()
	s.Flows, s.Burst, s.Sizes = 16, 3, gen.Range(60, w.iface.MTU+14)
	r := w.open(t, xrx.Config{})
	x := newExchange(t, w, s)
	hashes := map[uint16]uint32{} // source port -> hash
	began := time.Now()
	running := run(t, r, xrx.Handler(func(p xrx.Packet) {
		x.receive(p.Data())
		if err := checkMeta(p, hashes); err != nil {
			x.mu.Lock()
			x.fail(err)
			x.mu.Unlock()
		}
	}))
	for range 10 {
		x.send(total / 10)
		if l := r.Ledger(); l.Lost != 0 { // walks every hidden header while the device writes
			t.Fatalf("after %d frames: %v", x.sent, l)
		}
	}
	took := time.Since(began)
	running.end()
	x.done()
	q := r.Snapshot().Queues[0]
	if q.Packets != total || len(q.Drops) != 0 || q.Kernel.Lost() != 0 || q.Kernel.RxInvalidDescs != 0 || q.Ledger.Lost != 0 {
		t.Errorf("%d packets, drops %v, kernel %+v, %v", q.Packets, q.Drops, q.Kernel, q.Ledger)
	}
	t.Logf("%s: %d frames of 60 to %d bytes, %d flows, %.1f a poll, in %v", r.Mode(), q.Packets, w.iface.MTU+14, len(hashes), float64(q.Packets)/float64(q.Polls), took.Round(time.Millisecond))
}

// checkMeta compares a packet's place and metadata with what the frame of a UDP or TCP stream over IPv4 has.
func checkMeta(p xrx.Packet, hashes map[uint16]uint32) error {
	frame, m := p.Data(), p.Meta()
	if len(frame) < 60 {
		return fmt.Errorf("a frame of %d bytes", len(frame))
	}
	port := binary.BigEndian.Uint16(frame[34:])
	want := xrx.Meta{Hash: m.Hash, Kind: 1, Flags: umem.HashL4, L3: 4, L3Off: 14, L4Off: 34, L4Proto: frames.ProtoUDP}
	switch old, known := hashes[port]; {
	case m.Hash == 0:
		return fmt.Errorf("a frame without a hash: % x", frame[:60])
	case known && old != m.Hash:
		return fmt.Errorf("a flow, port %d, has hashes %08x and %08x", port, old, m.Hash)
	case m != want:
		return fmt.Errorf("metadata %+v, want %+v", m, want)
	case p.Offset() != umem.DefaultHeadroom+umem.PacketHeadroom:
		return fmt.Errorf("a frame at offset %d of its chunk", p.Offset())
	}
	hashes[port] = m.Hash
	return nil
}

// Some drivers give the device buffers in steps of 1024 bytes: by itself the receiver chooses chunks in which whole
// frames have room, and with smaller ones it says what will happen.
func TestChunksThatTheDriverWouldCutFramesForAreAvoidedOrNamed(t *testing.T) {
	w := zeroCopyWire(t)
	i, err := netdev.Get(w.iface.Name)
	if err != nil {
		t.Fatal(err)
	}
	cuts := i.Driver == "igb" || i.Driver == "igc"
	for chunk, named := range map[int]bool{0: false, 2048: cuts, 4096: false} {
		t.Run(fmt.Sprintf("chunks of %d", chunk), func(t *testing.T) {
			notes := w.open(t, xrx.Config{ChunkSize: chunk}).Mode().Notes
			if got := len(notes) == 1 && strings.Contains(notes[0], "at most 1024 bytes"); got != named || (!named && len(notes) != 0) {
				t.Errorf("driver %s: notes %q", i.Driver, notes)
			}
		})
	}
}

// The packets themselves say what the driver does to them: those shorter than their IP length are counted and told of,
// and whatever comes off the device is delivered.
func TestADriverThatCutsFramesIsNamedByWhatItDelivers(t *testing.T) {
	w := zeroCopyWire(t)
	i, err := netdev.Get(w.iface.Name)
	if err != nil {
		t.Fatal(err)
	}
	const total = 256
	for chunk, cuts := range map[int]bool{2048: i.Driver == "igb" || i.Driver == "igc", 4096: false} {
		t.Run(fmt.Sprintf("chunks of %d", chunk), func(t *testing.T) {
			var told []xrx.Event // by Run's goroutine, read after it
			r := w.open(t, xrx.Config{ChunkSize: chunk, MultiBuffer: xrx.MultiBufferOff, OnEvent: func(e xrx.Event) {
				if e.Kind == xrx.FramesTruncated {
					told = append(told, e)
				}
			}})
			st := w.stream()
			st.Sizes = []int{w.iface.MTU + 14}
			writer, err := gen.NewWriter(st)
			if err != nil {
				t.Fatal(err)
			}
			socket, err := afpacket.NewSender(w.peer.Index, afpacket.SenderOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer socket.Close()
			var bytes atomic.Uint64
			running := run(t, r, xrx.Handler(func(p xrx.Packet) { bytes.Add(uint64(p.Len())) }))
			for sent := uint64(1); sent <= total; sent++ {
				frame := writer.Append(nil)
				if _, err := socket.Send([][]byte{frame}); err != nil {
					t.Fatal(err)
				}
				want := sent * uint64(len(frame))
				eventually(t, "every byte of the frame has come", func() bool { return bytes.Load() >= want })
			}
			running.end()
			s := r.Snapshot()
			if q := s.Queues[0]; len(q.Drops) != 0 || q.Kernel.Lost() != 0 || q.Ledger.Lost != 0 {
				t.Errorf("drops %v, kernel %+v, %v", q.Drops, q.Kernel, q.Ledger)
			}
			if !cuts {
				if s.XDP["truncated"] != 0 || len(told) != 0 || s.XDP["redirected"] != total {
					t.Errorf("driver %s: program counted %v, told %v: want every frame whole", i.Driver, s.XDP, told)
				}
				return
			}
			if s.XDP["truncated"] != total || s.XDP["redirected"] <= total || len(told) != 1 || !strings.Contains(told[0].Text, "cuts frames at 1024 bytes") || !strings.Contains(told[0].Text, "--chunk 4096") {
				t.Errorf("driver %s: program counted %v, told %v: want %d cut at 1024 bytes, told once", i.Driver, s.XDP, told, total)
			}
			t.Logf("%v; %v", s.XDP, told)
		})
	}
}
